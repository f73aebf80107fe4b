//! Small files that are there whole or not at all, readable by nobody else.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::RecoveryError;

/// Returns the file that [`write`] leaves where it is interrupted.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Writes a file of `mode` in place of whatever has its name.
pub(super) fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), RecoveryError> {
    let unfinished = &unfinished(path);
    let failed = RecoveryError::io("written", path);
    let write = || {
        // Left by an interrupted run, maybe with another mode.
        match std::fs::remove_file(unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(unfinished, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    write().map_err(failed)
}

/// Writes a value as JSON, for its owner alone.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), RecoveryError> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| RecoveryError::io("written", path)(error.into()))?;
    write(path, &text, 0o600)
}

/// Reads what [`write_json`] wrote; None where there is no such file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecoveryError> {
    let failed = RecoveryError::io("read", path);
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Makes a directory and those above it, each that is missing for its owner alone.
pub(super) fn make_directory(path: &Path) -> Result<(), RecoveryError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(RecoveryError::io("made", path))
}

/// Removes a directory with all that is in it, if it is there.
pub(super) fn remove_directory(path: &Path) -> Result<(), RecoveryError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RecoveryError::io("removed", path)(error)),
        _ => Ok(()),
    }
}
