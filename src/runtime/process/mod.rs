//! The process runtime: each instance is a supervised child process of the same binary. No
//! dependency but the kernel.
//!
//! The labels of a server are in its own environment (`labels`), so a reconciler that was killed at
//! any point is followed by one that finds every server again. Memory only makes that cheap.
//!
//! An *attached* server (the default) has the read end of a pipe as its standard input and ends
//! when the reconciler does, even by SIGKILL. A *detached* one keeps running, and the next
//! reconciler of the state directory adopts it.

mod cgroup;
mod discovery;
mod drift;
mod job;
mod labels;
mod launch;
mod limits;
mod log;
mod manual;
mod observer;
mod paths;
mod process_handle;
mod restart_request;
mod retired;
mod run;
mod scan;
mod servers;
mod stat;
mod supervision;

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use futures::stream::BoxStream;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use discovery::{RunningServer, running_servers};
pub use labels::Labels;
pub use limits::LimitedBy;
pub use manual::ProcessManual;
pub use observer::ProcessObserver;

use self::cgroup::Groups;
use self::job::Jobs;
use self::limits::Limiter;
use self::paths::InstancePaths;
use self::scan::Scan;
use self::servers::{Servers, failed};
use super::{Apply, Observe, RuntimeError, request_file, required};
use mai_contract::job::Outcome;

use crate::api::RestoreStatus;
use crate::core::{Action, InstanceId, Job, Observed, Platform, Workload};

/// Options of the process runtime.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// State directory; instances are below `instances/`.
    pub state_dir: PathBuf,
    /// The program whose verb `serve` is a server.
    pub program: PathBuf,
    /// Servers outlive the reconciler.
    pub detach: bool,
}

impl ProcessOptions {
    /// Returns the options of attached servers of this very binary.
    pub fn new(state_dir: impl Into<PathBuf>) -> io::Result<Self> {
        Ok(Self { state_dir: state_dir.into(), program: own_program()?, detach: false })
    }
}

/// The binary that runs now, also when another was put in its place meanwhile.
fn own_program() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(if program.is_file() { program } else { PathBuf::from("/proc/self/exe") })
}

/// Runs servers as child processes. Dropping it ends attached servers, as the end of this program
/// would.
#[derive(Debug)]
pub struct ProcessRuntime {
    servers: Arc<Servers>,
    jobs: Arc<Jobs>,
    _until_dropped: DropGuard,
}

impl ProcessRuntime {
    /// Opens a state directory, made when missing, and takes over the servers of it that run. Needs
    /// a tokio runtime; blocks for a few milliseconds.
    pub fn open(options: ProcessOptions) -> Result<Self, RuntimeError> {
        let unusable = |path: &Path| {
            let path = path.display().to_string();
            move |error: io::Error| RuntimeError::Unsupported(format!("{path} cannot be used: {error}"))
        };
        let state_dir = &options.state_dir;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(unusable(state_dir))?;
        let state_dir = state_dir.canonicalize().map_err(unusable(state_dir))?;
        let program = match options.program.starts_with("/proc/self") {
            true => options.program,
            false => options.program.canonicalize().map_err(unusable(&options.program))?,
        };
        let found = running_servers(&state_dir).map_err(unusable(Path::new("/proc")))?;
        let over = CancellationToken::new();
        let jobs = Arc::new(Jobs {
            state_dir: state_dir.clone(),
            program: program.clone(),
            slots: Mutex::default(),
            changes: Arc::default(),
            over: over.clone(),
        });
        let servers = Arc::new(Servers {
            limiter: Arc::new(Limiter::new(&state_dir, Groups::find())),
            scan: Scan::new(state_dir.clone()),
            state_dir,
            program,
            detach: options.detach,
            slots: Mutex::default(),
            changes: Arc::clone(&jobs.changes),
            closed: AtomicBool::new(false),
            over: over.clone(),
        });
        for server in &found {
            servers.adopt(server).map_err(|source| failed("adoption", &server.labels.id, source))?;
        }
        tokio::spawn(over.clone().run_until_cancelled_owned(watch_requests(Arc::clone(&servers))));
        Ok(Self { servers, jobs, _until_dropped: over.drop_guard() })
    }

    async fn start_process(&self, workload: &Workload) -> Result<(), RuntimeError> {
        if !workload.container.confined {
            return Err(unsupported(&workload.id, "spec.server.kind names an image; use --runtime docker"));
        }
        let (servers, workload) = (Arc::clone(&self.servers), workload.clone());
        let id = workload.id.clone();
        // In a task of its own: the caller may be dropped, but a server that was started is
        // supervised.
        let started = tokio::spawn(async move { servers.start(&workload).await });
        started.await.unwrap_or_else(|error| Err(failed("start", &id, io::Error::other(error))))
    }

    /// Returns the method of limiting servers.
    pub fn limit_method(&self) -> LimitedBy {
        self.servers.limiter.used()
    }
}

impl Observe for ProcessRuntime {
    fn platform(&self) -> Platform {
        Platform::PROCESS
    }

    async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        let observed = self.servers.observe(id, workload).await?;
        Ok(Observed { jobs: self.jobs.observe(id).await?, ..observed })
    }
}

impl Apply for ProcessRuntime {
    async fn apply(&self, id: &InstanceId, action: &Action, workload: Option<&Workload>) -> Result<(), RuntimeError> {
        match action {
            Action::Start => self.start_process(required(action, workload)?).await,
            Action::Recreate(_) => {
                let workload = required(action, workload)?;
                self.servers.stop(id).await?;
                self.start_process(workload).await
            }
            Action::Stop(_) => self.servers.stop(id).await,
            Action::RemoveData { and_backups } => {
                self.jobs.remove_any(id).await?;
                self.servers.remove_data(id, *and_backups).await
            }
            // A server that has ended leaves nothing but its files.
            Action::Remove => self.jobs.remove_any(id).await,
            Action::Resume => Err(unsupported(id, "a process that has ended cannot be started again as it was")),
            Action::Update(_) => Err(unsupported(id, "a running process cannot be given another environment")),
            Action::RollBack(_) => Err(unsupported(id, "a process that was replaced is not retained")),
            Action::Prepare(_)
            | Action::Commit
            | Action::Wait
            | Action::RemoveFinalizer
            | Action::StartJob(_)
            | Action::RemoveJob(_)
            | Action::AnswerRestore(_) => Ok(()),
        }
    }

    async fn start_job(&self, id: &InstanceId, job: &Job) -> Result<(), RuntimeError> {
        let (jobs, owner, job) = (Arc::clone(&self.jobs), id.clone(), job.clone());
        // In a task of its own: the caller may be dropped, but a job that was started is
        // supervised.
        let started = tokio::spawn(async move { jobs.start(&owner, &job).await });
        started.await.unwrap_or_else(|error| Err(failed("start of a job", id, io::Error::other(error))))
    }

    async fn remove_job(&self, id: &InstanceId, name: &str, outcome: &Outcome) -> Result<(), RuntimeError> {
        self.jobs.remove(id, name, outcome).await
    }

    async fn answer_restore(&self, id: &InstanceId, end: &RestoreStatus) -> Result<(), RuntimeError> {
        self.jobs.answer_restore(id, end)
    }

    fn changes(&self) -> BoxStream<'static, InstanceId> {
        Arc::clone(&self.servers.changes).read()
    }

    async fn shutdown(&self) -> Result<(), RuntimeError> {
        self.servers.closed.store(true, Ordering::Release);
        if !self.servers.detach {
            // All that were ever asked about: one of them may be starting at this moment.
            let ids = self.servers.known();
            let stopping = ids.iter().map(|id| self.servers.stop(id));
            futures::future::join_all(stopping).await.into_iter().collect::<Result<(), _>>()?;
        }
        self.servers.over.cancel();
        Ok(())
    }
}

/// Notices the requests of administrators. Never returns.
async fn watch_requests(servers: Arc<Servers>) {
    let known = || {
        let home = |id: InstanceId| {
            let key = paths::key(&id).ok()?;
            Some((id, InstancePaths::new(&servers.state_dir, &key, None).home))
        };
        servers.known().into_iter().filter_map(home).collect()
    };
    request_file::watch(&servers.changes, known).await;
}

/// Returns the error of something that a process cannot do.
fn unsupported(id: &InstanceId, why: &str) -> RuntimeError {
    RuntimeError::Unsupported(format!("{id} is run as a process: {why}"))
}
