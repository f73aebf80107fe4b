//! The keys of an instance that were made with a management key, as they are recorded together with
//! the value of the present one.

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::api::SecretRef;

/// Time for which a key that ended is remembered: the upstream has a bill of 30 completed days.
const BILLED_FOR: SignedDuration = SignedDuration::from_hours(32 * 24);

/// Keys of one instance. All of it is recorded in one write, so a key is known with its value or not
/// at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyRecord {
    /// The key that the server is to use.
    pub current: Option<CurrentKey>,
    /// Keys that it used before and that are not deleted yet.
    pub former: Vec<FormerKey>,
    /// Keys that ended in the last weeks, of which the upstream still has a bill.
    pub ended: Vec<EndedKey>,
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
    /// Time at which it was made; none of a key that an earlier version replaced.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// Time since which no server has used it.
    pub unused_since: Option<Timestamp>,
    /// It is refused by the upstream.
    pub disabled: bool,
}

/// A key that is not at the upstream any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedKey {
    /// Hash by which the upstream names it.
    pub hash: String,
    /// Base URL of the API of its account.
    pub base_url: String,
    /// Time at which it was made.
    pub created_at: Timestamp,
    /// Time at which it ended.
    pub ended_at: Timestamp,
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

    /// Removes a key that ended. It is remembered for as long as the upstream has a bill of it.
    pub fn end(&mut self, hash: &str, now: Timestamp) {
        let current = self.current.take_if(|key| key.hash == hash).map(FormerKey::from);
        let former = self.former.extract_if(.., |key| key.hash == hash);
        for key in former.chain(current) {
            let Some(created_at) = key.created_at else { continue };
            self.ended.push(EndedKey { hash: key.hash, base_url: key.place.base_url, created_at, ended_at: now });
        }
        self.ended.retain(|key| now.duration_since(key.ended_at) < BILLED_FOR);
    }

    /// Returns the hashes of all keys of an account that are known, with the times at which they were made.
    pub fn made_at(&self, base_url: &str) -> Vec<(&str, Timestamp)> {
        let current = self.current.iter().map(|key| (&key.place.base_url, &key.hash, Some(key.created_at)));
        let former = self.former.iter().map(|key| (&key.place.base_url, &key.hash, key.created_at));
        let ended = self.ended.iter().map(|key| (&key.base_url, &key.hash, Some(key.created_at)));
        let all = current.chain(former).chain(ended).filter(|(place, ..)| *place == base_url);
        all.filter_map(|(_, hash, at)| Some((hash.as_str(), at?))).collect()
    }

    /// Returns whether a key of this hash is known.
    pub fn has(&self, hash: &str) -> bool {
        self.current.as_ref().is_some_and(|key| key.hash == hash) || self.former.iter().any(|key| key.hash == hash)
    }
}

impl From<CurrentKey> for FormerKey {
    fn from(key: CurrentKey) -> Self {
        Self { hash: key.hash, place: key.place, created_at: Some(key.created_at), unused_since: None, disabled: false }
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
