//! The request of an administrator for another key at the upstream, as a file next to the secrets and
//! logs of the instance. A left-over request is harmless: one that was handled is known by its name.

use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::core::InstanceId;

/// The request of an instance.
#[derive(Clone, Debug)]
pub struct KeyRotationFile(PathBuf);

impl KeyRotationFile {
    /// Name of the file.
    pub(super) const NAME: &str = "key-rotation-request";

    /// Returns the request of the instance whose files are in `home`.
    pub fn new(home: &Path) -> Self {
        Self(home.join(Self::NAME))
    }

    /// Writes a request in place of an earlier one.
    pub fn ask(&self, id: &InstanceId, name: &str) -> io::Result<()> {
        if let Some(home) = self.0.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(home)?;
        }
        let unfinished = self.0.with_extension(format!("{}.new", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        io::Write::write_all(&mut file, format!("{} {name}\n", id.uid).as_bytes())?;
        std::fs::rename(&unfinished, &self.0)
    }

    /// Returns the name of the newest request of the instance, whether it was handled or not.
    pub(super) fn newest(&self, id: &InstanceId) -> io::Result<Option<String>> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let request = text.trim_end().split_once(' ').filter(|(uid, _)| *uid == id.uid);
        Ok(request.map(|(_, name)| name.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn newest_request_is_of_its_instance_alone() {
        let id = |uid: &str| InstanceId { namespace: "n".into(), name: "a".into(), uid: uid.into() };
        let home = tempfile::tempdir().unwrap();
        let file = KeyRotationFile::new(&home.path().join("a"));
        assert_eq!(file.newest(&id("1")).unwrap(), None);
        file.ask(&id("1"), "first").unwrap();
        file.ask(&id("1"), "second").unwrap();
        assert_eq!(file.newest(&id("1")).unwrap().as_deref(), Some("second"));
        assert_eq!(file.newest(&id("2")).unwrap(), None);
    }
}
