//! Rows of table `imported`.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteConnection};

use crate::user::UserId;

/// A row that an earlier run recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) local_id: Option<String>,
    pub(super) fingerprint: Vec<u8>,
    pub(super) changed_at: Option<i64>,
}

/// A row to record.
#[derive(Debug)]
pub(super) struct NewRecord<'a> {
    pub(super) source: &'a str,
    pub(super) kind: &'a str,
    pub(super) external_id: &'a str,
    pub(super) user: Option<&'a UserId>,
    pub(super) local_id: Option<&'a str>,
    pub(super) fingerprint: &'a [u8],
    pub(super) changed_at: Option<i64>,
    pub(super) original: Option<&'a str>,
}

pub(super) fn fingerprint(original: &str) -> Vec<u8> {
    Sha256::digest(original.as_bytes()).to_vec()
}

pub(super) async fn find(
    connection: &mut SqliteConnection,
    source: &str,
    kind: &str,
    external_id: &str,
) -> Result<Option<Recorded>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT local_id, fingerprint, changed_at FROM imported WHERE source = ? AND kind = ? AND external_id = ?",
    )
    .bind(source)
    .bind(kind)
    .bind(external_id)
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Recorded {
            local_id: row.try_get("local_id")?,
            fingerprint: row.try_get("fingerprint")?,
            changed_at: row.try_get("changed_at")?,
        })
    })
    .transpose()
}

/// Inserts or replaces a row.
pub(super) async fn save(connection: &mut SqliteConnection, new: NewRecord<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO imported
             (source, kind, external_id, user_id, local_id, fingerprint, changed_at, original, imported_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.source)
    .bind(new.kind)
    .bind(new.external_id)
    .bind(new.user.map(UserId::as_str))
    .bind(new.local_id)
    .bind(new.fingerprint)
    .bind(new.changed_at)
    .bind(new.original)
    .bind(Timestamp::now().as_millisecond())
    .execute(connection)
    .await?;
    Ok(())
}
