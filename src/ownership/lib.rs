//! Changes the owner of directory trees. Follows no link, so that nobody who may write in a tree
//! can redirect the change out of it.

use std::io;
use std::path::Path;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fchmod, fchown, fstat, openat, statat,
};

/// Entries of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryCount {
    /// All files, directories and links, the top included.
    pub total: u64,
    /// Those that got another owner or more permissions for it.
    pub changed: u64,
}

/// Change of the owner of a directory of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnershipChange {
    /// The volume or directory.
    pub place: String,
    /// User and group that it belongs to now.
    pub owner: (u32, u32),
    /// Its entries; None where only the directory itself could be reached.
    pub count: Option<EntryCount>,
}

/// Gives `top` and its contents to a user and a group, with permission to read and write.
pub fn chown_tree(top: &Path, user: u32, group: u32) -> io::Result<EntryCount> {
    let mut count = EntryCount::default();
    let directory = openat(CWD, top, directory_flags(), Mode::empty())?;
    let owner = Owner { user: Uid::from_raw(user), group: Gid::from_raw(group) };
    owner.chown_directory(directory, &mut count)?;
    Ok(count)
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

struct Owner {
    user: Uid,
    group: Gid,
}

impl Owner {
    fn owns(&self, stat: &Stat) -> bool {
        stat.st_uid == self.user.as_raw() && stat.st_gid == self.group.as_raw()
    }

    fn chown_directory(&self, directory: OwnedFd, count: &mut EntryCount) -> io::Result<()> {
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    self.chown_directory(openat(&directory, name, directory_flags(), Mode::empty())?, count)?;
                }
                FileType::RegularFile => {
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                    self.chown_open(&openat(&directory, name, flags, Mode::empty())?, Mode::RUSR | Mode::WUSR, count)?;
                }
                _ => {
                    count.total += 1;
                    if !self.owns(&stat) {
                        let flags = AtFlags::SYMLINK_NOFOLLOW;
                        chownat(&directory, name, Some(self.user), Some(self.group), flags)?;
                        count.changed += 1;
                    }
                }
            }
        }
        // Last, so that an interrupted change starts again.
        self.chown_open(&directory, Mode::RWXU, count)
    }

    fn chown_open(&self, file: impl AsFd, least: Mode, count: &mut EntryCount) -> io::Result<()> {
        let stat = fstat(&file)?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        count.total += 1;
        if self.owns(&stat) && mode.contains(least) {
            return Ok(());
        }
        if !self.owns(&stat) {
            fchown(&file, Some(self.user), Some(self.group))?;
        }
        if !mode.contains(least) {
            fchmod(&file, mode | least)?;
        }
        count.changed += 1;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn tree_becomes_readable_by_its_owner_without_following_links() {
        let (place, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let (below, file, other) = (place.path().join("a"), place.path().join("a/b"), outside.path().join("c"));
        std::fs::create_dir(&below).unwrap();
        std::fs::write(&file, "").unwrap();
        std::fs::write(&other, "").unwrap();
        std::os::unix::fs::symlink(&other, below.join("file-link")).unwrap();
        std::os::unix::fs::symlink(outside.path(), below.join("directory-link")).unwrap();
        set(&file, 0o440);
        set(&other, 0o440);
        let count = chown_tree(place.path(), user, group).unwrap();
        assert_eq!(count, EntryCount { total: 5, changed: 1 });
        assert_eq!((mode(&file), mode(&other)), (0o640, 0o440));
        assert_eq!(chown_tree(place.path(), user, group).unwrap().changed, 0);
        assert!(chown_tree(&below.join("directory-link"), user, group).is_err());
    }
}
