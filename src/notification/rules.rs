//! The conditions about which notices are sent, and their words.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use strum::IntoEnumIterator;

use crate::api::{ConditionKind, Reason};

/// State of an instance by one condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Good,
    Bad,
    /// It ends by itself, or is not known yet: what was told before stands.
    UnderWay,
}

/// Returns the conditions about which notices are sent, whoever sets them.
pub(super) fn kinds() -> impl Iterator<Item = ConditionKind> {
    ConditionKind::iter().filter(|kind| match kind {
        // Work that ends by itself.
        ConditionKind::Reconciling => false,
        // Stalled says the same.
        ConditionKind::DocumentValid => false,
        _ => true,
    })
}

/// Returns the state of an instance by the condition of this kind.
pub(super) fn state(kind: ConditionKind, conditions: &[Condition]) -> State {
    let Some(condition) = find(kind, conditions) else { return State::Good };
    let reason = condition.reason.parse::<Reason>().ok();
    match (kind, condition.status.as_str()) {
        (ConditionKind::Stalled, "True") if is_told_by_ready(condition, conditions) => State::UnderWay,
        (ConditionKind::Stalled, "True") => State::Bad,
        (ConditionKind::Stalled, _) | (_, "True") => State::Good,
        (_, _) if reason == Some(Reason::Suspended) => State::Good,
        (_, _) if reason.is_some_and(|reason| reason.is_under_way() || reason == Reason::Paused) => State::UnderWay,
        (_, "False") | (ConditionKind::Ready, _) => State::Bad,
        (_, _) => State::UnderWay,
    }
}

/// Returns the condition of this kind.
pub(super) fn find(kind: ConditionKind, conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind.as_ref())
}

/// Returns whether Ready is bad for the same reason, so that one line says both.
fn is_told_by_ready(stalled: &Condition, conditions: &[Condition]) -> bool {
    let ready = find(ConditionKind::Ready, conditions);
    ready.is_some_and(|ready| ready.reason == stalled.reason) && state(ConditionKind::Ready, conditions) == State::Bad
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::api::Conditions;

    #[test]
    fn each_condition_is_good_bad_or_under_way() {
        use ConditionKind::{BackupHealthy, Exposed, Ready, Stalled};
        for (kind, holds, reason, expected) in [
            (Ready, Some(true), Reason::Ready, State::Good),
            (Ready, Some(false), Reason::CrashLoop, State::Bad),
            (Ready, Some(false), Reason::Unhealthy, State::Bad),
            (Ready, None, Reason::ObserveFailed, State::Bad),
            (Ready, Some(false), Reason::Starting, State::UnderWay),
            (Ready, Some(false), Reason::Deleting, State::UnderWay),
            (Ready, Some(false), Reason::Paused, State::UnderWay),
            (Ready, Some(false), Reason::Suspended, State::Good),
            (Stalled, Some(true), Reason::InvalidDocument, State::Bad),
            (Stalled, Some(false), Reason::Ready, State::Good),
            (BackupHealthy, Some(false), Reason::BackupFailed, State::Bad),
            (BackupHealthy, None, Reason::BackupPending, State::UnderWay),
            (BackupHealthy, Some(true), Reason::BackupVerified, State::Good),
            (Exposed, Some(false), Reason::NotAccepted, State::Bad),
        ] {
            let mut conditions = Conditions::from_previous(&[], None, Timestamp::UNIX_EPOCH);
            conditions.set(kind, holds, reason, "");
            assert_eq!(state(kind, &conditions.into_vec()), expected, "{kind:?} {reason:?}");
            assert!(kinds().any(|told| told == kind));
        }
        assert_eq!(state(BackupHealthy, &[]), State::Good, "none are declared any more");
    }

    #[test]
    fn stalled_is_told_unless_ready_says_the_same() {
        for (ready, reason, expected) in [
            (Some(false), Reason::CrashLoop, State::UnderWay),
            (Some(false), Reason::Unhealthy, State::Bad),
            (Some(true), Reason::CrashLoop, State::Bad),
        ] {
            let mut conditions = Conditions::from_previous(&[], None, Timestamp::UNIX_EPOCH);
            conditions.set(ConditionKind::Ready, ready, reason, "");
            conditions.set(ConditionKind::Stalled, Some(true), Reason::CrashLoop, "");
            assert_eq!(state(ConditionKind::Stalled, &conditions.into_vec()), expected, "{ready:?} {reason:?}");
        }
    }
}
