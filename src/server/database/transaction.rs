//! Transactions of the writing connection, as plain statements. The library counts its own
//! transactions, and one that SQLite rolled back by itself, as it does on a full disk, would count
//! as open forever and block every later write.

use sqlx::SqliteConnection;
use tokio::time::Instant;

use super::error::DatabaseError;

/// Begins a transaction; [`end`] must follow in any case.
pub(super) async fn begin(connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await?;
    Ok(())
}

/// Begins a transaction. While another program keeps the database locked, it is tried again until
/// this time.
pub(super) async fn begin_until(connection: &mut SqliteConnection, until: Instant) -> Result<(), DatabaseError> {
    loop {
        if Instant::now() >= until {
            return Err(DatabaseError::Locked);
        }
        match begin(connection).await {
            Err(DatabaseError::Locked) => {}
            outcome => return outcome,
        }
    }
}

/// Commits after a success and rolls back after an error.
pub(super) async fn end<T>(
    connection: &mut SqliteConnection,
    outcome: Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let outcome = match outcome {
        Ok(value) => sqlx::query("COMMIT").execute(&mut *connection).await.map(|_| value).map_err(Into::into),
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        // Fails where SQLite has rolled back already.
        sqlx::query("ROLLBACK").execute(connection).await.ok();
    }
    outcome
}
