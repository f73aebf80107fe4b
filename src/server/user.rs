//! A user: the plain types that `auth` and `users` share, and the row they are read from.

use std::{fmt, str::FromStr, sync::Arc};

use icu_normalizer::ComposingNormalizerBorrowed;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::database::DatabaseError;

/// The languages a user can choose.
pub const LOCALES: [&str; 2] = ["en", "pl"];

/// The id of a user: a UUID v7 as text, cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

impl UserId {
    /// A new id.
    pub(super) fn new() -> Self {
        Self::from(uuid::Uuid::now_v7().to_string())
    }

    /// The text, as the database and the JSON API have it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for UserId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for UserId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The rights of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything: people, connection, usage of all.
    Admin,
    /// Chat, and their own account and usage.
    User,
}

impl Role {
    /// The text in the database and the JSON API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
        }
    }

    /// The role of a database column, whose CHECK allows the two values only.
    pub(super) fn from_column(text: &str) -> Self {
        if text == "admin" { Self::Admin } else { Self::User }
    }
}

/// A text that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The role has to be admin or user.")]
pub struct InvalidRole;

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        match text {
            "admin" => Ok(Self::Admin),
            "user" => Ok(Self::User),
            _ => Err(InvalidRole),
        }
    }
}

/// Returns an e-mail as accounts have it: in lower case, with each letter as one character (NFC),
/// whatever keyboard it comes from.
pub(super) fn normalised_email(email: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(&email.trim().to_lowercase()).into_owned()
}

/// A person with an account, or one whose account was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their name.
    pub name: String,
    /// Their e-mail in lower case.
    pub email: String,
    /// Their rights.
    pub role: Role,
    /// The language they chose.
    pub locale: Option<String>,
    /// The time the account was created.
    pub created_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
    /// The time of the last request, to within a few minutes.
    pub last_active_at: Option<Timestamp>,
    /// The time of removal; the row then only names the usage it caused.
    pub deleted_at: Option<Timestamp>,
}

/// Reads a row of table `user`.
pub(super) fn from_row(row: &SqliteRow) -> Result<User, sqlx::Error> {
    let optional = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(timestamp));
    Ok(User {
        id: UserId::from(row.try_get::<String, _>("id")?),
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        role: Role::from_column(row.try_get("role")?),
        locale: row.try_get("locale")?,
        created_at: timestamp(row.try_get("created_at")?),
        updated_at: timestamp(row.try_get("updated_at")?),
        last_active_at: optional("last_active_at")?,
        deleted_at: optional("deleted_at")?,
    })
}

/// Converts a column in milliseconds. A value out of range reads as the epoch.
pub(super) fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Returns a user that was not removed, read inside a transaction.
pub(super) async fn find(connection: &mut SqliteConnection, id: &UserId) -> Result<Option<User>, DatabaseError> {
    let row = sqlx::query("SELECT * FROM user WHERE id = ? AND deleted_at IS NULL")
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(row.as_ref().map(from_row).transpose()?)
}
