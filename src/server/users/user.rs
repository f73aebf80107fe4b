//! A person with an account.

use std::{fmt, str::FromStr, sync::Arc};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::UserError;

/// The languages people can choose.
pub const LOCALES: [&str; 2] = ["en", "pl"];

/// The id of a user: a UUID v7 as text, cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

impl UserId {
    /// A fresh id.
    pub(super) fn fresh() -> Self {
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

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything: people, connection, usage of all.
    Admin,
    /// Chat, and their own account and usage.
    User,
}

impl Role {
    /// The word the database and the JSON API have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
        }
    }

    /// The role of a database row, whose CHECK allows the two words only.
    pub(crate) fn from_column(text: &str) -> Self {
        if text == "admin" { Self::Admin } else { Self::User }
    }
}

impl FromStr for Role {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Self, UserError> {
        match text {
            "admin" => Ok(Self::Admin),
            "user" => Ok(Self::User),
            _ => Err(UserError::BadRole),
        }
    }
}

/// A person with an account, living or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their name.
    pub name: String,
    /// Their e-mail in lower case.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// The language they chose.
    pub locale: Option<String>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When they last did something, to within a few minutes.
    pub last_active_at: Option<Timestamp>,
    /// When the account was removed; it then only names the usage it caused.
    pub deleted_at: Option<Timestamp>,
}

/// A name, trimmed.
pub(super) fn checked_name(name: &str) -> Result<String, UserError> {
    let name = name.trim();
    let fits = (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(name.to_owned()) } else { Err(UserError::BadName) }
}

/// An e-mail in lower case: something, one `@`, something; whether it exists only a mail would tell.
pub(super) fn checked_email(email: &str) -> Result<String, UserError> {
    let email = email.trim().to_lowercase();
    let clean = !email.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"(),;".contains(c));
    match email.split_once('@') {
        Some((local, host))
            if clean && email.len() <= 254 && !local.is_empty() && !host.is_empty() && !host.contains('@') =>
        {
            Ok(email)
        }
        _ => Err(UserError::BadEmail),
    }
}
