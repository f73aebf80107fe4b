//! Finds the servers of a state directory among the processes of this machine.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::labels::Labels;
use super::pidfd::Process;
use super::stat::Stat;

/// A server that runs, recognised by what it carries in its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its process id.
    pub pid: u32,
    /// What it carries.
    pub labels: Labels,
    /// Start time in clock ticks since boot: with `pid`, names one process for good.
    pub(super) start_ticks: u64,
}

impl Found {
    /// Ends it: SIGTERM, and SIGKILL once `grace` is over. Returns when it is gone, at once when it already was.
    pub async fn end(&self, grace: Duration) -> io::Result<()> {
        match Process::open(self.pid, self.start_ticks)? {
            Some(process) => process.end(grace).await,
            None => Ok(()),
        }
    }
}

/// What a process is called when it is one of `servers`.
pub(super) fn name(servers: &[Found], pid: u32) -> Option<String> {
    servers.iter().find(|server| server.pid == pid).map(|server| format!("the server of {}", server.labels.id))
}

/// The servers of `state_dir` that run now, whoever started them, oldest first. Only those of the user who asks are seen.
pub fn running(state_dir: &Path) -> io::Result<Vec<Found>> {
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
        // A process may end between any two of these reads: then it is none of ours.
        let mine = pid != own_pid && entry.metadata().is_ok_and(|process| process.uid() == own_user);
        if mine && let Some(server) = look_at(pid, &state_dir) {
            found.push(server);
        }
    }
    found.sort_by_key(|server| (server.labels.started_at, server.pid));
    Ok(found)
}

fn look_at(pid: u32, state_dir: &Path) -> Option<Found> {
    let stat = Stat::of(pid).ok()?;
    // Servers lead a process group of their own. What a server might start inherits its environment, but not that.
    if stat.ended || stat.group != pid {
        return None;
    }
    let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let labels = Labels::parse(&environ, state_dir)?;
    Some(Found { pid, labels, start_ticks: stat.start_ticks })
}
