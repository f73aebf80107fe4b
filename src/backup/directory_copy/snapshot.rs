//! A consistent copy of one SQLite database, also while a server writes to it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use super::BackupError;
use super::manifest::DatabaseInfo;

/// First bytes of every SQLite database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Suffixes of the files next to a database. The copy of the database includes their content.
pub(super) const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Returns whether a file is an SQLite database.
pub(super) fn is_database(path: &Path) -> io::Result<bool> {
    let mut start = Vec::with_capacity(MAGIC.len());
    File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut start)?;
    Ok(start == MAGIC)
}

/// Copies a database as it is at one moment: `VACUUM INTO` reads it in one transaction and blocks
/// no writer. Opens it for writing, since a database with a write-ahead log cannot be read
/// otherwise; writes nothing.
pub(super) async fn snapshot(from: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = BackupError::database("copied", from);
    let options = SqliteConnectOptions::new()
        .filename(from)
        .busy_timeout(Duration::from_secs(10))
        .pragma("wal_autocheckpoint", "0");
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(&failed)?;
    let copied = sqlx::query("VACUUM INTO ?").bind(to.to_string_lossy()).execute(&mut connection).await;
    connection.close().await.map_err(&failed)?;
    copied.map_err(&failed)?;
    File::open(to).and_then(|file| file.sync_all()).map_err(BackupError::io("written", to))
}

/// Checks the copy of a database and returns its properties.
pub(super) async fn inspect(copy: &Path) -> Result<DatabaseInfo, BackupError> {
    let failed = BackupError::database("read back", copy);
    let options = SqliteConnectOptions::new().filename(copy).read_only(true).immutable(true);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(&failed)?;
    let found = facts(&mut connection).await;
    connection.close().await.map_err(&failed)?;
    let (complaints, facts) = found.map_err(&failed)?;
    if complaints != ["ok"] {
        let what = format!("SQLite's integrity_check says: {}", complaints.join("; "));
        return Err(BackupError::Unverified { path: copy.to_owned(), what });
    }
    Ok(facts)
}

async fn facts(connection: &mut SqliteConnection) -> Result<(Vec<String>, DatabaseInfo), sqlx::Error> {
    let complaints = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut *connection).await?;
    let user_version = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let tables = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE type = 'table'");
    let tables = tables.fetch_one(&mut *connection).await?;
    let ours: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
        .fetch_one(&mut *connection)
        .await?;
    let migration = match ours {
        0 => None,
        _ => sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(connection).await?,
    };
    Ok((complaints, DatabaseInfo { user_version, migration, tables }))
}
