//! `mai adopt-orphans DIR [NAME]`: takes over containers and volumes that mai made with another state
//! directory, which was lost, or from whose directory a document moved here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use secrecy::SecretString;

use crate::api::{MaiInstance, PlatformKind};
use crate::cli::shared::block_on::block_on;
use crate::cli::shared::confirmation::is_confirmed;
use crate::cli::shared::runtime::docker_options;
use crate::cli::shared::state_dir::Place;
use crate::core::{Memory, is_named};
use crate::runtime::docker::{OrphanedInstance, Orphans};
use crate::source::directory::Preview;
use crate::state::{KnownDocument, KnownInstance, State};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,

    /// Only this instance
    name: Option<String>,

    /// The engine [default: /var/run/docker.sock, or Podman's socket]
    #[arg(long, env = "DOCKER_HOST", value_name = "unix://SOCKET")]
    docker_host: Option<String>,

    /// The other state directory, where it is neither beside this one nor in the mounts of a container
    #[arg(long, value_name = "DIR")]
    former_state_dir: Option<PathBuf>,

    /// Only show what would be adopted
    #[arg(long)]
    dry_run: bool,

    /// Do not ask for the name of each instance to be typed; counts only where standard input is no
    /// terminal
    #[arg(long)]
    yes: bool,
}

/// A declared instance that has orphans, and what is known of it.
struct Found {
    orphan: OrphanedInstance,
    document: KnownDocument,
    instance: MaiInstance,
    /// The other state directory, and its record of the instance.
    former: Option<(PathBuf, KnownInstance, Memory)>,
}

impl Found {
    /// Returns its generated session key, and where it was found; `None` if it is lost.
    fn session_key(&self) -> Option<(SecretString, &'static str)> {
        let stored = self.former.as_ref().and_then(|(_, known, _)| known.session_key.clone());
        let stored = stored.map(|key| (key, "in the other state directory"));
        stored.or_else(|| self.orphan.session_key.clone().map(|key| (key, "in its container")))
    }

    fn print(&self) {
        println!("{}: {}", self.orphan.id.log_name(), self.orphan.objects.join(", "));
        match &self.former {
            Some((directory, ..)) => println!("  state         in {}", directory.display()),
            None => println!(
                "  state         is lost; status and history begin anew. If the other state directory exists, name it with --former-state-dir"
            ),
        }
        let key = match self.session_key() {
            _ if self.instance.spec.server.secret_key_ref.is_some() => "is declared",
            Some((_, place)) => place,
            None => {
                "is lost: people have to sign in again, and a key of the upstream that was entered in the pages has to be entered again"
            }
        };
        println!("  session key   {key}");
    }
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(adopt_orphans(args))
}

async fn adopt_orphans(args: &Args) -> anyhow::Result<ExitCode> {
    let state_dir = args.place.state_dir()?;
    let mut orphans = Orphans::open(docker_options(&state_dir, args.docker_host.as_deref())).await?;
    let found = find(args, &orphans).await?;
    if found.is_empty() {
        println!("no container or volume of {} was made with another state directory", of(args));
        return Ok(ExitCode::SUCCESS);
    }
    found.iter().for_each(Found::print);
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    // Keeps the reconciler of this directory out, as that of the other one below.
    let state = State::open(&state_dir).await.context("nothing was adopted")?;
    for one in found {
        let name = one.orphan.id.name.clone();
        let question = "From now on this belongs to this directory. Nothing is stopped.";
        if !is_confirmed(&name, question, &format!("adopt {name}"), args.yes)? {
            eprintln!("that is not {name}; what was made for it is not adopted");
            continue;
        }
        adopt(&state, &mut orphans, &one).await.with_context(|| format!("{name} was not adopted"))?;
        println!("adopted {name}");
    }
    state.close().await;
    println!("start `mai compose {} --runtime docker` now", args.place.directory.display());
    Ok(ExitCode::SUCCESS)
}

fn of(args: &Args) -> String {
    args.name.clone().unwrap_or_else(|| args.place.directory.display().to_string())
}

/// Returns the declared instances that have orphans.
async fn find(args: &Args, orphans: &Orphans) -> anyhow::Result<Vec<Found>> {
    let state_dir = args.place.state_dir()?;
    let known = match State::open_read_only(&state_dir).await {
        Ok(state) => {
            let documents = state.documents().await?;
            state.close().await;
            documents
        }
        Err(crate::state::StateError::Absent { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let preview = Preview::read(&args.place.directory, known, PlatformKind::Docker, &args.place.policy()?).await?;
    let declared = preview.instances.into_iter().filter(|one| one.after.deleted_at.is_none());
    let declared = declared
        .filter(|one| args.name.as_ref().is_none_or(|name| is_named(name, &one.after.namespace, &one.after.name)));
    let mut declared: BTreeMap<(String, String), _> =
        declared.map(|one| ((one.after.namespace.clone(), one.after.name.clone()), one)).collect();
    if let (Some(name), true) = (&args.name, declared.is_empty()) {
        anyhow::bail!("{} declares no instance {name}", args.place.directory.display());
    }
    let wanted: BTreeSet<(String, String)> = declared.keys().cloned().collect();
    let places: Vec<PathBuf> =
        args.former_state_dir.iter().cloned().chain(state_dir.parent().map(PathBuf::from)).collect();
    let mut found = Vec::new();
    for orphan in orphans.find(&wanted, &places).await? {
        let Some(one) = declared.remove(&(orphan.id.namespace.clone(), orphan.id.name.clone())) else { continue };
        let former = former(&orphan).await?;
        // A run that was interrupted in between is repeated.
        if orphan.is_adopted && former.is_none() {
            continue;
        }
        found.push(Found { orphan, document: one.after, instance: one.instance, former });
    }
    Ok(found)
}

/// Returns what another state directory holds of an orphan.
async fn former(orphan: &OrphanedInstance) -> anyhow::Result<Option<(PathBuf, KnownInstance, Memory)>> {
    for directory in &orphan.state_dirs {
        let Ok(state) = State::open_read_only(directory).await else { continue };
        let known = state.known_instance(&orphan.id.namespace, &orphan.id.name).await?;
        let memory = match &known {
            Some(instance) => state.memory(&instance.known.uid).await?,
            None => Memory::default(),
        };
        state.close().await;
        if let Some(known) = known {
            return Ok(Some((directory.clone(), known, memory)));
        }
    }
    Ok(None)
}

/// Records an instance in this state directory, and then forgets it in the other one.
async fn adopt(state: &State, orphans: &mut Orphans, found: &Found) -> anyhow::Result<()> {
    let Found { orphan, document, former, .. } = found;
    let other = match former {
        // Fails while its reconciler runs, and keeps it from starting meanwhile.
        Some((directory, ..)) => Some(State::open(directory).await?),
        None => None,
    };
    let mut known = document.clone();
    known.uid.clone_from(&orphan.id.uid);
    let status = former.as_ref().map(|(_, known, _)| known.status.clone()).unwrap_or_default();
    let session_key = found.session_key().map(|(key, _)| key);
    if let Some((_, _, memory)) = former {
        state.put_memory(&known.uid, memory).await?;
    }
    state.restore(&KnownInstance { known, status, session_key }).await?;
    orphans.adopt(orphan, former.as_ref().map(|(directory, ..)| directory.as_path()))?;
    if let Some(other) = other {
        // With its document gone, its reconciler would stop the server.
        other.forget(&orphan.id.namespace, &orphan.id.name).await?;
        other.close().await;
    }
    Ok(())
}
