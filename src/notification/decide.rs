//! The next notice for one webhook: a function of what it was told, what is, and the clock.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::limits::{self, ReachedLimit};
use super::rules::{self, State};
use crate::api::ConditionKind;
use crate::core::{InstanceId, NotifiedInstance, NotifiedWebhook};

/// Time after the start within which instances may not have been reconciled yet.
const DISCOVERY: Duration = Duration::from_secs(60);

/// An instance as it is now.
#[derive(Clone, Debug)]
pub(super) struct Present {
    pub(super) id: InstanceId,
    /// Its conditions; none before its first reconciliation by this program.
    pub(super) conditions: Option<Vec<Condition>>,
    /// The part of its month's limit that was reached.
    pub(super) limit: Option<ReachedLimit>,
}

/// Times between a change and its notice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Time for which a condition has to be bad, or good again, before it is told.
    pub(super) after: Duration,
    /// Interval between lists of what is still bad; none without one.
    pub(super) reminder: Option<Duration>,
}

/// Moments of a clock that is never set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Time since the program started.
    pub(super) elapsed: Duration,
    pub(super) now: Timestamp,
}

/// Conditions that differ from what was told: whether they are bad, and since when.
pub(super) type Pending = BTreeMap<(NotifiedInstance, ConditionKind), (bool, Duration)>;

/// Subject of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Condition(ConditionKind),
    MonthlyLimit,
}

impl Topic {
    /// Returns its name in what is told.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Condition(kind) => kind.as_ref(),
            Self::MonthlyLimit => "MonthlyLimit",
        }
    }
}

/// One condition of an instance, or its limit, to be told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) instance: InstanceId,
    pub(super) topic: Topic,
    pub(super) is_bad: bool,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) since: Option<Timestamp>,
}

/// Everything that is told at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Notice {
    /// Parts of limits that were reached and conditions that turned bad, then those that are good again.
    pub(super) changes: Vec<Item>,
    /// Conditions that are bad and were told before, where it is time for a reminder.
    pub(super) still_bad: Vec<Item>,
}

/// The next step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// The notice that is to be sent now, and the record once it is.
    pub(super) notice: Option<(Notice, NotifiedWebhook)>,
    /// Time until there may be more to tell, if nothing changes until then.
    pub(super) next: Option<Duration>,
}

/// Decides what a webhook is to be told. `pending` is kept between calls.
pub(super) fn decide(
    told: &NotifiedWebhook,
    pending: &mut Pending,
    present: &[Present],
    clock: Clock,
    timing: Timing,
) -> Step {
    let differing = differing(told, pending, present, clock.elapsed);
    let age = |since: &Duration| clock.elapsed.saturating_sub(*since);
    let is_ripe = differing.iter().any(|(_, since)| age(since) >= timing.after);
    // What turned bad shortly after goes along: one cause often has many effects.
    let is_taken_along = |since: &Duration| is_ripe && age(since) >= timing.after / 2;
    let (taken, left): (Vec<_>, Vec<_>) = differing.into_iter().partition(|(_, since)| is_taken_along(since));
    let mut changes: Vec<Item> = taken.into_iter().map(|(item, _)| item).collect();
    let mut next_told = told.clone();
    for item in &changes {
        record(&mut next_told, item);
    }
    // It was reached, whatever comes next, so nobody waits.
    changes.extend(limits::take_news(&mut next_told.limits, present));
    changes.sort_by_key(|item| !item.is_bad);
    // A clock that was ahead must not put off the next one for longer than an interval.
    let reminded_at = told.reminded_at.filter(|at| *at <= clock.now);
    let reminder_in = timing.reminder.filter(|_| !told.bad.is_empty()).map(|interval| {
        let passed = reminded_at.and_then(|at| Duration::try_from(clock.now.duration_since(at)).ok());
        passed.map_or(Duration::ZERO, |passed| interval.saturating_sub(passed))
    });
    // Just after the start it is not known yet what there is to say.
    let is_known = present.iter().all(|one| one.conditions.is_some()) || clock.elapsed >= DISCOVERY;
    let is_due = is_known && reminder_in.is_some_and(|time| time.is_zero()) && !next_told.bad.is_empty();
    let still_bad = if is_due { still_bad(told, &changes, present) } else { Vec::new() };
    if next_told.bad.is_empty() {
        next_told.reminded_at = None;
    } else if is_due || reminded_at.is_none() {
        next_told.reminded_at = Some(clock.now);
    }
    let ripe_in = left.iter().map(|(_, since)| timing.after.saturating_sub(age(since)));
    let known_in = if is_known { Duration::ZERO } else { DISCOVERY.saturating_sub(clock.elapsed) };
    let reminder_in = reminder_in.map(|time| time.max(known_in)).filter(|time| !time.is_zero());
    let next = ripe_in.chain(reminder_in).min();
    let notice = Notice { changes, still_bad };
    Step { notice: (notice != Notice::default()).then_some((notice, next_told)), next }
}

/// Returns each condition that differs from what was told, and since when it does.
fn differing(
    told: &NotifiedWebhook,
    pending: &mut Pending,
    present: &[Present],
    elapsed: Duration,
) -> Vec<(Item, Duration)> {
    let mut found = Vec::new();
    let mut former = std::mem::take(pending);
    for Present { id, conditions, .. } in present {
        let instance = NotifiedInstance(id.clone());
        for kind in rules::kinds() {
            let key = (instance.clone(), kind);
            let former = former.remove(&key);
            let was_bad = told.bad.get(&instance).is_some_and(|kinds| kinds.contains(kind.as_ref()));
            let state = conditions.as_ref().map_or(State::UnderWay, |conditions| rules::state(kind, conditions));
            let is_bad = match (state, was_bad) {
                (State::Bad, false) | (State::Good, true) => state == State::Bad,
                // Between two attempts it is neither; it began to be bad before the first.
                (State::UnderWay, _) => {
                    pending.extend(former.filter(|(is_bad, _)| *is_bad != was_bad).map(|former| (key, former)));
                    continue;
                }
                (State::Bad, true) | (State::Good, false) => continue,
            };
            let since = since(former, is_bad, elapsed);
            pending.insert(key, (is_bad, since));
            found.push((item(id, kind, is_bad, conditions.as_deref().unwrap_or_default()), since));
        }
    }
    for (instance, kinds) in &told.bad {
        if present.iter().any(|one| one.id == instance.0) {
            continue;
        }
        for kind in rules::kinds().filter(|kind| kinds.contains(kind.as_ref())) {
            let key = (instance.clone(), kind);
            let since = since(former.remove(&key), false, elapsed);
            pending.insert(key, (false, since));
            found.push((gone(&instance.0, kind), since));
        }
    }
    found
}

/// Returns since when a condition differs. One that had turned the other way, and was told so, differs
/// from now on.
fn since(former: Option<(bool, Duration)>, is_bad: bool, elapsed: Duration) -> Duration {
    former.filter(|(was_bad, _)| *was_bad == is_bad).map_or(elapsed, |(_, since)| since)
}

fn item(id: &InstanceId, kind: ConditionKind, is_bad: bool, conditions: &[Condition]) -> Item {
    let (reason, message, since) = match rules::find(kind, conditions) {
        Some(one) => (one.reason.clone(), one.message.clone(), Some(one.last_transition_time.0)),
        None if conditions.is_empty() => (String::new(), "not reconciled since mai was started".to_owned(), None),
        None => (String::new(), "it is not declared any more".to_owned(), None),
    };
    Item { instance: id.clone(), topic: Topic::Condition(kind), is_bad, reason, message, since }
}

fn gone(id: &InstanceId, kind: ConditionKind) -> Item {
    let message = "its document was removed".to_owned();
    let reason = "Deleted".to_owned();
    Item { instance: id.clone(), topic: Topic::Condition(kind), is_bad: false, reason, message, since: None }
}

/// Records that an item was told.
fn record(told: &mut NotifiedWebhook, item: &Item) {
    let instance = NotifiedInstance(item.instance.clone());
    let kind = item.topic.name();
    if item.is_bad {
        told.bad.entry(instance).or_default().insert(kind.to_owned());
    } else if let Some(kinds) = told.bad.get_mut(&instance) {
        kinds.remove(kind);
        if kinds.is_empty() {
            told.bad.remove(&instance);
        }
    }
}

/// Returns what was told before and is not among the changes.
fn still_bad(told: &NotifiedWebhook, changes: &[Item], present: &[Present]) -> Vec<Item> {
    let is_change =
        |id: &InstanceId, kind| changes.iter().any(|item| item.instance == *id && item.topic == Topic::Condition(kind));
    let mut items = Vec::new();
    for (NotifiedInstance(id), kinds) in &told.bad {
        let conditions = present.iter().find(|one| one.id == *id).and_then(|one| one.conditions.as_deref());
        for kind in rules::kinds().filter(|kind| kinds.contains(kind.as_ref()) && !is_change(id, *kind)) {
            items.push(item(id, kind, true, conditions.unwrap_or_default()));
        }
    }
    items
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
