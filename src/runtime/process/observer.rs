//! Observes the servers of a state directory that another reconciler supervises. Only reads.

use std::path::PathBuf;

use super::discovery::{self, RunningServer, running_servers};
use super::drift::changes;
use super::job::{self, Life};
use super::paths::{self, InstancePaths};
use super::servers::failed;
use super::stat::Stat;
use crate::core::{InstanceId, Observed, Platform, Presence, Readiness, Workload};
use crate::runtime::probe::{self, Answer};
use crate::runtime::readiness::default_probe;
use crate::runtime::{Observe, RuntimeError};
use crate::runtime::{maintenance, port};

/// Observes servers that another reconciler may supervise.
#[derive(Clone, Debug)]
pub struct ProcessObserver {
    state_dir: PathBuf,
}

impl ProcessObserver {
    /// Returns the observer of a state directory, which need not exist.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: state_dir.into() }
    }

    async fn presence(&self, server: &RunningServer, workload: Option<&Workload>) -> Presence {
        let labels = &server.labels;
        let orphaned = labels.attached && Stat::read(server.pid).is_ok_and(|stat| stat.parent != labels.started_by);
        if orphaned {
            return Presence::Stopping;
        }
        let probe = workload.map_or_else(default_probe, |workload| workload.probe.clone());
        let readiness = match probe::ask(labels.listen, &probe).await {
            Answer::Ready { version } => Readiness::Ready { version },
            // Only its reconciler knows the failures before.
            Answer::NotReady { detail } => Readiness::Failing { probes: 1, detail },
        };
        Presence::Running { since: labels.started_at, readiness }
    }
}

impl Observe for ProcessObserver {
    fn platform(&self) -> Platform {
        Platform::PROCESS
    }

    async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        let key = paths::key(id)?;
        let ours = running_servers(&self.state_dir).map_err(|source| failed("observation", id, source))?;
        let own = |server: &&RunningServer| paths::key(&server.labels.id).is_ok_and(|other| other == key);
        let server = ours.iter().find(own);
        let presence = match server {
            Some(server) => self.presence(server, workload).await,
            None => Presence::Absent,
        };
        let changes = match (server, workload, &presence) {
            (Some(server), Some(workload), Presence::Running { .. }) => {
                changes(&server.labels, server.pid, id, workload)
            }
            _ => Vec::new(),
        };
        let listens = server.map(|server| server.labels.listen);
        let port_holder = workload
            .map(|workload| workload.listen)
            .filter(|wanted| Some(*wanted) != listens && !port::is_free(*wanted).unwrap_or(true))
            .map(|wanted| (port::listeners(wanted), wanted))
            .filter(|(listeners, _)| !ours.iter().filter(own).any(|server| listeners.contains(&server.pid)))
            .map(|(listeners, _)| port::name(&listeners, |pid| discovery::name(&ours, pid)));
        let home = InstancePaths::new(&self.state_dir, &key, None).home;
        let maintenance = maintenance::holder(&home);
        let jobs = job::observe(&home, id, |_| Life::Unknown)
            .map_err(|source| failed("observation of the jobs", id, source))?;
        Ok(Observed {
            jobs,
            presence,
            changes,
            image: None,
            missing: None,
            retained: None,
            last_exit: None,
            port_holder,
            maintenance,
            components: Vec::new(),
        })
    }
}
