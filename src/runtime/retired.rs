//! Data and backups of instances whose documents are gone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::core::InstanceId;

/// Places that existing documents use. Nothing of them is retired.
#[derive(Clone, Debug, Default)]
pub struct UsedPlaces {
    /// The instances.
    pub instances: Vec<InstanceId>,
    /// Directories that they declare.
    pub directories: Vec<PathBuf>,
    /// Volumes that they declare.
    pub volumes: BTreeSet<String>,
}

/// Something that was made for an instance whose document is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredData {
    /// The instance. Its uid is empty where that is not known.
    pub owner: InstanceId,
    /// Its kind.
    pub kind: RetiredKind,
    /// Directory, or name of the volume.
    pub place: String,
    /// Directory on this machine, where it can be read from here.
    pub directory: Option<PathBuf>,
}

/// Kind of retired data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetiredKind {
    /// Its data.
    Data,
    /// Its backups.
    Backups,
}

impl UsedPlaces {
    /// Returns whether an existing document has this name.
    pub fn has_instance(&self, namespace: &str, name: &str) -> bool {
        self.instances.iter().any(|id| id.namespace == namespace && id.name == name)
    }

    /// Returns whether an existing document uses a directory, one in it, or one that it lies in.
    pub fn has_directory(&self, path: &Path) -> bool {
        self.directories.iter().any(|used| used.starts_with(path) || path.starts_with(used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_in_or_around_a_used_one_is_used() {
        let used = UsedPlaces { directories: vec!["/srv/abc/data".into()], ..UsedPlaces::default() };
        for (path, expected) in
            [("/srv/abc", true), ("/srv/abc/data", true), ("/srv/abc/data/x", true), ("/srv/abc/data2", false)]
        {
            assert_eq!(used.has_directory(Path::new(path)), expected, "{path}");
        }
    }
}
