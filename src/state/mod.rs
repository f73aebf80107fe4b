//! The state database: what has to survive a restart where there is no cluster to store it.
//!
//! It holds what Kubernetes would hold: the last good document of every instance with its uid and
//! generation, its status, its events, the secrets generated for it, and what webhooks were told. One reconciler at a time
//! writes it; others may read it ([`State::open_read_only`]). It makes no decisions.

mod document;
mod event;
mod memory;
mod notified;
mod problem;
mod record;
mod restore;
mod secret;

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::SqlSafeStr;
use sqlx::SqlitePool;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

pub use document::KnownDocument;
pub use event::Event;
pub use problem::Problem;
pub use restore::KnownInstance;

use mai_contract::{LockError, LockFile};

const DATABASE: &str = "state.db";
/// Locked by the reconciler that writes the database.
const LOCK: &str = "mai.lock";
/// Entries of a state directory, also of one that lost its database or was just recovered.
const OWN: [&str; 5] = [DATABASE, LOCK, "instances", "recovery.json", "server.json"];
/// Entry in the root of a file system.
const LOST_AND_FOUND: &str = "lost+found";

/// Failure to use the state database.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the sentences say it")]
pub enum StateError {
    #[error("state database {path}: {source}")]
    Database { path: String, source: sqlx::Error },
    #[error(
        "state directory {directory} is in use by another mai (process {pid}); stop that one, or give this one a state directory of its own"
    )]
    InUse { directory: String, pid: String },
    #[error("state directory {directory} cannot be used: {source}; make it a directory that mai may write")]
    Directory { directory: String, source: io::Error },
    #[error(
        "there is no state in {directory} yet; start the reconciler there once, or name the state directory it uses"
    )]
    Absent { directory: String },
    #[error(
        "{directory} is not empty and holds no state of mai, so nothing was written there; name the state directory with --state-dir, or an empty or new one"
    )]
    Foreign { directory: String },
    #[error("state database {path} holds {what} that cannot be read: {source}; restore the file from a backup")]
    Unreadable { path: String, what: String, source: serde_json::Error },
    #[error("instance {namespace}/{name} is not known to the state database")]
    UnknownInstance { namespace: String, name: String },
}

/// The state database. Clones share it.
#[derive(Clone, Debug)]
pub struct State {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    readers: SqlitePool,
    /// A single connection, so that writes queue here and the database is never busy.
    writer: SqlitePool,
    /// Held as long as any clone lives; absent if opened read-only.
    _lock: Option<LockFile>,
}

impl State {
    /// Opens the state of `directory`, creating both if needed, and keeps other reconcilers out of
    /// it.
    pub async fn open(directory: &Path) -> Result<Self, StateError> {
        let unusable = |source| StateError::Directory { directory: directory.display().to_string(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
        if is_foreign(directory).map_err(unusable)? {
            return Err(StateError::Foreign { directory: directory.display().to_string() });
        }
        let pid = std::process::id().to_string();
        let lock = LockFile::acquire(&directory.join(LOCK), 0o600, &pid).map_err(|error| match error {
            LockError::Locked { holder } => {
                StateError::InUse { directory: directory.display().to_string(), pid: holder }
            }
            LockError::Io(source) => unusable(source),
        })?;
        let path = directory.join(DATABASE);
        // SQLite gives its -wal and -shm files the mode of the database, so creating that first
        // settles all three.
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(unusable)?;
        file.set_permissions(Permissions::from_mode(0o600)).map_err(unusable)?;

        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5));
        let failed = |source| StateError::Database { path: path.display().to_string(), source };
        let writer = pool(1).connect_with(options.clone()).await.map_err(failed)?;
        migrations().run(&writer).await.map_err(|error| failed(error.into()))?;
        let readers = pool(4).connect_with(options.pragma("query_only", "1")).await.map_err(failed)?;
        Ok(Self { inner: Arc::new(Inner { path, readers, writer, _lock: Some(lock) }) })
    }

    /// Opens the state of `directory` read-only, while a reconciler may be at work.
    pub async fn open_read_only(directory: &Path) -> Result<Self, StateError> {
        let path = directory.join(DATABASE);
        if !path.exists() {
            return Err(StateError::Absent { directory: directory.display().to_string() });
        }
        // Without a write-ahead log nobody has it open, and reading must not create one either.
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(true)
            .immutable(!Path::new(&log).exists())
            .busy_timeout(Duration::from_secs(5));
        let readers = pool(2)
            .connect_with(options)
            .await
            .map_err(|source| StateError::Database { path: path.display().to_string(), source })?;
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'documents'")
            .fetch_one(&readers)
            .await
            .map_err(|source| StateError::Database { path: path.display().to_string(), source })?;
        // Its tables are created in one transaction; before that it is still being created.
        if tables == 0 {
            readers.close().await;
            return Err(StateError::Absent { directory: directory.display().to_string() });
        }
        Ok(Self { inner: Arc::new(Inner { path, writer: readers.clone(), readers, _lock: None }) })
    }

    /// Returns the process id of the reconciler of `directory`, if one runs.
    pub fn holder(directory: &Path) -> Result<Option<String>, StateError> {
        LockFile::holder(&directory.join(LOCK))
            .map_err(|source| StateError::Directory { directory: directory.display().to_string(), source })
    }

    /// Closes the database cleanly; other clones cannot use it afterwards.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    fn failed(&self, source: sqlx::Error) -> StateError {
        StateError::Database { path: self.inner.path.display().to_string(), source }
    }

    fn unreadable(&self, what: impl Into<String>, source: serde_json::Error) -> StateError {
        StateError::Unreadable { path: self.inner.path.display().to_string(), what: what.into(), source }
    }
}

/// Returns whether a directory has other content and nothing of ours.
fn is_foreign(directory: &Path) -> io::Result<bool> {
    let names: Vec<_> = std::fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .filter(|name| !name.as_ref().is_ok_and(|name| name == LOST_AND_FOUND))
        .collect::<Result<_, _>>()?;
    Ok(!names.is_empty() && !names.iter().any(|name| OWN.iter().any(|own| name == own)))
}

/// Returns the migrations of the database. A published one never changes.
fn migrations() -> Migrator {
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "state", include_str!("migrations/0001_state.sql")),
        migration(2, "notified", include_str!("migrations/0002_notified.sql")),
        migration(3, "refused", include_str!("migrations/0003_refused.sql")),
    ])
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(connections).idle_timeout(None).max_lifetime(None)
}

/// Returns the current time, as exactly as it is stored.
fn now() -> Timestamp {
    from_millis(Timestamp::now().as_millisecond())
}

fn from_millis(millis: i64) -> Timestamp {
    // Only values of `as_millisecond` are ever stored, so the range always fits.
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn directory_with_other_content_is_foreign() {
        for (entries, expected) in [
            (&[][..], false),
            (&["lost+found"], false),
            (&["state.db"], false),
            (&["instances", "engine-id"], false),
            (&["recovery.json"], false),
            (&["mai.lock", "photos"], false),
            (&["photos"], true),
            (&["etc", "lost+found"], true),
            (&["runtime"], true),
        ] {
            let directory = tempfile::tempdir().unwrap();
            entries.iter().for_each(|entry| std::fs::write(directory.path().join(entry), "").unwrap());
            assert_eq!(is_foreign(directory.path()).unwrap(), expected, "{entries:?}");
        }
    }
}
