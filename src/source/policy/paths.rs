//! Paths as the system would follow them.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Returns a path without symbolic links. What does not exist yet is added to its deepest directory
/// that does; nothing is returned where that cannot be known, as for a link that leads nowhere.
pub(super) fn resolve(path: &Path) -> Option<PathBuf> {
    if path.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let mut missing = Vec::new();
    let mut there = path;
    loop {
        match there.canonicalize() {
            Ok(mut real) => {
                real.extend(missing.iter().rev());
                return Some(real);
            }
            // A dangling link may lead anywhere once its target exists.
            Err(_) if there.symlink_metadata().is_ok() => return None,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                missing.push(there.file_name()?.to_owned());
                there = there.parent()?;
            }
            Err(_) => return None,
        }
    }
}

/// Returns a directory above a path and below its base that others than root and this user may
/// write, so that they can replace what is in it by a link. Both paths are without links.
pub(super) fn writable_between(base: &Path, path: &Path) -> Option<PathBuf> {
    let above = path.ancestors().skip(1).take_while(|above| *above != base && above.starts_with(base));
    let own = rustix::process::geteuid().as_raw();
    above
        .filter(|above| {
            above.metadata().is_ok_and(|found| ![0, own].contains(&found.uid()) || found.mode() & 0o022 != 0)
        })
        .last()
        .map(Path::to_owned)
}

/// Returns whether one path holds the other.
pub(super) fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_to_where_they_lead() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("a/b")).unwrap();
        std::os::unix::fs::symlink("/etc", base.join("link")).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", base.join("dangling")).unwrap();
        std::os::unix::fs::symlink("self", base.join("self")).unwrap();
        for (path, expected) in [
            (base.join("a/b"), Some(base.join("a/b"))),
            (base.join("a/new/er"), Some(base.join("a/new/er"))),
            (base.join("link/x"), Some(PathBuf::from("/etc/x"))),
            (base.join("dangling"), None),
            (base.join("dangling/x"), None),
            (base.join("self"), None),
            (base.join("a/../b"), None),
        ] {
            assert_eq!(resolve(&path), expected, "{}", path.display());
        }
    }

    #[test]
    fn directory_that_others_write_is_found_above_a_path() {
        use std::os::unix::fs::PermissionsExt;
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("own/shared/data")).unwrap();
        assert_eq!(writable_between(&base, &base.join("own/shared/data")), None);
        std::fs::set_permissions(base.join("own/shared"), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(writable_between(&base, &base.join("own/shared/data")), Some(base.join("own/shared")));
        assert_eq!(writable_between(&base, &base.join("own/shared")), None);
        assert_eq!(writable_between(&base.join("own/shared"), &base.join("own/shared/new")), None);
    }
}
