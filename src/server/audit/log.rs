//! Reads the entries of the audit log.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::failures::FailureLog;
use super::record::oldest;
use crate::database::{Database, DatabaseError};
use crate::user::{UserId, timestamp};

/// Entries on one page.
pub const PER_PAGE: u32 = 50;

/// The number of a page in an address, from 1.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct PageNumber {
    #[serde(default = "first")]
    pub(crate) page: u32,
}

fn first() -> u32 {
    1
}

/// The entries to read.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// All.
    Everybody,
    /// Those by one account, and those about it.
    Of(&'a UserId),
}

impl Whose<'_> {
    fn account(&self) -> Option<&str> {
        match self {
            Self::Everybody => None,
            Self::Of(user) => Some(user.as_str()),
        }
    }
}

/// Somebody in an entry, also when the account was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Their id.
    pub id: UserId,
    /// Their name.
    pub name: String,
    /// Their e-mail.
    pub email: String,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub id: i64,
    /// The time, of several failures that of the first.
    pub at: Timestamp,
    /// The time of the last.
    pub last_at: Timestamp,
    /// The number of times it happened.
    pub count: i64,
    /// The code of the action.
    pub action: String,
    /// Who did it; `None` for strangers and the server itself.
    pub by: Option<Person>,
    /// The account that it was done to.
    pub subject: Option<Person>,
    /// The address that it was done from.
    pub address: Option<String>,
    /// The session that it was done in.
    pub session: Option<String>,
    /// The id of the API key that it was done with.
    pub api_key: Option<String>,
    /// Further facts.
    pub details: Map<String, Value>,
}

/// One page of entries, and the number on all pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The entries of this page, newest first.
    pub entries: Vec<Entry>,
    /// The number on all pages.
    pub total: i64,
}

/// Reads the audit log. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct AuditLog {
    db: Database,
    failures: FailureLog,
}

impl AuditLog {
    pub(crate) fn new(db: &Database, failures: &FailureLog) -> Self {
        Self { db: db.clone(), failures: failures.clone() }
    }

    /// Returns a page of at most [`PER_PAGE`] entries, newest first. Pages count from 1.
    ///
    /// The owner of an account sees the acts of others on it without their address and credential.
    pub async fn page(&self, whose: Whose<'_>, page: u32) -> Result<Page, DatabaseError> {
        let entries = self.entries(whose, i64::from(page.max(1) - 1) * i64::from(PER_PAGE), PER_PAGE).await?;
        let total = sqlx::query_scalar(
            "SELECT count(*) FROM audit
             WHERE last_at >= ?2 AND (?1 IS NULL OR id IN
                (SELECT id FROM audit WHERE user_id = ?1 UNION SELECT id FROM audit WHERE subject_id = ?1))",
        )
        .bind(whose.account())
        .bind(oldest())
        .fetch_one(self.db.reader())
        .await?;
        Ok(Page { entries, total })
    }

    /// Returns the newest entries.
    pub async fn newest(&self, whose: Whose<'_>, number: u32) -> Result<Vec<Entry>, DatabaseError> {
        self.entries(whose, 0, number).await
    }

    async fn entries(&self, whose: Whose<'_>, offset: i64, number: u32) -> Result<Vec<Entry>, DatabaseError> {
        self.failures.flush().await?;
        let account = whose.account();
        let rows = sqlx::query(
            "SELECT audit.*, actor.name AS user_name, actor.email AS user_email,
                    subject.name AS subject_name, subject.email AS subject_email
             FROM audit
             LEFT JOIN user AS actor ON actor.id = audit.user_id
             LEFT JOIN user AS subject ON subject.id = audit.subject_id
             WHERE audit.last_at >= ?2 AND (?1 IS NULL OR audit.id IN
                (SELECT id FROM audit WHERE user_id = ?1 UNION SELECT id FROM audit WHERE subject_id = ?1))
             ORDER BY audit.id DESC LIMIT ?3 OFFSET ?4",
        )
        .bind(account)
        .bind(oldest())
        .bind(number)
        .bind(offset)
        .fetch_all(self.db.reader())
        .await?;
        let entries: Result<Vec<Entry>, sqlx::Error> = rows.iter().map(|row| entry(row, account)).collect();
        Ok(entries?)
    }
}

fn entry(row: &SqliteRow, reader: Option<&str>) -> Result<Entry, sqlx::Error> {
    let by = person(row, "user_id", "user_name", "user_email")?;
    let details = serde_json::from_str(row.try_get("details")?).unwrap_or_default();
    let is_of_another = reader.is_some_and(|reader| by.as_ref().is_some_and(|by| by.id.as_str() != reader));
    let place = |column| if is_of_another { Ok(None) } else { row.try_get::<Option<String>, _>(column) };
    Ok(Entry {
        id: row.try_get("id")?,
        at: timestamp(row.try_get("at")?),
        last_at: timestamp(row.try_get("last_at")?),
        count: row.try_get("count")?,
        action: row.try_get("action")?,
        subject: person(row, "subject_id", "subject_name", "subject_email")?,
        address: place("address")?,
        session: place("session")?,
        api_key: place("api_key_id")?,
        by,
        details,
    })
}

fn person(row: &SqliteRow, id: &str, name: &str, email: &str) -> Result<Option<Person>, sqlx::Error> {
    let Some(id) = row.try_get::<Option<String>, _>(id)? else { return Ok(None) };
    Ok(Some(Person {
        id: UserId::from(id),
        name: row.try_get::<Option<String>, _>(name)?.unwrap_or_default(),
        email: row.try_get::<Option<String>, _>(email)?.unwrap_or_default(),
    }))
}
