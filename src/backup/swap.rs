//! Puts a restored directory in the place of the data, in one step: the two are exchanged, so that
//! a data directory is there at each moment, the former or the restored one. The former is then
//! renamed and kept.
//!
//! A record beside the logs of the instance tells which is which. After an interruption the place
//! of each directory, known by its inode, shows how far the swap came.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::BackupError;

/// Between the name of the data directory and the name of a backup that is unpacked beside it.
pub const RESTORE: &str = ".restore-";
/// Between the name of the data directory and the time of a restore, in the name of what was there
/// before.
pub const BEFORE: &str = ".before-restore-";

/// A swap that is planned or done.
#[derive(Clone, Debug)]
pub struct Swap {
    file: PathBuf,
    record: Record,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Record {
    /// The data directory.
    data: PathBuf,
    /// The restored directory beside it.
    restored: PathBuf,
    /// Name of the former data after the swap.
    former: PathBuf,
    data_inode: u64,
    restored_inode: u64,
}

/// Settlement of a swap that was interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The data is what it was before.
    Undone,
    /// The restored data is in its place.
    Completed {
        /// The data before it.
        former: PathBuf,
    },
}

impl Swap {
    /// Plans a swap of `data` with `restored` beside it, and records it in `file`.
    pub fn plan(data: &Path, restored: &Path, at: Timestamp, file: &Path) -> Result<Self, BackupError> {
        let inode = |path: &Path| path.symlink_metadata().map(|of| of.ino()).map_err(BackupError::io("read", path));
        let former = beside(data, BEFORE, &at.strftime("%Y%m%dT%H%M%SZ").to_string());
        let record = Record {
            data: data.to_owned(),
            restored: restored.to_owned(),
            former,
            data_inode: inode(data)?,
            restored_inode: inode(restored)?,
        };
        let swap = Self { file: file.to_owned(), record };
        swap.write().map_err(BackupError::io("written", file))?;
        Ok(swap)
    }

    fn write(&self) -> io::Result<()> {
        let unfinished = self.file.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&serde_json::to_vec(&self.record)?)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &self.file)?;
        sync_parent(&self.file)
    }

    /// Returns where the former data is after the swap.
    pub fn former(&self) -> &Path {
        &self.record.former
    }

    /// Puts the restored data in place. Done twice it changes nothing more.
    pub fn swap(&self) -> Result<(), BackupError> {
        let Record { data, restored, former, .. } = &self.record;
        if self.is_at(data, self.record.data_inode) {
            exchange(data, restored).map_err(BackupError::io("replaced", data))?;
        }
        if self.is_at(restored, self.record.data_inode) {
            std::fs::rename(restored, former).map_err(BackupError::io("renamed", restored))?;
        }
        sync_parent(data).map_err(BackupError::io("written", data))
    }

    /// Puts the former data back and removes the restored one.
    pub fn undo(self) -> Result<(), BackupError> {
        let Record { data, restored, former, data_inode, restored_inode } = &self.record;
        if self.is_at(former, *data_inode) {
            exchange(data, former).map_err(BackupError::io("put back", data))?;
        } else if self.is_at(restored, *data_inode) {
            exchange(data, restored).map_err(BackupError::io("put back", data))?;
        }
        sync_parent(data).map_err(BackupError::io("written", data))?;
        for left in [former, restored] {
            if self.is_at(left, *restored_inode) {
                std::fs::remove_dir_all(left).map_err(BackupError::io("removed", left))?;
            }
        }
        self.finish()
    }

    /// Forgets the swap: what is in place stays there.
    pub fn finish(self) -> Result<(), BackupError> {
        match std::fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::io("removed", &self.file)(error)),
            _ => Ok(()),
        }
    }

    fn is_at(&self, path: &Path, inode: u64) -> bool {
        path.symlink_metadata().is_ok_and(|found| found.is_dir() && found.ino() == inode)
    }

    /// Settles the swap that `file` records, if it records one: what was done is completed, what
    /// was only planned is undone.
    pub fn settle(file: &Path) -> Result<Option<Settled>, BackupError> {
        let text = match std::fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BackupError::io("read", file)(error)),
        };
        let record = serde_json::from_slice(&text).map_err(|error| BackupError::io("read", file)(error.into()))?;
        let swap = Self { file: file.to_owned(), record };
        let Record { data, data_inode, restored_inode, former, .. } = swap.record.clone();
        if swap.is_at(&data, restored_inode) {
            swap.swap()?;
            swap.finish()?;
            return Ok(Some(Settled::Completed { former }));
        }
        if swap.is_at(&data, data_inode) {
            swap.undo()?;
            return Ok(Some(Settled::Undone));
        }
        let what = format!(
            "{} is neither the data before an interrupted `mai restore` nor the restored data; put back by hand what belongs there, and remove {}",
            data.display(),
            file.display()
        );
        Err(BackupError::Unverified { what })
    }
}

/// Returns the path of a directory beside `data`.
pub fn beside(data: &Path, infix: &str, end: &str) -> PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(infix);
    name.push(end);
    PathBuf::from(name)
}

/// Returns the directories beside `data` that a restore unpacked into, by their names: the second it
/// began in.
pub fn unpacked(data: &Path) -> io::Result<Vec<PathBuf>> {
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.rsplit_once(RESTORE).is_some_and(|(_, rest)| {
            let digits = rest.strip_suffix(".data").unwrap_or(rest);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    Ok(leftovers(data, RESTORE)?.into_iter().filter(is_ours).collect())
}

/// Returns the directories beside `data` whose names go on with `infix`.
pub fn leftovers(data: &Path, infix: &str) -> io::Result<Vec<PathBuf>> {
    let (Some(parent), Some(name)) = (data.parent(), data.file_name()) else { return Ok(Vec::new()) };
    let mut start = name.to_owned();
    start.push(infix);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(parent)? {
        let entry = entry?;
        let is_one = entry.file_name().as_encoded_bytes().starts_with(start.as_encoded_bytes());
        if is_one && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Fails unless a directory beside `data` can take its place: `data` is no mount point and holds
/// none, and its file system can exchange two directories.
pub fn expect_swappable(data: &Path) -> Result<(), BackupError> {
    for mount_point in mount_points()? {
        if mount_point == data {
            return refuse(data, "is a mount point of its own");
        }
        if mount_point.starts_with(data) {
            return refuse(data, &format!("has {} mounted in it", mount_point.display()));
        }
    }
    let (first, second) = (beside(data, RESTORE, "trial-1"), beside(data, RESTORE, "trial-2"));
    let made = [&first, &second].map(|path| match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(BackupError::io("made", path)(error)),
        _ => Ok(()),
    });
    let exchanged = made.into_iter().collect::<Result<(), _>>().map(|()| exchange(&first, &second));
    for path in [&first, &second] {
        // It was made here, is empty, or is not there.
        let _ = std::fs::remove_dir(path);
    }
    match exchanged? {
        Ok(()) => Ok(()),
        Err(_) => refuse(data, "is on a file system that cannot exchange two directories in one step"),
    }
}

fn refuse(data: &Path, cause: &str) -> Result<(), BackupError> {
    Err(BackupError::NotSwappable { path: data.to_owned(), cause: cause.to_owned() })
}

/// Returns where file systems are mounted, as this process sees them.
pub(crate) fn mount_points() -> Result<Vec<PathBuf>, BackupError> {
    let path = Path::new("/proc/self/mountinfo");
    let mounts = std::fs::read_to_string(path).map_err(BackupError::io("read", path))?;
    let paths = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(paths.map(|path| PathBuf::from(unescape(path))).collect())
}

/// Returns the path that a line of mountinfo has: spaces and the like are octal there.
fn unescape(text: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .into_iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(errno @ (Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)) => {
            Err(io::Error::new(io::ErrorKind::Unsupported, errno))
        }
        Err(errno) => Err(errno.into()),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    struct Place {
        directory: tempfile::TempDir,
        data: PathBuf,
        restored: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let data = directory.path().join("data");
            let restored = beside(&data, RESTORE, "1");
            for (path, text) in [(&data, "former"), (&restored, "restored")] {
                std::fs::create_dir(path).unwrap();
                std::fs::write(path.join("text"), text).unwrap();
            }
            Self { data, restored, directory }
        }

        fn plan(&self) -> Swap {
            Swap::plan(&self.data, &self.restored, "2026-11-30T02:00:00Z".parse().unwrap(), &self.record()).unwrap()
        }

        fn record(&self) -> PathBuf {
            self.directory.path().join("restore.json")
        }

        fn text(&self) -> String {
            std::fs::read_to_string(self.data.join("text")).unwrap()
        }

        fn names(&self) -> Vec<String> {
            let entries = std::fs::read_dir(self.directory.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    const FORMER: &str = "data.before-restore-20261130T020000Z";

    #[test]
    fn swap_keeps_the_former_data_and_can_be_undone() {
        let place = Place::new();
        expect_swappable(&place.data).unwrap();
        let swap = place.plan();
        swap.swap().unwrap();
        swap.swap().unwrap();
        assert_eq!(
            (place.text().as_str(), place.names()),
            ("restored", vec!["data".into(), FORMER.into(), "restore.json".into()])
        );
        swap.clone().undo().unwrap();
        assert_eq!((place.text().as_str(), place.names()), ("former", vec!["data".to_owned()]));

        let place = Place::new();
        let swap = place.plan();
        swap.swap().unwrap();
        swap.finish().unwrap();
        assert_eq!(place.names(), ["data", FORMER]);
        assert_eq!(Swap::settle(&place.record()).unwrap(), None);
    }

    #[test]
    fn swap_that_was_interrupted_anywhere_is_settled() {
        let settled = |place: &Place| Swap::settle(&place.record()).unwrap().unwrap();
        // Planned.
        let place = Place::new();
        place.plan();
        assert_eq!(settled(&place), Settled::Undone);
        assert_eq!((place.text().as_str(), place.names()), ("former", vec!["data".to_owned()]));

        // Exchanged.
        let place = Place::new();
        place.plan();
        exchange(&place.data, &place.restored).unwrap();
        assert_eq!(settled(&place), Settled::Completed { former: place.directory.path().join(FORMER) });
        assert_eq!((place.text().as_str(), place.names()), ("restored", vec!["data".into(), FORMER.into()]));

        // Swapped.
        let place = Place::new();
        place.plan().swap().unwrap();
        assert!(matches!(settled(&place), Settled::Completed { .. }));
        assert_eq!((place.text().as_str(), place.names()), ("restored", vec!["data".into(), FORMER.into()]));

        // Put back, but the restored data not yet removed.
        let place = Place::new();
        place.plan().swap().unwrap();
        exchange(&place.data, &place.directory.path().join(FORMER)).unwrap();
        assert_eq!(settled(&place), Settled::Undone);
        assert_eq!((place.text().as_str(), place.names()), ("former", vec!["data".to_owned()]));

        // Something else is in its place.
        let place = Place::new();
        place.plan();
        std::fs::rename(&place.data, place.directory.path().join("elsewhere")).unwrap();
        let error = Swap::settle(&place.record()).unwrap_err().to_string();
        assert!(error.contains("put back by hand"), "{error}");
        assert!(place.restored.exists());
    }

    #[test]
    fn mount_points_cannot_be_swapped() {
        for path in ["/proc", "/"] {
            let error = expect_swappable(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains("mount") && error.contains("restore-by-hand.md"), "{error}");
        }
        assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
    }
}
