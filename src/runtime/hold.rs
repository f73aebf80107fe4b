//! A hold on one instance: while a person's command works on its data, no reconciler starts, stops or changes its server.
//!
//! It is a locked file beside the secrets and logs of the instance. The kernel lets go of it when the command ends, however it ends.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use mai_contract::{LockError, LockFile};

const FILE: &str = "held";

/// Held until dropped.
#[derive(Debug)]
pub struct Hold {
    path: PathBuf,
    _lock: LockFile,
}

impl Hold {
    /// Takes hold of the instance that lives in `home`, for `what`, such as "mai reset". The error says who else has.
    pub fn take(home: &Path, what: &str) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(home)?;
        let path = home.join(FILE);
        let holder = format!("{what} (process {})", std::process::id());
        match LockFile::acquire(&path, 0o600, &holder) {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(LockError::Locked { holder }) => {
                Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("{holder} works on it")))
            }
            Err(LockError::Io(error)) => Err(error),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // While it is still locked, so that nobody locks a file that is about to go. A left-over file
        // is harmless.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Who holds the instance that lives in `home`, when somebody does.
pub(super) fn holder(home: &Path) -> Option<String> {
    LockFile::holder(&home.join(FILE)).ok().flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_holds_it_and_is_named_and_a_file_alone_holds_nothing() {
        let place = tempfile::tempdir().unwrap();
        let home = place.path().join("abc");
        assert_eq!(holder(&home), None);
        let hold = Hold::take(&home, "mai reset").unwrap();
        let named = format!("mai reset (process {})", std::process::id());
        assert_eq!(holder(&home), Some(named.clone()));
        assert!(Hold::take(&home, "mai reset").unwrap_err().to_string().contains(&named));
        drop(hold);
        assert_eq!(holder(&home), None);
        std::fs::write(home.join(FILE), "mai reset (process 1)").unwrap();
        assert_eq!(holder(&home), None);
        drop(Hold::take(&home, "mai reset").unwrap());
    }
}
