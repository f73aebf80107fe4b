//! The data directory of a stopped server, locked so that none can be started on it.

use std::{
    io,
    os::unix::fs::{MetadataExt, lchown},
    path::{Path, PathBuf},
};

use mai_contract::{
    files::{DATABASE, LOCK},
    restores,
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    ServeError,
    audit::{self, Action, Actor, Event},
    auth::INSTANCE_ID,
    lock::DataDirectoryLock,
};

/// A locked data directory. Dropping it releases the lock.
#[derive(Debug)]
pub struct OfflineData {
    directory: PathBuf,
    _lock: DataDirectoryLock,
}

impl OfflineData {
    /// Locks the directory as a server would. The error names the process that has the lock.
    pub fn lock(directory: &Path) -> Result<Self, ServeError> {
        let failed = |source| ServeError::DataDirectoryNotWritable { path: directory.to_owned(), source };
        let owner = directory.metadata().map_err(failed)?;
        let lock = DataDirectoryLock::acquire(directory)?;
        let file = directory.join(LOCK);
        // Owned by root it would block the server forever.
        if file.symlink_metadata().map_err(failed)?.uid() != owner.uid() {
            lchown(&file, Some(owner.uid()), Some(owner.gid())).map_err(failed)?;
        }
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    /// Path of the database.
    pub(super) fn database(&self) -> PathBuf {
        self.directory.join(DATABASE)
    }

    /// Removes the settings saved in the pages, such as the upstream connection, and returns their
    /// number. Users, chats and usage stay.
    pub async fn clear_settings(&self) -> Result<u64, ServeError> {
        let file = self.database();
        if !file.symlink_metadata().is_ok_and(|file| file.is_file()) {
            return Ok(0);
        }
        let failed = |error: sqlx::Error| ServeError::Database(error.into());
        let options = SqliteConnectOptions::new().filename(&file);
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
        // Nobody saved the id of the data, and people stay signed in by it.
        let mut transaction = connection.begin().await.map_err(failed)?;
        let cleared = sqlx::query("DELETE FROM setting WHERE key <> ?").bind(INSTANCE_ID);
        let cleared = cleared.execute(&mut *transaction).await.map_err(failed)?.rows_affected();
        // A database of a version before the audit log has none.
        let has_audit = sqlx::query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit'");
        if has_audit.fetch_optional(&mut *transaction).await.map_err(failed)?.is_some() {
            let event = Event::new(Action::ConfigurationReset, Actor::server()).with("cleared", cleared);
            audit::record(&mut transaction, event).await.map_err(ServeError::Database)?;
        }
        transaction.commit().await.map_err(failed)?;
        connection.close().await.map_err(failed)?;
        Ok(cleared)
    }

    /// Removes everything but the lock file and what restores keep.
    pub fn clear(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name() == LOCK || entry.file_name() == restores::DIRECTORY {
                continue;
            }
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}
