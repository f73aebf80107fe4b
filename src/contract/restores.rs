//! The directory in a data directory that restores work in. A server and a backup leave it alone.
//!
//! While the present data is being exchanged for restored data, a mark in it says so. No server may
//! open the data then, since a part of it belongs to the other.

use std::io;
use std::path::{Path, PathBuf};

/// Name of the directory, at the top of the data.
pub const DIRECTORY: &str = ".mai-restore";

/// Data that the entries at the top of a data directory belong to while it is exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// The data before the restore.
    Former,
    /// The data of the restore.
    Restored,
}

impl Present {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Former, Self::Restored];

    /// Returns the name of the mark in [`DIRECTORY`]. It holds the id of the restore.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Former => "swap.former",
            Self::Restored => "swap.restored",
        }
    }
}

/// Returns the mark of an exchange that has begun in a data directory and has not ended.
pub fn unfinished_swap(data: &Path) -> io::Result<Option<PathBuf>> {
    for present in Present::ALL {
        let mark = data.join(DIRECTORY).join(present.mark());
        match mark.symlink_metadata() {
            Ok(_) => return Ok(Some(mark)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn mark_of_an_unfinished_swap_is_found() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(unfinished_swap(data.path()).unwrap(), None);
        std::fs::create_dir(data.path().join(DIRECTORY)).unwrap();
        assert_eq!(unfinished_swap(data.path()).unwrap(), None);
        let mark = data.path().join(".mai-restore/swap.restored");
        std::fs::write(&mark, "").unwrap();
        assert_eq!(unfinished_swap(data.path()).unwrap(), Some(mark));
    }
}
