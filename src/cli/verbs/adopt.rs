//! `mai adopt FILE`: writes the document that takes over a deployment made by hand with Docker
//! Compose. No data is copied or changed.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;

use crate::adopt::{Adopted, Deployment, adopt, read_env_file};
use crate::api::ServerKind;
use crate::cli::shared::block_on::block_on;
use crate::runtime::docker::{ForeignContainer, RENAMED_SUFFIX};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The docker-compose.yml of the deployment; `.env` next to it is read too
    file: PathBuf,

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
    let adopted = read(args).with_context(|| format!("{} cannot be adopted", args.file.display()))?;
    match &args.into {
        Some(directory) => write(directory, &adopted)?,
        None => {
            println!("{}", yaml(&adopted.document)?.trim_end());
            if let Some(secret) = adopted.secret() {
                println!("---\n{}", yaml(&secret)?.trim_end());
            }
        }
    }
    if !adopted.left_out.is_empty() {
        eprintln!("not carried over:");
    }
    for sentence in &adopted.left_out {
        eprintln!("  {sentence}");
    }
    block_on(make_room(args, &adopted))?;
    Ok(ExitCode::SUCCESS)
}

fn read(args: &Args) -> anyhow::Result<Adopted> {
    let text = std::fs::read_to_string(&args.file)?;
    let file = std::path::absolute(&args.file)?;
    let directory = file.parent().unwrap_or(Path::new("/"));
    let mut variables: BTreeMap<String, String> = match std::fs::read_to_string(directory.join(".env")) {
        Ok(text) => read_env_file(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", directory.join(".env").display()));
        }
    };
    // What is set where Compose runs wins over the file, as it does there.
    variables.extend(
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    );
    let deployment = |kind: Option<ServerKind>| Deployment {
        text: &text,
        directory,
        variables: &variables,
        service: args.service.as_deref(),
        name: args.name.as_deref(),
        kind,
    };
    let adopted = adopt(&deployment(args.kind.map(ServerKind::from)))?;
    if args.kind.is_none() && keeps_open_webui(&adopted) {
        return Ok(adopt(&deployment(Some(ServerKind::OpenWebUI)))?);
    }
    Ok(adopted)
}

/// Returns whether the data directory has Open WebUI's database.
fn keeps_open_webui(adopted: &Adopted) -> bool {
    let data = adopted.document["spec"]["storage"]["data"]["hostPath"].as_str();
    data.is_some_and(|data| Path::new(data).join("webui.db").exists())
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
    let container = &adopted.container;
    let by_hand = format!("docker stop {container} && docker rename {container} {container}{RENAMED_SUFFIX}");
    let found = match ForeignContainer::find(args.docker_host.as_deref(), container).await {
        Ok(found) => found,
        Err(error) if args.stop => return Err(error.into()),
        Err(_) => {
            eprintln!(
                "the engine did not say whether container {container} runs; before the next `mai compose`: {by_hand}"
            );
            return Ok(());
        }
    };
    match found {
        Some(found) if args.stop => {
            let aside = found.stop_and_rename().await?;
            eprintln!("container {container} is stopped and is called {aside} now; its data stays where it is");
        }
        Some(found) => {
            let state = if found.runs { "runs and would" } else { "exists and would" };
            eprintln!("container {container} {state} be in the way; before the next `mai compose`: {by_hand}");
        }
        None if args.stop => eprintln!("there is no container {container} to stop"),
        None => {}
    }
    Ok(())
}
