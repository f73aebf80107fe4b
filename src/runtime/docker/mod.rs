//! The Docker runtime: each instance is a container of an engine that is spoken to over its socket.
//!
//! All that has to be known of a container stands in its name and its labels; what is kept in memory only makes that cheap. What is there
//! is read from the engine and compared with what is declared field by field (`fields`), what takes the place of what is told by a
//! function without memory (`dance`), and containers outlive this program.

mod ask;
mod by_hand;
mod cache;
mod cast;
mod connect;
mod dance;
mod events;
mod exec;
mod exits;
mod fields;
mod image;
mod inside;
mod labels;
mod logs;
mod maintain;
mod monitor;
mod names;
mod networks;
mod observe;
mod owner;
mod perform;
mod ports;
mod problem;
mod secrets;
mod set_aside;
mod spec;
mod update;
mod volumes;

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bollard::Docker;
use futures::stream::BoxStream;
use jiff::Timestamp;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

pub use self::by_hand::ByHand;
pub use self::exec::Exec;
pub use self::set_aside::{HandMade, SUFFIX as SET_ASIDE};

use self::cache::Cache;
use self::dance::Goal;
use self::exits::Exits;
use self::inside::Place;
use self::monitor::Monitor;
use self::names::Names;
use self::networks::Networks;
use super::changes::Changes;
use super::{Apply, Observe, RuntimeError, required};
use crate::core::{Action, InstanceId, Observed, Platform, Workload};

/// An engine on two to four cores starts containers fastest with this many at once …
const STARTS_AT_ONCE: usize = 8;
/// … and is not kept from it by this many being made meanwhile, which takes it a tenth of the time.
const CREATIONS_AT_ONCE: usize = 2;
/// So many servers are stopped for their successors at once. Two keep two cores busy; with more all would be done a little sooner, and each
/// of them be away for much longer.
const SWAPS_AT_ONCE: usize = 2;
/// The file that names a state directory, in it.
const STATE_ID: &str = "engine-id";

/// How containers are run.
#[derive(Clone, Debug)]
pub struct DockerOptions {
    /// Where secrets of instances are kept, below `instances/`.
    pub state_dir: PathBuf,
    /// The engine, as DOCKER_HOST names it, such as unix:///run/docker.sock; else Docker's usual socket, else Podman's.
    pub host: Option<String>,
}

/// Runs servers as containers, which go on when it is dropped.
#[derive(Debug)]
pub struct DockerRuntime {
    hands: Arc<Hands>,
    _events: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Hands {
    docker: Docker,
    /// Without symbolic links: the engine mounts files from below it.
    state_dir: PathBuf,
    /// Stands in the labels of volumes, so that two state directories do not share one by accident.
    state_id: String,
    /// Users inside containers are other users outside.
    users_are_mapped: bool,
    /// Where we run ourselves.
    place: Place,
    /// Files of volumes are ours to give away.
    owns_engine_files: bool,
    /// The engine does not know the call that changes a container while it runs.
    cannot_update: AtomicBool,
    cache: Arc<Cache>,
    changes: Arc<Changes>,
    monitor: Monitor,
    exits: Exits,
    networks: Networks,
    creations: Semaphore,
    starts: Semaphore,
    swaps: Semaphore,
    known: Mutex<Known>,
}

/// What was seen of instances so far; worth nothing after a restart.
#[derive(Debug, Default)]
struct Known {
    /// By uid.
    instances: HashMap<String, InstanceId>,
    /// By container.
    owners: HashMap<String, InstanceId>,
    /// Values that must not show in the end of a log, by uid.
    secrets: HashMap<String, Vec<SecretString>>,
}

impl DockerRuntime {
    /// Connects to the engine and begins to follow its events.
    pub async fn open(options: DockerOptions) -> Result<Self, RuntimeError> {
        let docker = connect::connect(options.host.as_deref()).await?;
        let unusable = |error: io::Error| {
            RuntimeError::Unsupported(format!("{} cannot be used: {error}", options.state_dir.display()))
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&options.state_dir).map_err(unusable)?;
        let state_dir = options.state_dir.canonicalize().map_err(unusable)?;
        let state_id = state_id(&state_dir).map_err(unusable)?;
        let hands = Arc::new(Hands::new(docker, state_dir, state_id).await?);
        let events = AbortOnDropHandle::new(tokio::spawn(events::follow(Arc::clone(&hands))));
        Ok(Self { hands, _events: events })
    }

    /// Connects to the engine to look only: the state directory need not exist and is not written to.
    pub async fn onlooker(options: DockerOptions) -> Result<impl Observe, RuntimeError> {
        let docker = connect::connect(options.host.as_deref()).await?;
        let state_dir = options.state_dir.canonicalize().unwrap_or(options.state_dir);
        let state_id = std::fs::read_to_string(state_dir.join(STATE_ID)).unwrap_or_default().trim().to_owned();
        let mut hands = Hands::new(docker, state_dir, state_id).await?;
        hands.monitor = Monitor::for_one_look(Arc::clone(&hands.changes));
        Ok(Onlooker(hands))
    }
}

struct Onlooker(Hands);

impl Observe for Onlooker {
    fn platform(&self) -> Platform {
        Platform::DOCKER
    }

    async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        self.0.observe(id, workload).await
    }
}

/// The name of a state directory, made once and moved along with it.
fn state_id(state_dir: &Path) -> io::Result<String> {
    let file = state_dir.join(STATE_ID);
    match std::fs::read_to_string(&file) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let id = uuid::Uuid::new_v4().simple().to_string();
    let unfinished = state_dir.join(".engine-id.new");
    std::fs::write(&unfinished, &id)?;
    std::fs::rename(&unfinished, &file)?;
    Ok(id)
}

/// Name of the container that serves an instance.
pub fn container_of(id: &InstanceId) -> Result<String, RuntimeError> {
    Ok(Names::of(id)?.active)
}

impl Observe for DockerRuntime {
    fn platform(&self) -> Platform {
        Platform::DOCKER
    }

    async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        self.hands.observe(id, workload).await
    }
}

impl Apply for DockerRuntime {
    async fn apply(&self, id: &InstanceId, action: &Action, workload: Option<&Workload>) -> Result<(), RuntimeError> {
        let hands = &self.hands;
        match action {
            Action::Prepare(_) => hands.pull(required(action, workload)?).await,
            // Where nothing serves, taking its place is a start.
            Action::Start | Action::Recreate(_) => hands.perform_for(Goal::Replace, required(action, workload)?).await,
            Action::Update(_) => {
                let workload = required(action, workload)?;
                hands.perform_for(Goal::Tidy, workload).await?;
                hands.update(workload).await
            }
            Action::Resume => hands.perform(Goal::Resume, id).await,
            Action::Stop(_) => hands.perform(Goal::Stop, id).await,
            Action::Commit => {
                hands.perform(Goal::Commit, id).await?;
                hands.tidy_secrets(id).await
            }
            Action::RollBack(_) => {
                hands.perform(Goal::RollBack, id).await?;
                hands.tidy_secrets(id).await
            }
            Action::Remove => hands.remove_containers(id).await,
            Action::RemoveData => hands.remove_data(id).await,
            Action::Wait | Action::RemoveFinalizer => Ok(()),
        }
    }

    fn changes(&self) -> BoxStream<'static, InstanceId> {
        Arc::clone(&self.hands.changes).read()
    }
}

impl Hands {
    async fn new(docker: Docker, state_dir: PathBuf, state_id: String) -> Result<Self, RuntimeError> {
        let info = docker.info().await.map_err(|error| {
            RuntimeError::Unsupported(format!("the engine does not describe itself: {}", problem::said(&error)))
        })?;
        let security = info.security_options.unwrap_or_default();
        let users_are_mapped =
            security.iter().any(|option| option.contains("name=userns") || option.contains("name=rootless"));
        let place = inside::look(&docker).await;
        let changes = Arc::new(Changes::default());
        Ok(Self {
            docker,
            state_dir,
            state_id,
            users_are_mapped,
            place,
            owns_engine_files: rustix::process::geteuid().is_root() && !users_are_mapped && place == Place::Beside,
            cannot_update: AtomicBool::new(false),
            cache: Arc::default(),
            monitor: Monitor::new(Arc::clone(&changes)),
            changes,
            exits: Exits::default(),
            networks: Networks::default(),
            creations: Semaphore::new(CREATIONS_AT_ONCE),
            starts: Semaphore::new(STARTS_AT_ONCE),
            swaps: Semaphore::new(SWAPS_AT_ONCE),
            known: Mutex::default(),
        })
    }

    async fn pull(&self, workload: &Workload) -> Result<(), RuntimeError> {
        let got = image::get(&self.docker, workload).await;
        self.cache.forget_image(&workload.image).await;
        got.inspect(|()| self.cache.pulled(&workload.image))
    }

    async fn remove_containers(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        self.say_what_stays(id).await?;
        self.perform(Goal::Remove, id).await?;
        self.tidy_secrets(id).await?;
        self.monitor.forget(id);
        self.forget(id);
        Ok(())
    }

    async fn remove_data(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let names = Names::of(id)?;
        volumes::remove(&self.docker, id, &names, &self.home(&names), &self.state_id).await?;
        // Empty by now, unless another runtime keeps something in it.
        let _ = std::fs::remove_dir(self.home(&names));
        Ok(())
    }

    fn home(&self, names: &Names) -> PathBuf {
        self.state_dir.join("instances").join(&names.key)
    }

    fn known(&self) -> parking_lot::MutexGuard<'_, Known> {
        self.known.lock()
    }

    /// Takes in which instance it is asked about, and what must not show of it.
    fn know(&self, id: &InstanceId, workload: Option<&Workload>) {
        let mut known = self.known();
        known.instances.insert(id.uid.clone(), id.clone());
        if let Some(workload) = workload {
            let secrets = workload.secret_values().into_values().cloned().collect();
            known.secrets.insert(id.uid.clone(), secrets);
        }
    }

    fn forget(&self, id: &InstanceId) {
        let mut known = self.known();
        known.instances.remove(&id.uid);
        known.secrets.remove(&id.uid);
        known.owners.retain(|_, owner| owner.uid != id.uid);
    }

    /// The instance a container belongs to, as far as it was seen.
    fn owner_of(&self, container: &str) -> Option<InstanceId> {
        self.known().owners.get(container).cloned()
    }

    fn note_exit_code(&self, container: &str, code: i64) {
        self.exits.note_code(container, code);
    }

    fn note_engine_left(&self) {
        self.exits.note_engine_left(Timestamp::now());
    }

    fn wake(&self, uid: &str) {
        let id = self.known().instances.get(uid).cloned();
        if let Some(id) = id {
            self.changes.name(&id);
        }
    }

    fn wake_all(&self) {
        self.cache.forget();
        self.networks.forget();
        let all: Vec<InstanceId> = self.known().instances.values().cloned().collect();
        for id in all {
            self.changes.name(&id);
        }
    }
}
