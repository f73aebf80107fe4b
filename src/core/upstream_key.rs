//! The keys of an instance that were made with a management key, as they are recorded together with
//! the value of the present one.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::api::SecretRef;

/// Keys of one instance. All of it is recorded in one write, so a key is known with its value or not
/// at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyRecord {
    /// The key that the server is to use.
    pub current: Option<CurrentKey>,
    /// Keys that it used before and that are not deleted yet.
    pub former: Vec<FormerKey>,
    /// Requests for a rotation that need none any more.
    pub handled: BTreeSet<String>,
}

/// The key that the server is to use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentKey {
    /// Hash by which the upstream names it.
    pub hash: String,
    /// Its value.
    pub value: KeyValue,
    /// The account that it is of.
    pub place: KeyPlace,
    /// Time at which it was made.
    pub created_at: Timestamp,
}

/// A key that was replaced by another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FormerKey {
    /// Hash by which the upstream names it.
    pub hash: String,
    /// The account that it is of.
    pub place: KeyPlace,
    /// Time since which no server has used it.
    pub unused_since: Option<Timestamp>,
    /// It is refused by the upstream.
    pub disabled: bool,
}

/// An account of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyPlace {
    /// Base URL of its API.
    pub base_url: String,
    /// The management key.
    pub management: SecretRef,
}

/// Value of a key. Debug output does not have it.
#[derive(Clone)]
pub struct KeyValue(SecretString);

impl KeyRecord {
    /// Returns whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.current.is_none() && self.former.is_empty()
    }

    /// Returns whether a key of this hash is known.
    pub fn has(&self, hash: &str) -> bool {
        self.current.as_ref().is_some_and(|key| key.hash == hash) || self.former.iter().any(|key| key.hash == hash)
    }
}

impl KeyValue {
    /// Makes one.
    pub fn new(value: SecretString) -> Self {
        Self(value)
    }

    /// Returns the value.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl PartialEq for KeyValue {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Serialize for KeyValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl<'de> Deserialize<'de> for KeyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer)?.into()))
    }
}
