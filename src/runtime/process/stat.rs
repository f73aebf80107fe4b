//! `/proc/PID/stat` of a process. Its start time distinguishes it from another with the same
//! number.

use std::io;

/// The few fields that are of interest here; see proc_pid_stat(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// The name of its program, at most 15 bytes.
    pub(super) comm: String,
    /// Ended, and only waits to be reaped.
    pub(super) ended: bool,
    /// Its parent.
    pub(super) parent: u32,
    /// Its process group.
    pub(super) group: u32,
    /// Start time in clock ticks since boot.
    pub(super) start_ticks: u64,
}

impl Stat {
    /// Reads it; `NotFound` when there is no such process.
    pub(super) fn read(pid: u32) -> io::Result<Self> {
        let line = std::fs::read(format!("/proc/{pid}/stat"))?;
        Self::parse(&String::from_utf8_lossy(&line))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat has an unknown form")))
    }

    fn parse(line: &str) -> Option<Self> {
        // The name may hold spaces and parentheses; the fields after its last parenthesis may not.
        let (before, after) = line.rsplit_once(')')?;
        let comm = before.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        Some(Self {
            comm,
            ended: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = "7 (a) S 9 (b) S 1 7 7 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 4711 1000 100 18446744073709551615";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(stat, Stat { comm: "a) S 9 (b".to_owned(), ended: false, parent: 1, group: 7, start_ticks: 4711 });
    }

    #[test]
    fn our_own_process_is_alive_and_a_child_that_ended_is_not() {
        let own = Stat::read(std::process::id()).unwrap();
        assert!(!own.ended && own.start_ticks > 0);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        while !Stat::read(pid).unwrap().ended {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(Stat::read(pid).unwrap().parent, std::process::id());
        child.wait().unwrap();
        assert_eq!(Stat::read(pid).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
