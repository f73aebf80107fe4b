//! Limits of a server: by a control group where that is permitted, else by resource limits of the
//! process.
//!
//! A control group counts what is really used and is exact. Without one, memory is limited by
//! `RLIMIT_DATA` (private memory that the process asks for; `RLIMIT_AS` would count mapped files
//! too), and processor time is not limited at all.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::cgroup::Groups;
use crate::core::Limits;

/// Method of limiting servers; the text is for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitedBy {
    /// No limit was declared yet.
    #[default]
    NotDeclared,
    /// Control groups, memory and processor time.
    ControlGroup,
    /// `RLIMIT_DATA` for memory; processor time is not limited.
    ResourceLimit,
    /// Neither is permitted.
    Nothing,
}

impl fmt::Display for LimitedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDeclared => "no limits are declared",
            Self::ControlGroup => "limits are kept by control groups",
            Self::ResourceLimit => {
                "memory is limited by RLIMIT_DATA and processor time is not limited, because control groups cannot be written"
            }
            Self::Nothing => "limits are not kept, because neither control groups nor resource limits can be set",
        })
    }
}

/// Sets and clears limits for the servers of one state directory.
#[derive(Debug)]
pub(super) struct Limiter {
    groups: Groups,
    /// Tells our groups from those of another state directory.
    mark: String,
    used: watch::Sender<LimitedBy>,
    warned: AtomicBool,
}

impl Limiter {
    pub(super) fn new(state_dir: &Path, groups: Groups) -> Self {
        let digest = Sha256::digest(state_dir.as_os_str().as_encoded_bytes());
        Self {
            groups,
            mark: hex::encode(&digest[..4]),
            used: watch::Sender::new(LimitedBy::default()),
            warned: AtomicBool::new(false),
        }
    }

    /// Sets the limits of a process; may be repeated. Never fails: what cannot be limited runs
    /// without, which is logged once.
    pub(super) fn apply(&self, key: &str, pid: u32, limits: Limits) {
        if limits == Limits::default() {
            return;
        }
        let (memory, cpu) = self.groups.limit(&self.group(key), pid, limits);
        let by_group = (memory || limits.memory_bytes.is_none()) && (cpu || limits.cpu_millis.is_none());
        let used = match limits.memory_bytes {
            _ if by_group => LimitedBy::ControlGroup,
            Some(bytes) if !memory && limit_data(pid, bytes).is_err() => LimitedBy::Nothing,
            None => LimitedBy::Nothing,
            Some(_) => LimitedBy::ResourceLimit,
        };
        self.used.send_replace(used);
        if used != LimitedBy::ControlGroup && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(instance = key, "{used}; run mai as root or with a delegated control group");
        }
    }

    /// Clears what was set for a process that is gone.
    pub(super) fn clear(&self, key: &str) {
        self.groups.remove(&self.group(key));
    }

    /// By what the server that was limited last is kept.
    pub(super) fn used(&self) -> LimitedBy {
        *self.used.borrow()
    }

    fn group(&self, key: &str) -> String {
        format!("{key}-{}", self.mark)
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        if self.used() == LimitedBy::ControlGroup {
            self.groups.remove_gathering();
        }
    }
}

fn limit_data(pid: u32, bytes: u64) -> rustix::io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH)?;
    prlimit(Some(pid), Resource::Data, Rlimit { current: Some(bytes), maximum: Some(bytes) }).map(|_| ())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn memory_is_limited_without_control_groups_too() {
        let limiter = Limiter::new(Path::new("/state"), Groups::default());
        assert_eq!(limiter.used(), LimitedBy::NotDeclared);
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        limiter.apply("abc", child.id(), Limits { cpu_millis: None, memory_bytes: Some(64 << 20) });
        let kernel_says = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(limiter.used(), LimitedBy::ResourceLimit);
        let line = kernel_says.lines().find(|line| line.starts_with("Max data size")).unwrap();
        assert_eq!(line.split_ascii_whitespace().nth(3), Some("67108864"), "{line}");
    }

    #[test]
    fn a_processor_limit_that_nobody_keeps_is_not_claimed() {
        let limiter = Limiter::new(Path::new("/state"), Groups::default());
        limiter.apply("abc", std::process::id(), Limits { cpu_millis: Some(500), memory_bytes: None });
        assert_eq!(limiter.used(), LimitedBy::Nothing);
        assert_ne!(Limiter::new(Path::new("/other"), Groups::default()).group("abc"), limiter.group("abc"));
    }
}
