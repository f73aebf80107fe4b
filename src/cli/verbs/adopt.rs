//! `mai adopt FILE`: writes the document that takes over a deployment made by hand with Docker
//! Compose. No data is copied or changed.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;

use crate::adopt::{Adopted, Deployment, adopt};
use crate::api::{PlatformKind, ServerKind, check};
use crate::cli::shared::block_on::block_on;
use crate::cli::shared::compose_project::Deployed;
use crate::cli::shared::policy::PolicyArgs;
use crate::runtime::RuntimeError;
use crate::runtime::docker::{ForeignContainer, RENAMED_SUFFIX};
use crate::source::policy::{Author, Claims, Refusal, Subject};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The docker-compose.yml of the deployment, or its directory; `.env`, an override file and
    /// COMPOSE_FILE are minded as Compose does. Several files are merged in their order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Read the variables from this file instead of `.env`; may be repeated
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// Directory to write the document to, as NAME.yaml; an existing file is never overwritten
    /// [default: print it]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,

    /// Name of the instance [default: that of its container without `mai-`]
    #[arg(long)]
    name: Option<String>,

    /// The service, where the file has several
    #[arg(long)]
    service: Option<String>,

    /// Kind of the server [default: from the image's name and the data directory]
    #[arg(long, value_enum)]
    kind: Option<Kind>,

    #[command(flatten)]
    policy: PolicyArgs,

    /// Stop the container that serves now and rename it, so that the next `mai compose` can replace
    /// it
    #[arg(long)]
    stop: bool,

    /// The engine that it runs on [default: /var/run/docker.sock, or Podman's socket]
    #[arg(long, env = "DOCKER_HOST", value_name = "unix://SOCKET")]
    docker_host: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// `mai serve`
    Mai,
    /// Open WebUI's own image
    OpenWebui,
    /// Another image that keeps the same contract
    Custom,
}

impl From<Kind> for ServerKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Mai => Self::Mai,
            Kind::OpenWebui => Self::OpenWebUI,
            Kind::Custom => Self::Custom,
        }
    }
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let shown = args.files.first().map(|file| file.display().to_string()).unwrap_or_default();
    let (adopted, notes) = read(args).with_context(|| format!("{shown} cannot be adopted"))?;
    match &args.into {
        Some(directory) => write(directory, &adopted)?,
        None => {
            println!("{}", yaml(&adopted.document)?.trim_end());
            if let Some(secret) = adopted.secret() {
                println!("---\n{}", yaml(&secret)?.trim_end());
            }
        }
    }
    for note in &notes {
        eprintln!("{note}");
    }
    if !adopted.left_out.is_empty() {
        eprintln!("not carried over:");
    }
    for sentence in &adopted.left_out {
        eprintln!("  {sentence}");
    }
    for sentence in beyond_policy(args, &adopted) {
        eprintln!("{sentence}");
    }
    block_on(make_room(args, &adopted))?;
    Ok(ExitCode::SUCCESS)
}

fn read(args: &Args) -> anyhow::Result<(Adopted, Vec<String>)> {
    let deployed = Deployed::find(&args.files, &args.env_file)?;
    let (project, notes) = deployed.project(args.service.as_deref())?;
    let home = deployed.variables.get("HOME").map(Path::new);
    let deployment = |kind: Option<ServerKind>| Deployment {
        project: &project,
        directory: &deployed.directory,
        home,
        name: args.name.as_deref(),
        kind,
    };
    let adopted = adopt(&deployment(args.kind.map(ServerKind::from)))?;
    if args.kind.is_none()
        && let Some(kind) = kind_of_data(&adopted)
    {
        return Ok((adopt(&deployment(Some(kind)))?, notes));
    }
    Ok((adopted, notes))
}

/// Returns the kind of server whose database is in the data directory.
fn kind_of_data(adopted: &Adopted) -> Option<ServerKind> {
    let data = Path::new(adopted.document["spec"]["storage"]["data"]["hostPath"].as_str()?);
    let has = |kind: &ServerKind| kind.database().is_some_and(|database| data.join(database).exists());
    [ServerKind::OpenWebUI, ServerKind::Mai].into_iter().find(has)
}

/// Returns what has to be in the provider's policy before `mai compose` takes the document, which
/// may name directories and volumes that were not made by mai.
fn beyond_policy(args: &Args, adopted: &Adopted) -> Vec<String> {
    let policy = match args.policy.file(None).read() {
        Ok(policy) => policy,
        Err(error) => return vec![error.to_string()],
    };
    let full = check(&adopted.document, None, Some(PlatformKind::Docker));
    let Some(spec) = full.ok().and_then(|full| serde_json::from_value(full["spec"].clone()).ok()) else {
        return Vec::new();
    };
    let subject = Subject {
        author: Author::Folder(""),
        key: &("default".to_owned(), adopted.name.clone()),
        spec: &spec,
        platform: Some(PlatformKind::Docker),
        claims: &Claims::default(),
    };
    let refusals = policy.refusals(&subject);
    let heading = (!refusals.is_empty()).then(|| "before the next `mai compose`, the policy has to allow:".to_owned());
    let sentence = |refusal: Refusal| format!("  {}: {}", refusal.finding.path, refusal.finding.message);
    heading.into_iter().chain(refusals.into_iter().map(sentence)).collect()
}

fn yaml(document: &Value) -> anyhow::Result<String> {
    Ok(serde_saphyr::to_string(document)?)
}

fn write(directory: &Path, adopted: &Adopted) -> anyhow::Result<()> {
    let document = directory.join(format!("{}.yaml", adopted.name));
    let secret = directory.join("secrets").join(format!("{}.yaml", adopted.name));
    let secret = adopted.secret().map(|value| (secret, value));
    // Checked first, so that both are written or none.
    for path in std::iter::once(&document).chain(secret.iter().map(|(path, _)| path)) {
        if path.symlink_metadata().is_ok() {
            anyhow::bail!("{} exists and is not overwritten; remove it or choose another --name", path.display());
        }
    }
    if let Some((path, value)) = &secret {
        create(path, 0o600, &yaml(value)?)?;
    }
    create(&document, 0o644, &yaml(&adopted.document)?)
}

fn create(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let written = || {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())
    };
    written().with_context(|| format!("{} cannot be written", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Stops and renames the container that serves now, or says how: it has the port and perhaps the
/// name.
async fn make_room(args: &Args, adopted: &Adopted) -> anyhow::Result<()> {
    let [container, ..] = adopted.containers.as_slice() else { return Ok(()) };
    let by_hand =
        |container: &str| format!("docker stop {container} && docker rename {container} {container}{RENAMED_SUFFIX}");
    let found = match find(args, &adopted.containers).await {
        Ok(found) => found,
        Err(error) if args.stop => return Err(error.into()),
        Err(_) => {
            eprintln!(
                "the engine did not say whether container {} runs; before the next `mai compose`: {}",
                adopted.containers.join(" or "),
                by_hand(container)
            );
            return Ok(());
        }
    };
    match found {
        Some((container, found)) if args.stop => {
            let aside = found.stop_and_rename().await?;
            eprintln!("container {container} is stopped and is called {aside} now; its data stays where it is");
        }
        Some((container, found)) => {
            let state = if found.runs { "runs and would" } else { "exists and would" };
            eprintln!(
                "container {container} {state} be in the way; before the next `mai compose`: {}",
                by_hand(container)
            );
        }
        None if args.stop => eprintln!("there is no container {} to stop", adopted.containers.join(" or ")),
        None => {}
    }
    Ok(())
}

/// Finds the container of a service under one of the names that it may have.
async fn find<'a>(args: &Args, containers: &'a [String]) -> Result<Option<(&'a str, ForeignContainer)>, RuntimeError> {
    for container in containers {
        if let Some(found) = ForeignContainer::find(args.docker_host.as_deref(), container).await? {
            return Ok(Some((container, found)));
        }
    }
    Ok(None)
}
