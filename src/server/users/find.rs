//! Queries for users.

use sqlx::{Row, sqlite::SqliteRow};

use super::error::UserError;

use crate::database::{Database, DatabaseError};
use crate::user::{User, UserId, from_row};

/// Users on one page of the list.
pub const PER_PAGE: u32 = 30;

/// One page of users, and the number on all pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The users of this page.
    pub users: Vec<User>,
    /// The number of users that match the query on all pages.
    pub total: i64,
}

/// Lists users whose name or e-mail contains the query, newest first. Pages count from 1.
pub async fn list(db: &Database, query: &str, page: u32) -> Result<Page, UserError> {
    let pattern = format!("%{}%", query.trim().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
    let offset = i64::from(page.max(1) - 1) * i64::from(PER_PAGE);
    let rows = sqlx::query(
        "SELECT *, count(*) OVER () AS total FROM user
         WHERE deleted_at IS NULL AND (name LIKE ?1 ESCAPE '\\' OR email LIKE ?1 ESCAPE '\\')
         ORDER BY created_at DESC, id DESC LIMIT ?2 OFFSET ?3",
    )
    .bind(&pattern)
    .bind(PER_PAGE)
    .bind(offset)
    .fetch_all(db.reader())
    .await
    .map_err(DatabaseError::from)?;
    let total = match rows.first() {
        Some(row) => row.try_get("total").map_err(DatabaseError::from)?,
        // A page past the end has no row with the total.
        None => sqlx::query_scalar(
            "SELECT count(*) FROM user
             WHERE deleted_at IS NULL AND (name LIKE ?1 ESCAPE '\\' OR email LIKE ?1 ESCAPE '\\')",
        )
        .bind(&pattern)
        .fetch_one(db.reader())
        .await
        .map_err(DatabaseError::from)?,
    };
    Ok(Page { users: from_rows(&rows)?, total })
}

/// Lists everybody who ever had an account, removed users included, by name.
pub async fn all(db: &Database) -> Result<Vec<User>, UserError> {
    let rows = sqlx::query("SELECT * FROM user ORDER BY name COLLATE NOCASE, id")
        .fetch_all(db.reader())
        .await
        .map_err(DatabaseError::from)?;
    Ok(from_rows(&rows)?)
}

/// Returns a user that was not removed.
pub async fn get(db: &Database, id: &UserId) -> Result<User, UserError> {
    let row = sqlx::query("SELECT * FROM user WHERE id = ? AND deleted_at IS NULL")
        .bind(id.as_str())
        .fetch_optional(db.reader())
        .await
        .map_err(DatabaseError::from)?
        .ok_or(UserError::NotFound)?;
    Ok(from_row(&row).map_err(DatabaseError::from)?)
}

/// Returns true when there has ever been an account. Until then the next to register becomes admin.
pub async fn anybody(db: &Database) -> Result<bool, DatabaseError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM user)").fetch_one(db.quick_reader()).await?)
}

/// Returns the number of users that were not removed.
pub async fn count(db: &Database) -> Result<i64, DatabaseError> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM user WHERE deleted_at IS NULL").fetch_one(db.reader()).await?)
}

fn from_rows(rows: &[SqliteRow]) -> Result<Vec<User>, DatabaseError> {
    Ok(rows.iter().map(from_row).collect::<Result<_, _>>()?)
}
