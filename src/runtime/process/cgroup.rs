//! Control groups, version 1 and 2: plain files below `/sys/fs/cgroup`.

use std::io;
use std::path::{Path, PathBuf};

use crate::core::Limits;

/// CPU time is granted per this many microseconds, the kernel's own default.
const PERIOD_MICROS: u64 = 100_000;
/// Below which our groups are gathered.
const GATHERED: &str = "mai";

/// Resource that a group limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Controller {
    Memory,
    Cpu,
}

impl Controller {
    const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
        }
    }
}

/// A group below which ours can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parent {
    directory: PathBuf,
    unified: bool,
}

/// Parents of new groups for each controller, in order of preference: our own group, then the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    memory: Vec<Parent>,
    cpu: Vec<Parent>,
}

impl Groups {
    /// Reads where control groups are mounted and which are our own. Empty where there are none.
    pub(super) fn find() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let mut groups = Self::parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        for parents in [&mut groups.memory, &mut groups.cpu] {
            parents.retain(|parent| parent.directory.is_dir());
            parents.dedup();
        }
        groups
    }

    /// `mountinfo` as in proc_pid_mountinfo(5), `own` as in cgroups(7).
    fn parse(mountinfo: &str, own: &str) -> Self {
        let parents = |controller: Controller| {
            let mut parents = Vec::new();
            for mount in mountinfo.lines().filter_map(Mount::parse) {
                if !mount.unified && !mount.options.split(',').any(|option| option == controller.name()) {
                    continue;
                }
                let path = own.lines().find_map(|line| {
                    let mut fields = line.splitn(3, ':').skip(1);
                    let (controllers, path) = (fields.next()?, fields.next()?);
                    let is_it = match mount.unified {
                        true => controllers.is_empty(),
                        false => controllers.split(',').any(|name| name == controller.name()),
                    };
                    is_it.then_some(path)
                });
                let below = path.and_then(|path| Path::new(path).strip_prefix(mount.root).ok());
                let own = below.map(|below| Path::new(mount.point).join(below).components().collect());
                for directory in own.into_iter().chain([PathBuf::from(mount.point)]) {
                    parents.push(Parent { directory, unified: mount.unified });
                }
            }
            parents
        };
        Self { memory: parents(Controller::Memory), cpu: parents(Controller::Cpu) }
    }

    /// Moves the process into a group of its own with these limits. Returns whether memory and CPU
    /// are limited.
    pub(super) fn limit(&self, name: &str, pid: u32, limits: Limits) -> (bool, bool) {
        let memory = limits.memory_bytes.is_some_and(|bytes| {
            self.memory.iter().any(|parent| parent.limit(Controller::Memory, name, pid, bytes).is_ok())
        });
        let cpu = limits.cpu_millis.is_some_and(|millis| {
            self.cpu.iter().any(|parent| parent.limit(Controller::Cpu, name, pid, millis).is_ok())
        });
        (memory, cpu)
    }

    /// Removes the groups of a process that is gone. Where there are none, nothing happens.
    pub(super) fn remove(&self, name: &str) {
        for parent in self.memory.iter().chain(&self.cpu) {
            std::fs::remove_dir(parent.directory.join(GATHERED).join(name)).ok();
        }
    }

    /// Removes what groups were gathered below, unless some are left.
    pub(super) fn remove_gathering(&self) {
        for parent in self.memory.iter().chain(&self.cpu) {
            std::fs::remove_dir(parent.directory.join(GATHERED)).ok();
        }
    }
}

impl Parent {
    fn limit(&self, controller: Controller, name: &str, pid: u32, amount: u64) -> io::Result<()> {
        let gathering = self.directory.join(GATHERED);
        let group = gathering.join(name);
        std::fs::create_dir_all(&group)?;
        if self.unified {
            // Refused, for one, where processes live in the directory itself and it is not the
            // root.
            for above in [&self.directory, &gathering] {
                write(&above.join("cgroup.subtree_control"), &format!("+{}", controller.name()))?;
            }
        }
        for (file, value) in settings(controller, self.unified, amount) {
            write(&group.join(file), &value)?;
        }
        write(&group.join("cgroup.procs"), &pid.to_string())
    }
}

fn settings(controller: Controller, unified: bool, amount: u64) -> Vec<(&'static str, String)> {
    let quota = amount.saturating_mul(PERIOD_MICROS / 1000);
    match (controller, unified) {
        (Controller::Memory, true) => vec![("memory.max", amount.to_string())],
        (Controller::Memory, false) => vec![("memory.limit_in_bytes", amount.to_string())],
        (Controller::Cpu, true) => vec![("cpu.max", format!("{quota} {PERIOD_MICROS}"))],
        (Controller::Cpu, false) => {
            vec![("cpu.cfs_period_us", PERIOD_MICROS.to_string()), ("cpu.cfs_quota_us", quota.to_string())]
        }
    }
}

fn write(file: &Path, value: &str) -> io::Result<()> {
    // The file is the kernel's: where it is missing the controller is not available, and it must
    // not be created.
    std::fs::OpenOptions::new()
        .write(true)
        .open(file)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()))
}

struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    options: &'a str,
    unified: bool,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let mut after = after.splitn(3, ' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        let unified = match kind {
            "cgroup2" => true,
            "cgroup" => false,
            _ => return None,
        };
        Some(Self { root, point, options, unified })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn directories(parents: &[Parent]) -> Vec<&str> {
        parents.iter().map(|parent| parent.directory.to_str().unwrap()).collect()
    }

    #[test]
    fn our_own_group_comes_before_the_root_in_both_versions() {
        let v2 = Groups::parse(
            "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n21 1 8:1 / / rw - ext4 /dev/sda rw",
            "0::/system.slice/mai.service\n",
        );
        let expected = ["/sys/fs/cgroup/system.slice/mai.service", "/sys/fs/cgroup"];
        assert_eq!(directories(&v2.memory), expected);
        assert_eq!(directories(&v2.cpu), expected);
        assert!(v2.memory[0].unified);

        let v1 = Groups::parse(
            "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
            "4:memory:/mai\n1:cpu,cpuacct:/\n",
        );
        assert_eq!(directories(&v1.memory), ["/sys/fs/cgroup/memory/mai", "/sys/fs/cgroup/memory"]);
        assert_eq!(directories(&v1.cpu), ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct"]);
        assert!(!v1.memory[0].unified);
    }

    #[test]
    fn in_a_container_the_path_is_taken_relative_to_what_is_mounted() {
        let groups = Groups::parse(
            "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory",
            "4:memory:/docker/abc/inner\n",
        );
        assert_eq!(directories(&groups.memory), ["/sys/fs/cgroup/memory/inner", "/sys/fs/cgroup/memory"]);
        assert_eq!(Groups::parse("", ""), Groups::default());
    }

    #[test]
    fn limits_are_written_in_the_words_of_each_version() {
        let written = |controller, unified, amount| settings(controller, unified, amount);
        assert_eq!(written(Controller::Memory, true, 1 << 30), [("memory.max", "1073741824".to_owned())]);
        assert_eq!(written(Controller::Memory, false, 5), [("memory.limit_in_bytes", "5".to_owned())]);
        assert_eq!(written(Controller::Cpu, true, 1500), [("cpu.max", "150000 100000".to_owned())]);
        let v1 = [("cpu.cfs_period_us", "100000".to_owned()), ("cpu.cfs_quota_us", "50000".to_owned())];
        assert_eq!(written(Controller::Cpu, false, 500), v1);
    }

    #[test]
    fn where_no_controller_is_nothing_is_claimed() {
        let directory = tempfile::tempdir().unwrap();
        let parent = Parent { directory: directory.path().to_owned(), unified: true };
        let groups = Groups { memory: vec![parent.clone()], cpu: vec![parent] };
        let limits = Limits { cpu_millis: Some(100), memory_bytes: Some(1 << 20) };
        assert_eq!(groups.limit("abc", 1, limits), (false, false));
        groups.remove("abc");
        groups.remove_gathering();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
