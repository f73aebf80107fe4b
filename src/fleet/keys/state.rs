//! The state of the key of one instance, as decisions and people see it.

use secrecy::SecretString;

use super::decide::{KeyFacts, KeyStep, KeyUse, next};
use super::hand::KeyFailure;
use super::wanted::{KeyWish, Wanted};
use crate::api::{MaiInstance, OpenRouterKeyStatus, Reason};
use crate::core::{Blocked, KeyRecord};

/// The state of the key of an instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyState {
    /// Value of the condition `KeyHealthy`, where a key is declared or one is left.
    pub verdict: Option<KeyVerdict>,
    /// The upstream was not asked yet, so what was shown before stands.
    pub is_unverified: bool,
    /// The part of the status about the key.
    pub status: Option<OpenRouterKeyStatus>,
    /// Keys of a deleted instance that are not deleted yet, as a sentence.
    pub left: Option<String>,
}

/// Value of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVerdict {
    /// It holds; unknown while work on it is under way.
    pub holds: Option<bool>,
    /// Reason.
    pub reason: Reason,
    /// Message.
    pub message: String,
}

/// Returns the state of the key of an instance. `failure` is that of the last step.
pub fn state(facts: &KeyFacts<'_>, failure: Option<&KeyFailure>) -> KeyState {
    let current = facts.record.current.as_ref();
    KeyState {
        verdict: verdict(facts, failure),
        is_unverified: facts.seen.is_none() && failure.is_none() && current.is_some(),
        status: current.map(|key| OpenRouterKeyStatus { hash: key.hash.clone(), created_at: key.created_at }),
        left: left(facts, failure),
    }
}

/// Returns the value that the server of an instance gets as its key, if its document declares a
/// management key.
pub fn key_value(
    instance: &MaiInstance,
    record: &KeyRecord,
    failure: Option<&KeyFailure>,
) -> Result<Option<SecretString>, Blocked> {
    // The key is that of the document, whatever is done about it.
    let mut declared = instance.clone();
    declared.metadata.deletion_timestamp = None;
    let Wanted::Key(wish) = Wanted::from_instance(&declared, false) else { return Ok(None) };
    if let Some(key) = record.current.as_ref().filter(|key| key.place.base_url == wish.place.base_url) {
        return Ok(Some(key.value.secret().clone()));
    }
    Err(match failure {
        Some(failure) => {
            Blocked::new(failure.reason, format!("the key of the client could not be made: {}", failure.message))
        }
        None => Blocked::new(Reason::KeyPending, "the key of the client is being made at the upstream"),
    })
}

fn verdict(facts: &KeyFacts<'_>, failure: Option<&KeyFailure>) -> Option<KeyVerdict> {
    if *facts.wanted == Wanted::None && facts.record.is_empty() {
        return None;
    }
    if let Some(KeyFailure { reason, message, .. }) = failure {
        let effect = match facts.record.current {
            Some(_) => "; the instance keeps its key",
            None => "",
        };
        return Some(KeyVerdict { holds: Some(false), reason: *reason, message: format!("{message}{effect}") });
    }
    let under_way = |reason, message: &str| Some(KeyVerdict { holds: None, reason, message: message.to_owned() });
    if *facts.wanted == Wanted::AsIs {
        return under_way(Reason::Paused, "nothing is done for the key while nothing is done for the instance");
    }
    let Wanted::Key(wish) = facts.wanted else {
        return under_way(Reason::KeyRotating, "the key of the client is being deleted");
    };
    if wish.suspended && facts.record.current.is_none() {
        return under_way(Reason::Suspended, "a key is made when the instance is resumed");
    }
    match next(facts) {
        KeyStep::Mint(..) | KeyStep::List(_) if facts.record.current.is_none() => {
            under_way(Reason::KeyPending, "the key of the client is being made at the upstream")
        }
        KeyStep::Mint(..) => under_way(Reason::KeyRotating, "another key of the client is being made"),
        KeyStep::Change(..) => under_way(Reason::KeyPending, "the key of the client is being changed"),
        _ => match waits_for_server(facts) {
            true => {
                under_way(Reason::KeyRotating, "the server is getting its new key; the former one works until then")
            }
            false => Some(KeyVerdict { holds: Some(true), reason: Reason::KeyReady, message: ready_message(wish) }),
        },
    }
}

/// Returns whether the server may still use a former key.
fn waits_for_server(facts: &KeyFacts<'_>) -> bool {
    *facts.used != KeyUse::Nothing && facts.record.former.iter().any(|key| key.unused_since.is_none())
}

fn ready_message(wish: &KeyWish) -> String {
    let limit = match wish.limit_usd {
        Some(limit) => format!("{limit} USD may be spent in a calendar month (UTC)"),
        None => "it has no limit".to_owned(),
    };
    let state = if wish.suspended { "is disabled while the instance is suspended" } else { "works" };
    format!("the client's own key {state}; {limit}")
}

fn left(facts: &KeyFacts<'_>, failure: Option<&KeyFailure>) -> Option<String> {
    let Wanted::Gone(_) = facts.wanted else { return None };
    let record = facts.record;
    let hashes = record.current.iter().map(|key| &key.hash).chain(record.former.iter().map(|key| &key.hash));
    let hashes: Vec<&str> = hashes.map(String::as_str).collect();
    match (hashes.is_empty(), failure) {
        (true, Some(_)) => None,
        (true, None) => {
            let is_done = matches!(next(facts), KeyStep::Wait(_));
            (!is_done).then(|| "keys of the client are being deleted at the upstream".to_owned())
        }
        (false, None) => Some("the key of the client is being deleted at the upstream".to_owned()),
        (false, Some(failure)) => Some(format!(
            "the key of the client (hash {}) could not be deleted at the upstream: {}",
            hashes.join(", "),
            failure.message
        )),
    }
}
