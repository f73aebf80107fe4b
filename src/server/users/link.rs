//! One-time links: their tokens, and the reasons for which one does not work.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::auth::{Token, TokenHash};
use crate::database::{Database, DatabaseError};
use crate::user::UserId;

/// Time for which a link is remembered after it ended, so that it tells why it does not work.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A link that does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// There is none like it: it was withdrawn or replaced, or its address is incomplete.
    #[error("This link does not work. It may be incomplete, or replaced by a newer one; please ask for another.")]
    Unknown,
    /// It was used.
    #[error("This link was used already. Sign in with your password, or ask for another link.")]
    Used,
    /// It came too late.
    #[error("This link has expired. Please ask for another.")]
    Expired,
}

/// Returns the row of a link that works at this moment.
pub(super) async fn find(db: &Database, token: &str) -> Result<Result<SqliteRow, LinkError>, DatabaseError> {
    let row = sqlx::query("SELECT * FROM account_link WHERE token_hash = ?")
        .bind(TokenHash::new(token).as_bytes().to_vec())
        .fetch_optional(db.quick_reader())
        .await?;
    let Some(row) = row else { return Ok(Err(LinkError::Unknown)) };
    if row.try_get::<Option<i64>, _>("used_at")?.is_some() {
        return Ok(Err(LinkError::Used));
    }
    let is_late = row.try_get::<i64, _>("expires_at")? <= Timestamp::now().as_millisecond();
    Ok(if is_late { Err(LinkError::Expired) } else { Ok(row) })
}

/// Returns whether a link works.
pub(super) async fn is_open(
    connection: &mut SqliteConnection,
    token: TokenHash,
    now: i64,
) -> Result<bool, DatabaseError> {
    let open = "SELECT EXISTS (SELECT 1 FROM account_link WHERE token_hash = ? AND used_at IS NULL AND expires_at > ?)";
    Ok(sqlx::query_scalar(open).bind(token.as_bytes().to_vec()).bind(now).fetch_one(connection).await?)
}

/// Marks a link as used. Returns false if it does not work any more.
pub(super) async fn mark_used(
    connection: &mut SqliteConnection,
    token: TokenHash,
    now: i64,
) -> Result<bool, DatabaseError> {
    let used = sqlx::query(
        "UPDATE account_link SET used_at = ?2 WHERE token_hash = ?1 AND used_at IS NULL AND expires_at > ?2",
    )
    .bind(token.as_bytes().to_vec())
    .bind(now)
    .execute(connection)
    .await?;
    Ok(used.rows_affected() == 1)
}

/// Ends the links that somebody made who is no administrator any more.
pub(super) async fn end_those_of(connection: &mut SqliteConnection, admin: &UserId) -> Result<(), DatabaseError> {
    sqlx::query("DELETE FROM account_link WHERE created_by = ? AND used_at IS NULL")
        .bind(admin.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes links that ended long ago.
pub(super) async fn remove_old(connection: &mut SqliteConnection, now: Timestamp) -> Result<(), DatabaseError> {
    sqlx::query("DELETE FROM account_link WHERE coalesce(used_at, expires_at) < ?")
        .bind((now - REMEMBERED).as_millisecond())
        .execute(connection)
        .await?;
    Ok(())
}

/// Returns the hash of a token as it is bound to a statement.
pub(super) fn bound(token: &Token) -> Vec<u8> {
    token.hash().as_bytes().to_vec()
}
