//! The process runtime: each instance is a supervised child process of the same binary. No dependency but the kernel.
//!
//! All that has to be known of a server stands in its own environment (`labels`), so a reconciler that was killed at any point is
//! followed by one that finds every server again. What is kept in memory only makes that cheap.
//!
//! A server has one of two lives. *Attached*, the usual one: it holds the read end of a pipe as its standard input and ends when the
//! reconciler does, even by SIGKILL. *Detached*: it goes on, and the next reconciler of the same state directory takes it over.

mod cgroup;
mod found;
mod labels;
mod launch;
mod limits;
mod log;
mod pidfd;
mod places;
mod run;
mod scan;
mod stat;
mod supervise;

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::BoxStream;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use found::{Found, running};
pub use labels::Labels;
pub use limits::LimitedBy;

use self::cgroup::Groups;
use self::launch::{Launched, launch};
use self::limits::Limiter;
use self::pidfd::Process;
use self::places::Places;
use self::run::{Run, Slot, SlotState};
use self::scan::Scan;
use self::supervise::Supervision;
use super::changes::Changes;
use super::{Change, Drift, InstanceId, Observed, Presence, Runtime, RuntimeError, Workload, port};

/// How servers are run.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// Where instances live, below `instances/`.
    pub state_dir: PathBuf,
    /// The program whose verb `serve` is a server.
    pub program: PathBuf,
    /// Whether servers outlive the reconciler.
    pub detach: bool,
}

impl ProcessOptions {
    /// Attached servers of this very binary.
    pub fn new(state_dir: impl Into<PathBuf>) -> io::Result<Self> {
        Ok(Self { state_dir: state_dir.into(), program: own_program()?, detach: false })
    }
}

/// The binary that runs now, also when another was put in its place meanwhile.
fn own_program() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(if program.is_file() { program } else { PathBuf::from("/proc/self/exe") })
}

/// Runs servers as child processes. Dropping it ends attached servers, as the end of this program would.
#[derive(Debug)]
pub struct ProcessRuntime {
    hands: Arc<Hands>,
    _until_dropped: DropGuard,
}

#[derive(Debug)]
struct Hands {
    /// Without symbolic links: it is what servers are recognised by.
    state_dir: PathBuf,
    program: PathBuf,
    detach: bool,
    /// By key; the id is the one that was asked about last.
    slots: Mutex<HashMap<String, (InstanceId, Arc<Slot>)>>,
    changes: Arc<Changes>,
    limiter: Arc<Limiter>,
    scan: Scan,
    /// Nothing is started any more.
    closed: AtomicBool,
    /// Cancelled when nothing is looked after any more.
    over: CancellationToken,
}

impl ProcessRuntime {
    /// Opens a state directory, made when missing, and takes over the servers of it that run. Needs a tokio runtime; blocks for a
    /// few milliseconds.
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
        let found = running(&state_dir).map_err(unusable(Path::new("/proc")))?;
        let over = CancellationToken::new();
        let hands = Arc::new(Hands {
            limiter: Arc::new(Limiter::new(&state_dir, Groups::find())),
            scan: Scan::new(state_dir.clone()),
            state_dir,
            program,
            detach: options.detach,
            slots: Mutex::default(),
            changes: Arc::default(),
            closed: AtomicBool::new(false),
            over: over.clone(),
        });
        for server in &found {
            hands.adopt(server).map_err(|source| failed("adoption", &server.labels.id, source))?;
        }
        Ok(Self { hands, _until_dropped: over.drop_guard() })
    }

    /// By what declared limits are kept.
    pub fn how_limited(&self) -> LimitedBy {
        self.hands.limiter.used()
    }
}

impl Runtime for ProcessRuntime {
    async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        self.hands.observe(id, workload).await
    }

    async fn start(&self, workload: &Workload) -> Result<(), RuntimeError> {
        let (hands, workload) = (Arc::clone(&self.hands), workload.clone());
        let id = workload.id.clone();
        // In a task of its own: whoever waits may lose patience, but a server that was started is looked after.
        let started = tokio::spawn(async move { hands.start(&workload).await });
        started.await.unwrap_or_else(|error| Err(failed("start", &id, io::Error::other(error))))
    }

    /// A process needs nothing but the own binary.
    async fn prepare(&self, _workload: &Workload) -> Result<(), RuntimeError> {
        Ok(())
    }

    /// A process that has ended cannot go on; there is never one that could be resumed.
    async fn resume(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        Err(impossible(id, "a process that has ended cannot be started again as it was"))
    }

    /// Whatever differs needs another process.
    async fn update(&self, workload: &Workload) -> Result<(), RuntimeError> {
        Err(impossible(&workload.id, "a running process cannot be given another environment"))
    }

    async fn replace(&self, workload: &Workload) -> Result<(), RuntimeError> {
        self.stop(&workload.id).await?;
        self.start(workload).await
    }

    /// Nothing is kept of a process that was replaced.
    async fn commit(&self, _id: &InstanceId) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn roll_back(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        Err(impossible(id, "nothing is kept of a process that was replaced"))
    }

    async fn stop(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        self.hands.stop(id).await
    }

    /// Of a process that has ended nothing is left but its files.
    async fn remove(&self, _id: &InstanceId) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn remove_data(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        self.hands.remove_data(id).await
    }

    fn changes(&self) -> BoxStream<'static, InstanceId> {
        Arc::clone(&self.hands.changes).read()
    }

    async fn shutdown(&self) -> Result<(), RuntimeError> {
        self.hands.closed.store(true, Ordering::Release);
        if !self.hands.detach {
            // All that were ever asked about: one of them may be starting at this moment.
            let ids = self.hands.known();
            let stopping = ids.iter().map(|id| self.stop(id));
            futures::future::join_all(stopping).await.into_iter().collect::<Result<(), _>>()?;
        }
        self.hands.over.cancel();
        Ok(())
    }
}

impl Hands {
    fn slot(&self, id: &InstanceId) -> Result<(String, Arc<Slot>), RuntimeError> {
        let key = places::key(id)?;
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, slot) = slots.entry(key.clone()).or_insert_with(|| (id.clone(), Arc::default()));
        known.clone_from(id);
        Ok((key, Arc::clone(slot)))
    }

    fn known(&self) -> Vec<InstanceId> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.values().map(|(id, _)| id.clone()).collect()
    }

    async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        let (key, slot) = self.slot(id)?;
        let SlotState { run, last_exit } = slot.settled().await;
        if let (Some(run), Some(workload)) = (&run, workload) {
            run.heed(workload);
            if run.labels.hash == workload.hash && run.wants_limits() {
                self.limiter.apply(&key, run.process.pid(), workload.limits);
            }
        }
        let presence = match &run {
            None => Presence::Absent,
            Some(run) if run.is_ending() => Presence::Stopping,
            Some(run) => Presence::Running {
                drift: workload.map_or(Drift::None, |workload| drift(run, id, workload)),
                since: run.labels.started_at,
                readiness: run.readiness.borrow().clone(),
            },
        };
        let wanted = workload.map(|workload| workload.listen);
        let port_holder = match (&presence, wanted) {
            (Presence::Stopping, _) | (_, None) => None,
            (_, Some(wanted)) if run.as_ref().is_some_and(|run| run.labels.listen == wanted) => None,
            (_, Some(wanted)) => self.port_holder(&key, id, wanted).await?,
        };
        Ok(Observed { presence, missing: None, former: None, last_exit, port_holder })
    }

    /// Who else listens where `id` wants to.
    async fn port_holder(
        &self,
        key: &str,
        id: &InstanceId,
        wanted: std::net::SocketAddr,
    ) -> Result<Option<String>, RuntimeError> {
        // An address that cannot be bound at all is nobody's; starting there says why.
        if port::is_free(wanted).unwrap_or(true) {
            return Ok(None);
        }
        let ours = self.scan.now().await.map_err(|source| failed("look-up of the port", id, source))?;
        let listeners = blocking(move || port::listeners(wanted)).await.unwrap_or_default();
        let own: Vec<u32> = ours
            .iter()
            .filter(|server| places::key(&server.labels.id).is_ok_and(|other| other == key))
            .map(|server| server.pid)
            .collect();
        if listeners.iter().any(|pid| own.contains(pid)) {
            return Ok(None);
        }
        Ok(Some(port::name(&listeners, |pid| found::name(&ours, pid))))
    }

    async fn start(self: &Arc<Self>, workload: &Workload) -> Result<(), RuntimeError> {
        let id = &workload.id;
        let (key, slot) = self.slot(id)?;
        let _turn = slot.turn.lock().await;
        if self.closed.load(Ordering::Acquire) {
            return Err(failed("start", id, io::Error::other("mai is shutting down")));
        }
        self.look_again("start", id, &key).await?;
        if let Some(run) = slot.settled().await.run {
            let already = format!("process {} runs for it already", run.process.pid());
            return Err(failed("start", id, io::Error::new(io::ErrorKind::AlreadyExists, already)));
        }
        let places = Places::of(&self.state_dir, &key, Some(workload));
        let log = places.log.clone();
        let Launched { pid, start_ticks, labels, log_from, stdin } = {
            let (hands, workload, key) = (Arc::clone(self), workload.clone(), key.clone());
            blocking(move || {
                let launched = launch(&hands.program, &hands.state_dir, &places, &workload, !hands.detach)?;
                hands.limiter.apply(&key, launched.pid, workload.limits);
                Ok(launched)
            })
            .await
            .map_err(|source| failed("start", id, source))??
        };
        let process = Process::open(pid, start_ticks)
            .and_then(|process| process.ok_or_else(|| io::Error::other("its process vanished")))
            .map_err(|source| failed("start", id, source))?;
        let run = Run::started(process, labels, log, log_from, stdin);
        run.heed(workload);
        self.look_after(key, &slot, run);
        Ok(())
    }

    async fn stop(self: &Arc<Self>, id: &InstanceId) -> Result<(), RuntimeError> {
        let (key, slot) = self.slot(id)?;
        let _turn = slot.turn.lock().await;
        loop {
            while let Some(run) = slot.settled().await.run {
                run.end().await.map_err(|source| failed("stop", id, source))?;
                slot.without(&run).await;
            }
            if !self.look_again("stop", id, &key).await? {
                return Ok(());
            }
        }
    }

    async fn remove_data(self: &Arc<Self>, id: &InstanceId) -> Result<(), RuntimeError> {
        let (key, slot) = self.slot(id)?;
        let _turn = slot.turn.lock().await;
        self.look_again("removal of the data", id, &key).await?;
        if let Some(run) = slot.settled().await.run {
            let source =
                io::Error::new(io::ErrorKind::ResourceBusy, format!("process {} still runs", run.process.pid()));
            return Err(failed("removal of the data", id, source));
        }
        let (places, hands, owner) = (Places::of(&self.state_dir, &key, None), Arc::clone(self), id.clone());
        blocking(move || places.remove(&owner, &hands.state_dir))
            .await
            .and_then(|removed| removed)
            .map_err(|source| failed("removal of the data", id, source))
    }

    /// Looks among the processes for a server of the instance that is not known yet, and takes it over.
    async fn look_again(
        self: &Arc<Self>,
        action: &'static str,
        id: &InstanceId,
        key: &str,
    ) -> Result<bool, RuntimeError> {
        let servers = self.scan.now().await.map_err(|source| failed(action, id, source))?;
        let mut adopted = false;
        for server in servers.iter().filter(|server| places::key(&server.labels.id).is_ok_and(|other| other == key)) {
            adopted |= self.adopt(server).map_err(|source| failed(action, id, source))?;
        }
        Ok(adopted)
    }

    /// Takes over a server that was found; false when its instance has one already, or when it has just ended.
    fn adopt(self: &Arc<Self>, server: &Found) -> io::Result<bool> {
        let Ok((key, slot)) = self.slot(&server.labels.id) else { return Ok(false) };
        if slot.state.borrow().run.is_some() {
            return Ok(false);
        }
        let Some(process) = Process::open(server.pid, server.start_ticks)? else { return Ok(false) };
        let log = Places::of(&self.state_dir, &key, None).log;
        tracing::info!(instance = %server.labels.id, pid = server.pid, attached = server.labels.attached, "a running server was found");
        self.look_after(key, &slot, Run::found(process, server.labels.clone(), log));
        Ok(true)
    }

    fn look_after(&self, key: String, slot: &Arc<Slot>, run: Run) {
        let run = Arc::new(run);
        slot.state.send_modify(|state| state.run = Some(Arc::clone(&run)));
        self.changes.name(&run.labels.id);
        let (changes, limiter) = (Arc::clone(&self.changes), Arc::clone(&self.limiter));
        let supervision = Supervision { key, slot: Arc::clone(slot), run, changes, limiter };
        let over = self.over.clone();
        tokio::spawn(async move { over.run_until_cancelled(supervision.run()).await });
    }
}

/// A process is told everything at its start, so it is as declared or has to be another one.
fn drift(run: &Run, id: &InstanceId, workload: &Workload) -> Drift {
    let change = |field: &str, from: String, to: String| Drift::Replace(vec![Change { field: field.to_owned(), from, to }]);
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    if run.labels.id != *id {
        // What runs for a namesake with another uid is never what is declared.
        change("uid", run.labels.id.uid.clone(), id.uid.clone())
    } else if run.labels.hash != workload.hash {
        change("workload", short(&run.labels.hash), short(&workload.hash))
    } else {
        Drift::None
    }
}

fn impossible(id: &InstanceId, why: &str) -> RuntimeError {
    RuntimeError::Unsupported(format!("{id} is run as a process: {why}"))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

fn failed(action: &'static str, id: &InstanceId, source: io::Error) -> RuntimeError {
    RuntimeError::Failed { action, instance: id.to_string(), source }
}
