//! Opens the database and migrates it; gives access to the readers and the writer.

use std::{fs::Permissions, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use futures::future::BoxFuture;
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::batch::Batch;
use super::error::DatabaseError;
use super::migrations;
use super::readers::Readers;
use super::writer::Writer;

/// The open database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    readers: Readers,
    quick_readers: Readers,
    writer: Writer,
}

impl Database {
    /// Opens the file, creating it if needed, and runs the missing migrations.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, DatabaseError> {
        let path = path.as_ref();
        keep_private(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .pragma("temp_store", "memory")
            .pragma("journal_size_limit", "67108864")
            .optimize_on_close(true, 400)
            .disable_statement_logging();
        let mut connection = SqliteConnection::connect_with(&options).await?;
        migrations::all().run(&mut connection).await?;

        // While another program keeps the database locked, the writer looks between two tries whether
        // a job has waited for too long.
        sqlx::query("PRAGMA busy_timeout = 1000").execute(&mut connection).await?;

        let options = options.create_if_missing(false).read_only(true).optimize_on_close(false, None);
        let (readers, quick_readers) = (Readers::new(options.clone(), 4), Readers::new(options, 2));
        Ok(Self { readers, quick_readers, writer: Writer::start(connection) })
    }

    /// Read-only connections.
    pub fn reader(&self) -> &Readers {
        &self.readers
    }

    /// Read-only connections for look-ups of a row by its key that everything else waits for:
    /// sessions, sign-in, readiness. Whatever people search or sum up does not delay them.
    pub fn quick_reader(&self) -> &Readers {
        &self.quick_readers
    }

    /// Runs the closure in the writer task in its own `BEGIN IMMEDIATE … COMMIT` and waits for the
    /// commit; an error rolls back what the closure wrote and nothing else. It is completed even
    /// when the caller stops waiting. A database that another program keeps locked is waited for,
    /// for half a minute and more; where too much waits already, it is refused.
    pub async fn write<T, F>(&self, job: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, DatabaseError>> + Send + 'static,
    {
        self.writer.write(0, job).await
    }

    /// The same for a job that holds this many bytes.
    pub async fn write_bytes<T, F>(&self, bytes: usize, job: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, DatabaseError>> + Send + 'static,
    {
        self.writer.write(bytes, job).await
    }

    /// True while so much waits to be written that new work is refused.
    pub fn is_full(&self) -> bool {
        self.writer.is_full()
    }

    /// Queues a write without waiting for it; a failure is logged.
    pub fn write_later<F>(&self, job: F)
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>> + Send + 'static,
    {
        self.writer.write_later(job);
    }

    /// Queues a row that is written in a batch. It never blocks and can be called from `Drop`.
    pub fn enqueue<B: Batch>(&self, row: B) {
        self.writer.enqueue(row);
    }

    /// Waits until everything queued before is written.
    pub async fn flush(&self) -> Result<(), DatabaseError> {
        self.write(|_| Box::pin(async { Ok(()) })).await
    }

    /// Writes what is queued, folds the write-ahead log into the file and closes it. Later writes
    /// are refused.
    pub async fn close(&self) {
        tokio::join!(self.readers.close(), self.quick_readers.close());
        self.writer.close().await;
    }
}

/// Takes the database and the files beside it from everybody but their owner. An earlier version left
/// them readable.
fn keep_private(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let is_open = std::fs::metadata(&file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
        if is_open && let Err(error) = std::fs::set_permissions(&file, Permissions::from_mode(0o600)) {
            tracing::warn!("{} can be read by others: {error}", file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[tokio::test]
    async fn sqlite_has_the_wal_reset_fix() {
        let directory = tempfile::tempdir().unwrap();
        let db = Database::open(directory.path().join("mai.db")).await.unwrap();
        let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(db.reader()).await.unwrap();
        let numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
        assert!(numbers >= vec![3, 51, 3], "{version}");
    }

    #[tokio::test]
    async fn readers_are_read_only_and_pragmas_are_set() {
        let directory = tempfile::tempdir().unwrap();
        let db = Database::open(directory.path().join("mai.db")).await.unwrap();
        let refused = sqlx::query("INSERT INTO setting VALUES ('a', 'b')").execute(db.reader()).await;
        assert!(refused.unwrap_err().to_string().contains("readonly"));
        let settings = db
            .write(|connection| {
                Box::pin(async move {
                    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
                    let foreign_keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(connection).await?;
                    Ok((journal, foreign_keys))
                })
            })
            .await
            .unwrap();
        assert_eq!(settings, ("wal".to_owned(), 1));
    }

    #[tokio::test]
    async fn quick_readers_answer_while_all_others_work() {
        let directory = tempfile::tempdir().unwrap();
        let db = Database::open(directory.path().join("mai.db")).await.unwrap();
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let searches: Vec<_> = (0..8)
            .map(|_| {
                let db = db.clone();
                tokio::spawn(async move { sqlx::query(endless).fetch_all(db.reader()).await.map(|_| ()) })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let answer: i64 = sqlx::query_scalar("SELECT 1").fetch_one(db.quick_reader()).await.unwrap();
        assert_eq!(answer, 1);
        assert!(searches.iter().all(|search| !search.is_finished()));
        searches.iter().for_each(tokio::task::JoinHandle::abort);
        // Their connections are free again.
        let answer: i64 = sqlx::query_scalar("SELECT 2").fetch_one(db.reader()).await.unwrap();
        assert_eq!(answer, 2);
    }

    #[tokio::test]
    async fn database_of_a_newer_version_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mai.db");
        let db = Database::open(&path).await.unwrap();
        db.write(|connection| {
            Box::pin(async move {
                sqlx::query("INSERT INTO _sqlx_migrations VALUES (9999, 'later', 0, 1, x'00', 0)")
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .await
        .unwrap();
        db.close().await;
        let error = Database::open(&path).await.unwrap_err();
        assert!(matches!(error, DatabaseError::NewerVersion { migration: 9999 }), "{error}");
    }
}
