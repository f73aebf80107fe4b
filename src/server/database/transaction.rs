//! Transactions of the one writing connection, by statements of their own: the library counts its transactions, and one that SQLite has
//! rolled back by itself, as it does on a full disk, would count as open for good and keep every later write out.

use sqlx::SqliteConnection;

use super::DatabaseError;

/// Begins; to be followed by [`end`] whatever happens.
pub(super) async fn begin(connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await?;
    Ok(())
}

/// Commits what went well and rolls back what did not.
pub(super) async fn end<T>(
    connection: &mut SqliteConnection,
    outcome: Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let outcome = match outcome {
        Ok(value) => sqlx::query("COMMIT").execute(&mut *connection).await.map(|_| value).map_err(Into::into),
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        // Refused where SQLite has done it already.
        sqlx::query("ROLLBACK").execute(connection).await.ok();
    }
    outcome
}
