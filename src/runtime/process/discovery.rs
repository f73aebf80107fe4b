//! Finds the servers and jobs of a state directory among the processes of this machine.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::labels::{JobLabels, Labels};
use super::process_handle::Process;
use super::restart_request;
use super::stat::Stat;

/// A server that runs, recognised by its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningServer {
    /// Its process id.
    pub pid: u32,
    /// Labels in its environment.
    pub labels: Labels,
    /// Start time in clock ticks since boot: with `pid`, names one process for good.
    pub(super) start_ticks: u64,
}

impl RunningServer {
    /// Ends it as [`RunningServer::end`] does. The reconciler, which reads the request in `home`,
    /// starts it again at once and counts no failure.
    pub(super) async fn end_for_restart(&self, home: &Path, grace: Duration) -> io::Result<()> {
        restart_request::write(home, self.pid, self.start_ticks)?;
        self.end(grace).await
    }

    /// Ends it by SIGTERM, and by SIGKILL after `grace`. Returns when it has ended.
    pub async fn end(&self, grace: Duration) -> io::Result<()> {
        end(self.pid, self.start_ticks, grace).await
    }
}

async fn end(pid: u32, start_ticks: u64, grace: Duration) -> io::Result<()> {
    match Process::open(pid, start_ticks)? {
        Some(process) => process.end(grace).await,
        None => Ok(()),
    }
}

/// Returns the display name of a process that is one of `servers`.
pub(super) fn name(servers: &[RunningServer], pid: u32) -> Option<String> {
    servers.iter().find(|server| server.pid == pid).map(|server| format!("the server of {}", server.labels.id))
}

/// A job that runs, recognised by its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunningJob {
    /// Its process id.
    pub(super) pid: u32,
    /// Labels in its environment.
    pub(super) labels: JobLabels,
    /// Start time in clock ticks since boot.
    pub(super) start_ticks: u64,
}

impl RunningJob {
    /// Ends it as [`RunningServer::end`] does.
    pub(super) async fn end(&self, grace: Duration) -> io::Result<()> {
        end(self.pid, self.start_ticks, grace).await
    }
}

/// Returns the servers of `state_dir` that run now, whoever started them, oldest first. Finds only
/// those of the user of this process.
pub fn running_servers(state_dir: &Path) -> io::Result<Vec<RunningServer>> {
    let mut found = scan(state_dir, |state_dir, Leader { pid, start_ticks, environ }| {
        Some(RunningServer { pid, labels: Labels::parse(&environ, state_dir)?, start_ticks })
    })?;
    found.sort_by_key(|server| (server.labels.started_at, server.pid));
    Ok(found)
}

/// Returns the jobs of `state_dir` that run now, as [`running_servers`].
pub(super) fn running_jobs(state_dir: &Path) -> io::Result<Vec<RunningJob>> {
    scan(state_dir, |state_dir, Leader { pid, start_ticks, environ }| {
        Some(RunningJob { pid, labels: JobLabels::parse(&environ, state_dir)?, start_ticks })
    })
}

/// A process that leads a process group of its own, as servers and jobs do. Their children inherit
/// the environment, but not that.
struct Leader {
    pid: u32,
    start_ticks: u64,
    environ: Vec<u8>,
}

/// Returns the leaders of the user of this process that `recognise` accepts.
fn scan<T>(state_dir: &Path, recognise: impl Fn(&Path, Leader) -> Option<T>) -> io::Result<Vec<T>> {
    let state_dir = match state_dir.canonicalize() {
        Ok(state_dir) => state_dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let own_user = rustix::process::geteuid().as_raw();
    let own_pid = std::process::id();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end between any two of these reads; then it is not one of ours.
        let mine = pid != own_pid && entry.metadata().is_ok_and(|process| process.uid() == own_user);
        if mine && let Some(leader) = inspect(pid) {
            found.extend(recognise(&state_dir, leader));
        }
    }
    Ok(found)
}

fn inspect(pid: u32) -> Option<Leader> {
    let stat = Stat::read(pid).ok()?;
    if stat.ended || stat.group != pid {
        return None;
    }
    let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    Some(Leader { pid, start_ticks: stat.start_ticks, environ })
}
