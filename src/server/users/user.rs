//! A user and its plain types.

use std::{fmt, str::FromStr, sync::Arc};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::error::UserError;

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

/// Checks and trims a name.
pub(super) fn checked_name(name: &str) -> Result<String, UserError> {
    let name = name.trim();
    let fits = (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(name.to_owned()) } else { Err(UserError::BadName) }
}

/// Checks an e-mail and returns it in lower case. Only its form is checked.
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
