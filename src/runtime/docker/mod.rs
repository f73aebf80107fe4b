//! The Docker runtime: each instance is a container of an engine, reached over its socket.
//!
//! The state of a container is in its name and its labels; memory only makes reading it cheap, and
//! containers outlive this program. `observe` reads from the engine and compares the container with
//! the workload field by field (`fields`). `replacement` decides the next step towards a goal,
//! without memory; `steps` executes it. `job` runs a job in a container next to that of the server.
//! Messages of engines are recognised in `error` alone.

mod administration;
mod cache;
mod connect;
mod containers;
mod creation;
mod engine;
mod error;
mod events;
mod exec;
mod exits;
mod fields;
mod foreign_container;
mod host_settings;
mod image;
mod inspect;
mod job;
mod job_container;
mod job_end;
mod job_user;
mod labels;
mod location;
mod logs;
mod manual;
mod monitor;
mod names;
mod networks;
mod observe;
mod orphans;
mod owner;
mod ports;
mod removal;
mod replacement;
mod retired;
mod secrets;
mod serving_container;
mod spec;
mod states;
mod steps;
mod update;
mod volumes;

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use futures::stream::BoxStream;
use tokio_util::task::AbortOnDropHandle;

pub use self::foreign_container::{ForeignContainer, RENAMED_SUFFIX};
pub use self::manual::DockerManual;
pub use self::orphans::{OrphanedInstance, Orphans};

use self::engine::Engine;
use self::replacement::Goal;
use self::states::States;
use super::{Apply, Observe, RuntimeError, request_file, required};
use mai_contract::job::Outcome;

use crate::api::RestoreStatus;
use crate::core::{Action, InstanceId, Job, Observed, Platform, Workload};

/// Options of the Docker runtime.
#[derive(Clone, Debug)]
pub struct DockerOptions {
    /// Directory of the secrets of instances, below `instances/`.
    pub state_dir: PathBuf,
    /// The engine in the form of DOCKER_HOST, such as unix:///run/docker.sock; without it Docker's
    /// usual socket, else Podman's.
    pub host: Option<String>,
}

/// Runs servers as containers, which outlive it.
#[derive(Debug)]
pub struct DockerRuntime {
    engine: Arc<Engine>,
    _events: AbortOnDropHandle<()>,
    _requests: AbortOnDropHandle<()>,
}

impl DockerRuntime {
    /// Connects to the engine and starts to follow its events.
    pub async fn open(options: DockerOptions) -> Result<Self, RuntimeError> {
        let docker = connect::connect(options.host.as_deref()).await?;
        let unusable = |error: io::Error| {
            RuntimeError::Unsupported(format!("{} cannot be used: {error}", options.state_dir.display()))
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&options.state_dir).map_err(unusable)?;
        let state_dir = options.state_dir.canonicalize().map_err(unusable)?;
        let states = States::read_or_create(&state_dir).map_err(unusable)?;
        let engine = Arc::new(Engine::new(docker, state_dir, states).await?);
        let events = AbortOnDropHandle::new(tokio::spawn(events::follow(Arc::clone(&engine))));
        let asked = Arc::clone(&engine);
        let requests = tokio::spawn(async move { request_file::watch(&asked.changes, || asked.homes()).await });
        Ok(Self { engine, _events: events, _requests: AbortOnDropHandle::new(requests) })
    }

    /// Connects to the engine for observation alone: the state directory need not exist and is not
    /// written.
    pub async fn open_read_only(options: DockerOptions) -> Result<impl Observe, RuntimeError> {
        let docker = connect::connect(options.host.as_deref()).await?;
        let state_dir = options.state_dir.canonicalize().unwrap_or(options.state_dir);
        let states = States::read(&state_dir);
        Ok(ReadOnly(Engine::new(docker, state_dir, states).await?.observe_once()))
    }
}

struct ReadOnly(Engine);

impl Observe for ReadOnly {
    fn platform(&self) -> Platform {
        Platform::DOCKER
    }

    async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        self.0.observe(id, workload).await
    }
}

impl Observe for DockerRuntime {
    fn platform(&self) -> Platform {
        Platform::DOCKER
    }

    async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        let observed = self.engine.observe(id, workload).await?;
        if observed.jobs.current.is_none() {
            self.engine.remove_left_files(id);
        }
        Ok(observed)
    }

    fn server_address(&self, id: &InstanceId, _: &Workload) -> Option<SocketAddr> {
        self.engine.monitor.address(id)
    }
}

impl Apply for DockerRuntime {
    async fn apply(&self, id: &InstanceId, action: &Action, workload: Option<&Workload>) -> Result<(), RuntimeError> {
        let engine = &self.engine;
        match action {
            Action::Prepare(_) => engine.pull(required(action, workload)?).await,
            // Where nothing serves, a replacement is a start.
            Action::Start | Action::Recreate(_) => engine.reach_for(Goal::Replace, required(action, workload)?).await,
            Action::Update(changes) => {
                let workload = required(action, workload)?;
                engine.reach_for(Goal::CleanUp, workload).await?;
                engine.update(workload, changes).await
            }
            Action::Resume => engine.reach(Goal::Resume, id).await,
            Action::Stop(_) => engine.reach(Goal::Stop, id).await,
            Action::Commit => {
                engine.reach(Goal::Commit, id).await?;
                engine.remove_unused_secrets(id).await
            }
            Action::RollBack(_) => {
                engine.reach(Goal::RollBack, id).await?;
                engine.remove_unused_secrets(id).await
            }
            Action::Remove => engine.remove_containers(id).await,
            Action::RemoveData { and_backups } => engine.remove_data(id, *and_backups).await,
            Action::Wait
            | Action::RemoveFinalizer
            | Action::StartJob(_)
            | Action::RemoveJob(_)
            | Action::AnswerRestore(_) => Ok(()),
        }
    }

    async fn start_job(&self, id: &InstanceId, job: &Job) -> Result<(), RuntimeError> {
        self.engine.start_job(id, job).await
    }

    async fn remove_job(&self, id: &InstanceId, name: &str, outcome: &Outcome) -> Result<(), RuntimeError> {
        self.engine.remove_job(id, name, outcome).await
    }

    async fn answer_restore(&self, id: &InstanceId, end: &RestoreStatus) -> Result<(), RuntimeError> {
        self.engine.answer_restore(id, end)
    }

    fn changes(&self) -> BoxStream<'static, InstanceId> {
        Arc::clone(&self.engine.changes).read()
    }
}
