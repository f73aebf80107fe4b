//! A hold on one instance: while a person's command works on its data, no reconciler starts, stops or changes its server.
//!
//! It is a locked file beside the secrets and logs of the instance. The kernel lets go of it when the command ends, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

const FILE: &str = "held";

/// Held until dropped.
#[derive(Debug)]
pub struct Hold {
    path: PathBuf,
    _file: File,
}

impl Hold {
    /// Takes hold of the instance that lives in `home`, for `what`, such as "mai reset". The error says who else has.
    pub fn take(home: &Path, what: &str) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(home)?;
        let path = home.join(FILE);
        loop {
            let mut file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let mut holder = String::new();
                    file.read_to_string(&mut holder)?;
                    let said = format!("{} works on it", holder.trim());
                    return Err(io::Error::new(io::ErrorKind::ResourceBusy, said));
                }
                Err(errno) => return Err(errno.into()),
            }
            // Whoever held it before removes the file last of all: a lock on what is removed keeps nobody out.
            let own = file.metadata()?.ino();
            if path.metadata().is_ok_and(|there| there.ino() == own) {
                file.set_len(0)?;
                writeln!(file, "{what} (process {})", std::process::id())?;
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // What stays is not locked, and holds nothing.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Who holds the instance that lives in `home`, when somebody does.
pub(super) fn holder(home: &Path) -> Option<String> {
    let mut file = File::open(home.join(FILE)).ok()?;
    let held = flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK);
    let mut holder = String::new();
    (held && file.read_to_string(&mut holder).is_ok()).then(|| holder.trim().to_owned())
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
