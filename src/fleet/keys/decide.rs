//! The next step for the keys of one instance. A function: no I/O, no clock.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::hand::{KeyOutcome, SeenKey, SeenKeys};
use super::wanted::{KeyWish, Wanted};
use crate::api::KeyRotation;
use crate::core::{CurrentKey, FormerKey, KeyPlace, KeyRecord};
use crate::openrouter::KeySettings;

/// Interval between lists of the keys at the upstream, by which changes by hand are noticed.
const LIST_INTERVAL: Duration = Duration::from_secs(3600);
/// Time after which a former key is forgotten that cannot be deleted, because the document names no
/// management key any more.
const LONGEST_RETRY: Duration = Duration::from_secs(7 * 86_400);

/// Everything a step is decided from.
#[derive(Clone, Debug)]
pub struct KeyFacts<'a> {
    /// The keys that are to be at the upstream.
    pub wanted: &'a Wanted,
    /// The keys that are known.
    pub record: &'a KeyRecord,
    /// The keys of the instance that the upstream listed last; none after a call that changed them.
    pub seen: Option<&'a SeenKeys>,
    /// The key that the server uses.
    pub used: &'a KeyUse,
    /// Requests for a rotation.
    pub requests: &'a BTreeSet<String>,
    /// The current time.
    pub now: Timestamp,
}

/// The key that the server of an instance uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// It is not known, or may change back.
    Unknown,
    /// No server runs.
    Nothing,
    /// The key of this hash, for good.
    Key(String),
}

/// The next thing to do for the keys of an instance.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyStep {
    /// Nothing, for this time at most.
    Wait(Option<Duration>),
    /// Record what is known now.
    Record(Box<KeyRecord>),
    /// List the keys of the instance.
    List(KeyPlace),
    /// Make a key.
    Mint(KeyPlace, Option<i64>),
    /// Set limit and state of a key.
    Change(KeyPlace, String, KeySettings),
    /// Disable a key that was replaced.
    Disable(KeyPlace, String),
    /// Delete a key.
    Delete(KeyPlace, String),
}

impl KeyStep {
    /// Returns the account that it is about.
    pub fn place(&self) -> Option<&KeyPlace> {
        match self {
            Self::Wait(_) | Self::Record(_) => None,
            Self::List(place)
            | Self::Mint(place, _)
            | Self::Change(place, ..)
            | Self::Disable(place, _)
            | Self::Delete(place, _) => Some(place),
        }
    }
}

/// Returns the next step.
pub fn next(facts: &KeyFacts<'_>) -> KeyStep {
    match facts.wanted {
        Wanted::AsIs => KeyStep::Wait(None),
        Wanted::Key(wish) => present(facts, wish),
        Wanted::None => match &facts.record.current {
            Some(current) => retire(facts.record, current),
            None => former(facts, KeyRotation::DEFAULT_GRACE_PERIOD, false),
        },
        Wanted::Gone(place) => gone(facts, place.as_ref()),
    }
}

/// Returns the record after a step that was taken.
pub fn after(facts: &KeyFacts<'_>, step: &KeyStep, outcome: &KeyOutcome) -> KeyRecord {
    let mut record = facts.record.clone();
    match (step, outcome) {
        (KeyStep::Mint(place, _), KeyOutcome::Minted { hash, value }) => {
            let minted =
                CurrentKey { hash: hash.clone(), value: value.clone(), place: place.clone(), created_at: facts.now };
            record.former.extend(record.current.replace(minted).map(FormerKey::from));
            record.handled.clone_from(facts.requests);
        }
        (KeyStep::Disable(_, hash), _) => {
            record.former.iter_mut().filter(|key| key.hash == *hash).for_each(|key| key.disabled = true);
        }
        (KeyStep::Delete(_, hash), _) => {
            record.end(hash, facts.now);
        }
        _ => {}
    }
    record
}

/// Keeps one key for the server.
fn present(facts: &KeyFacts<'_>, wish: &KeyWish) -> KeyStep {
    let current = facts.record.current.as_ref();
    if let Some(elsewhere) = current.filter(|key| key.place.base_url != wish.place.base_url) {
        return retire(facts.record, elsewhere);
    }
    if current.is_none() && wish.suspended {
        return former(facts, wish.grace, true);
    }
    let Some(seen) = seen(facts, &wish.place) else { return KeyStep::List(wish.place.clone()) };
    if let Some(lost) = seen.iter().find(|key| !facts.record.has(&key.hash)) {
        return KeyStep::Delete(wish.place.clone(), lost.hash.clone());
    }
    let mint = || KeyStep::Mint(wish.place.clone(), wish.limit_usd);
    let Some(current) = current else { return mint() };
    let Some(known) = seen.iter().find(|key| key.hash == current.hash) else {
        // Somebody deleted it, or the management key is of another account now.
        let mut record = facts.record.clone();
        record.end(&current.hash, facts.now);
        return KeyStep::Record(Box::new(record));
    };
    let settings = KeySettings { limit_usd: wish.limit_usd, disabled: wish.suspended };
    if known.settings != Some(settings) {
        return KeyStep::Change(wish.place.clone(), current.hash.clone(), settings);
    }
    if current.place != wish.place {
        let moved = CurrentKey { place: wish.place.clone(), ..current.clone() };
        return KeyStep::Record(Box::new(KeyRecord { current: Some(moved), ..facts.record.clone() }));
    }
    let is_old = wish.longest_age.is_some_and(|age| since(current.created_at, facts.now) >= age);
    let is_asked = facts.requests.iter().any(|request| !facts.record.handled.contains(request));
    if (is_old || is_asked) && !wish.suspended {
        return mint();
    }
    let age = since(current.created_at, facts.now);
    let due = wish.longest_age.map(|longest| longest.saturating_sub(age)).filter(|_| !wish.suspended);
    match former(facts, wish.grace, wish.suspended) {
        KeyStep::Wait(left) => KeyStep::Wait([left, due, list_due(facts)].into_iter().flatten().min()),
        step => step,
    }
}

/// Takes the key from the server. It works until no server uses it and its grace period is over.
fn retire(record: &KeyRecord, current: &CurrentKey) -> KeyStep {
    let mut record = KeyRecord { current: None, ..record.clone() };
    record.former.push(current.clone().into());
    KeyStep::Record(Box::new(record))
}

/// Disables and then deletes what no server uses any more.
fn former(facts: &KeyFacts<'_>, grace: Duration, at_once: bool) -> KeyStep {
    let mut wait: Option<Duration> = None;
    for key in &facts.record.former {
        let Some(since_then) = key.unused_since.map(|then| since(then, facts.now)) else {
            let is_unused = match facts.used {
                KeyUse::Unknown => false,
                KeyUse::Nothing => true,
                KeyUse::Key(used) => *used != key.hash,
            };
            if is_unused {
                return KeyStep::Record(Box::new(with_unused(facts.record, &key.hash, facts.now)));
            }
            continue;
        };
        let is_undeclared = *facts.wanted == Wanted::None;
        if is_undeclared && since_then >= LONGEST_RETRY {
            let mut record = facts.record.clone();
            record.end(&key.hash, facts.now);
            return KeyStep::Record(Box::new(record));
        }
        let lifetime = if key.disabled { grace.saturating_mul(2) } else { grace };
        let left = lifetime.saturating_sub(since_then);
        match (key.disabled, left.is_zero() || (at_once && !key.disabled)) {
            (false, true) => return KeyStep::Disable(key.place.clone(), key.hash.clone()),
            (true, true) => return KeyStep::Delete(key.place.clone(), key.hash.clone()),
            (_, false) => wait = Some(wait.map_or(left, |wait| wait.min(left))),
        }
    }
    KeyStep::Wait(wait)
}

/// Deletes all keys of a deleted instance, also those that were lost.
fn gone(facts: &KeyFacts<'_>, place: Option<&KeyPlace>) -> KeyStep {
    let known = facts.record.current.iter().map(|key| (&key.place, &key.hash));
    let mut known = known.chain(facts.record.former.iter().map(|key| (&key.place, &key.hash)));
    if let Some((place, hash)) = known.next() {
        return KeyStep::Delete(place.clone(), hash.clone());
    }
    let Some(place) = place else { return KeyStep::Wait(None) };
    match seen(facts, place) {
        None => KeyStep::List(place.clone()),
        Some([]) => KeyStep::Wait(None),
        Some([lost, ..]) => KeyStep::Delete(place.clone(), lost.hash.clone()),
    }
}

/// Returns the keys of the instance at an account, if they were listed lately.
fn seen<'a>(facts: &KeyFacts<'a>, place: &KeyPlace) -> Option<&'a [SeenKey]> {
    let seen = facts.seen.filter(|seen| seen.place == *place)?;
    (since(seen.at, facts.now) < LIST_INTERVAL).then_some(seen.keys.as_slice())
}

fn list_due(facts: &KeyFacts<'_>) -> Option<Duration> {
    facts.seen.map(|seen| LIST_INTERVAL.saturating_sub(since(seen.at, facts.now)))
}

fn with_unused(record: &KeyRecord, hash: &str, now: Timestamp) -> KeyRecord {
    let mut record = record.clone();
    record.former.iter_mut().filter(|key| key.hash == hash).for_each(|key| key.unused_since = Some(now));
    record
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}
