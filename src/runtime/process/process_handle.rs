//! One process, held by a pidfd: a signal can never reach another that was given the same number,
//! and its end is noticed at once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::stat::Stat;

/// Longest wait for the end of a process after SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// One process; never another that was given the same number later.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    start_ticks: u64,
    fd: AsyncFd<OwnedFd>,
}

/// Exit of a process; only its parent learns it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ExitStatus {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
}

impl Process {
    /// Holds the process `pid` that was started at `start_ticks`; none when it is gone. Needs a
    /// tokio runtime.
    pub(super) fn open(pid: u32, start_ticks: u64) -> io::Result<Option<Self>> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        let fd = match pidfd_open(number, PidfdFlags::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Only now, with the descriptor in hand, is it certain that the number is not given to
        // another.
        match Stat::read(pid) {
            Ok(stat) if stat.start_ticks == start_ticks => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(Some(Self { pid, start_ticks, fd: watch(fd)? }))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn start_ticks(&self) -> u64 {
        self.start_ticks
    }

    /// Returns whether it has ended; costs one system call.
    pub(super) fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.fd.get_ref(), PollFlags::IN)];
        matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..))
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        while !self.has_ended() {
            match self.fd.readable().await {
                Ok(mut guard) if !self.has_ended() => guard.clear_ready(),
                Ok(_) => {}
                // The reactor goes away with the whole program; nobody waits any more.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Sends a signal; a process that has ended takes it without complaint.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.fd.get_ref(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// SIGTERM, and SIGKILL once `grace` is over. Returns when it has ended.
    pub(super) async fn end(&self, grace: Duration) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        if tokio::time::timeout(grace, self.ended()).await.is_ok() {
            return Ok(());
        }
        tracing::warn!(pid = self.pid, ?grace, "did not end within its grace period and is killed");
        self.signal(Signal::KILL)?;
        tokio::time::timeout(KILL_TIMEOUT, self.ended()).await.map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, format!("process {} is still there after SIGKILL", self.pid))
        })
    }

    /// Reaps it and returns its exit. Empty for a process that another one started.
    pub(super) fn reap(&self) -> ExitStatus {
        match waitid(WaitId::PidFd(self.fd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(status)) => ExitStatus { code: status.exit_status(), signal: status.terminating_signal() },
            Ok(None) | Err(_) => ExitStatus::default(),
        }
    }
}

#[expect(
    deprecated,
    reason = "the replacement is unsafe, for types whose descriptor may change; an OwnedFd has the same one all its life"
)]
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::*;

    #[expect(clippy::zombie_processes, reason = "reaped through its pidfd")]
    fn hold(command: &mut Command) -> Process {
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let start_ticks = Stat::read(child.id()).unwrap().start_ticks;
        Process::open(child.id(), start_ticks).unwrap().unwrap()
    }

    #[tokio::test]
    async fn the_end_of_a_child_is_told_with_its_code_or_signal() {
        let process = hold(Command::new("sh").args(["-c", "exit 7"]));
        process.ended().await;
        assert_eq!(process.reap(), ExitStatus { code: Some(7), signal: None });
        let process = hold(Command::new("sleep").arg("60"));
        assert!(!process.has_ended());
        process.signal(Signal::KILL).unwrap();
        process.ended().await;
        assert_eq!(process.reap(), ExitStatus { code: None, signal: Some(9) });
        process.signal(Signal::TERM).unwrap();
    }

    #[tokio::test]
    async fn a_number_that_was_given_to_another_process_opens_nothing() {
        let own = Stat::read(std::process::id()).unwrap();
        assert!(Process::open(std::process::id(), own.start_ticks).unwrap().is_some());
        assert!(Process::open(std::process::id(), own.start_ticks - 1).unwrap().is_none());
        assert!(Process::open(i32::MAX as u32, 1).unwrap().is_none());
    }

    #[tokio::test]
    async fn what_ignores_sigterm_is_killed_once_its_grace_is_over() {
        let process = hold(Command::new("sh").args(["-c", "trap '' TERM; while :; do sleep 0.05; done"]));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let started = Instant::now();
        process.end(Duration::from_millis(300)).await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(300));
        assert_eq!(process.reap(), ExitStatus { code: None, signal: Some(9) });
    }
}
