//! Observes, starts, stops and removes the server of one instance.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::discovery::{self, RunningServer};
use super::drift::changes;
use super::launch::{Launched, launch};
use super::limits::Limiter;
use super::paths::{self, InstancePaths};
use super::process_handle::Process;
use super::run::{Run, Slot, SlotState};
use super::scan::Scan;
use super::supervision::Supervision;
use crate::core::{InstanceId, Observed, ObservedJobs, Presence, Workload};
use crate::runtime::changes::Changes;
use crate::runtime::{RuntimeError, maintenance, port};

/// State of the runtime, shared with the tasks that supervise its servers.
#[derive(Debug)]
pub(super) struct Servers {
    /// Without symbolic links: servers are recognised by it.
    pub(super) state_dir: PathBuf,
    pub(super) program: PathBuf,
    pub(super) detach: bool,
    /// By key; the id is the one that was observed last.
    pub(super) slots: Mutex<HashMap<String, (InstanceId, Arc<Slot>)>>,
    pub(super) changes: Arc<Changes>,
    pub(super) limiter: Arc<Limiter>,
    pub(super) scan: Scan,
    /// No more starts.
    pub(super) closed: AtomicBool,
    /// Cancelled when supervision ends.
    pub(super) over: CancellationToken,
}

impl Servers {
    fn slot(&self, id: &InstanceId) -> Result<(String, Arc<Slot>), RuntimeError> {
        let key = paths::key(id)?;
        let mut slots = self.slots.lock();
        let (known, slot) = slots.entry(key.clone()).or_insert_with(|| (id.clone(), Arc::default()));
        known.clone_from(id);
        Ok((key, Arc::clone(slot)))
    }

    /// Returns the instances that were ever observed or found.
    pub(super) fn known(&self) -> Vec<InstanceId> {
        let slots = self.slots.lock();
        slots.values().map(|(id, _)| id.clone()).collect()
    }

    /// Observes an instance, as [`crate::runtime::Observe::observe`].
    pub(super) async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        let (key, slot) = self.slot(id)?;
        let SlotState { run, last_exit } = slot.settled().await;
        if let (Some(run), Some(workload)) = (&run, workload) {
            run.set_declared(workload);
            if run.labels.hash == workload.hash && run.claim_limits() {
                self.limiter.apply(&key, run.process.pid(), workload.limits);
            }
        }
        if let Some(run) = run.as_ref().filter(|run| !run.is_ending() && run.was_found) {
            run.readiness.probe_first().await;
        }
        let presence = match &run {
            None => Presence::Absent,
            Some(run) if run.is_ending() => Presence::Stopping,
            Some(run) => Presence::Running { since: run.labels.started_at, readiness: run.readiness.readiness() },
        };
        let changes = match (&run, workload) {
            (Some(run), Some(workload)) if !run.is_ending() => changes(&run.labels, run.process.pid(), id, workload),
            _ => Vec::new(),
        };
        let wanted = workload.map(|workload| workload.listen);
        let port_holder = match (&presence, wanted) {
            (Presence::Stopping, _) | (_, None) => None,
            (_, Some(wanted)) if run.as_ref().is_some_and(|run| run.labels.listen == wanted) => None,
            (_, Some(wanted)) => self.port_holder(&key, id, wanted).await?,
        };
        let maintenance = maintenance::holder(&InstancePaths::new(&self.state_dir, &key, None).home);
        Ok(Observed {
            jobs: ObservedJobs::default(),
            presence,
            changes,
            image: None,
            missing: None,
            retained: None,
            last_exit,
            port_holder,
            maintenance,
            components: Vec::new(),
        })
    }

    /// Returns another listener on the address of `id`.
    async fn port_holder(
        &self,
        key: &str,
        id: &InstanceId,
        wanted: SocketAddr,
    ) -> Result<Option<String>, RuntimeError> {
        // An address that cannot be bound at all has no holder; the start reports why.
        if port::is_free(wanted).unwrap_or(true) {
            return Ok(None);
        }
        let ours = self.scan.now().await.map_err(|source| failed("look-up of the port", id, source))?;
        let listeners = blocking(move || port::listeners(wanted)).await.unwrap_or_default();
        let own: Vec<u32> = ours
            .iter()
            .filter(|server| paths::key(&server.labels.id).is_ok_and(|other| other == key))
            .map(|server| server.pid)
            .collect();
        if listeners.iter().any(|pid| own.contains(pid)) {
            return Ok(None);
        }
        Ok(Some(port::name(&listeners, |pid| discovery::name(&ours, pid))))
    }

    pub(super) async fn start(self: &Arc<Self>, workload: &Workload) -> Result<(), RuntimeError> {
        let id = &workload.id;
        let (key, slot) = self.slot(id)?;
        let _turn = slot.turn.lock().await;
        if self.closed.load(Ordering::Acquire) {
            return Err(failed("start", id, io::Error::other("mai is shutting down")));
        }
        self.adopt_missed("start", id, &key).await?;
        if let Some(run) = slot.settled().await.run {
            let already = format!("process {} runs for it already", run.process.pid());
            return Err(failed("start", id, io::Error::new(io::ErrorKind::AlreadyExists, already)));
        }
        let paths = InstancePaths::new(&self.state_dir, &key, Some(workload));
        let log = paths.log.clone();
        let Launched { pid, start_ticks, labels, log_from, stdin } = {
            let (servers, workload, key) = (Arc::clone(self), workload.clone(), key.clone());
            blocking(move || {
                let launched = launch(&servers.program, &servers.state_dir, &paths, &workload, !servers.detach)?;
                servers.limiter.apply(&key, launched.pid, workload.limits);
                Ok(launched)
            })
            .await
            .map_err(|source| failed("start", id, source))??
        };
        let process = Process::open(pid, start_ticks)
            .and_then(|process| process.ok_or_else(|| io::Error::other("its process vanished")))
            .map_err(|source| failed("start", id, source))?;
        let run = Run::started(process, labels, log, log_from, stdin);
        run.set_declared(workload);
        self.supervise(key, &slot, run);
        Ok(())
    }

    pub(super) async fn stop(self: &Arc<Self>, id: &InstanceId) -> Result<(), RuntimeError> {
        let (key, slot) = self.slot(id)?;
        let _turn = slot.turn.lock().await;
        loop {
            while let Some(run) = slot.settled().await.run {
                run.end().await.map_err(|source| failed("stop", id, source))?;
                slot.without(&run).await;
            }
            if !self.adopt_missed("stop", id, &key).await? {
                return Ok(());
            }
        }
    }

    pub(super) async fn remove_data(self: &Arc<Self>, id: &InstanceId, and_backups: bool) -> Result<(), RuntimeError> {
        let (key, slot) = self.slot(id)?;
        let _turn = slot.turn.lock().await;
        self.adopt_missed("removal of the data", id, &key).await?;
        if let Some(run) = slot.settled().await.run {
            let source =
                io::Error::new(io::ErrorKind::ResourceBusy, format!("process {} still runs", run.process.pid()));
            return Err(failed("removal of the data", id, source));
        }
        let (paths, servers, owner) = (InstancePaths::new(&self.state_dir, &key, None), Arc::clone(self), id.clone());
        let remove = if and_backups { InstancePaths::remove } else { InstancePaths::remove_data };
        blocking(move || remove(&paths, &owner, &servers.state_dir))
            .await
            .and_then(|removed| removed)
            .map_err(|source| failed("removal of the data", id, source))
    }

    /// Adopts servers of the instance that are not known yet. Returns whether there were any.
    async fn adopt_missed(
        self: &Arc<Self>,
        action: &'static str,
        id: &InstanceId,
        key: &str,
    ) -> Result<bool, RuntimeError> {
        let servers = self.scan.now().await.map_err(|source| failed(action, id, source))?;
        let mut adopted = false;
        for server in servers.iter().filter(|server| paths::key(&server.labels.id).is_ok_and(|other| other == key)) {
            adopted |= self.adopt(server).map_err(|source| failed(action, id, source))?;
        }
        Ok(adopted)
    }

    /// Adopts a server that was found. Returns false when its instance has one already, or when it
    /// has just ended.
    pub(super) fn adopt(self: &Arc<Self>, server: &RunningServer) -> io::Result<bool> {
        let Ok((key, slot)) = self.slot(&server.labels.id) else { return Ok(false) };
        if slot.state.borrow().run.is_some() {
            return Ok(false);
        }
        let Some(process) = Process::open(server.pid, server.start_ticks)? else { return Ok(false) };
        let log = InstancePaths::new(&self.state_dir, &key, None).log;
        tracing::info!(instance = %server.labels.id, pid = server.pid, attached = server.labels.attached, "a running server was found");
        self.supervise(key, &slot, Run::found(process, server.labels.clone(), log));
        Ok(true)
    }

    fn supervise(&self, key: String, slot: &Arc<Slot>, run: Run) {
        let run = Arc::new(run);
        slot.state.send_modify(|state| state.run = Some(Arc::clone(&run)));
        self.changes.name(&run.labels.id);
        let (changes, limiter) = (Arc::clone(&self.changes), Arc::clone(&self.limiter));
        let supervision = Supervision { key, slot: Arc::clone(slot), run, changes, limiter };
        let over = self.over.clone();
        tokio::spawn(async move { over.run_until_cancelled(supervision.run()).await });
    }
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

pub(super) fn failed(action: &'static str, id: &InstanceId, source: io::Error) -> RuntimeError {
    RuntimeError::Io { action, instance: id.to_string(), source }
}
