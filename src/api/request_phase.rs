//! Phase of a request, a `MaiBackup` or a `MaiRestore`, and the conditions that follow from it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde::{Deserialize, Serialize};
use strum::AsRefStr;

use super::ConditionKind;

/// Generation of every request: its spec cannot change.
pub(super) const GENERATION: i64 = 1;

/// Phase of a request.
#[derive(Serialize, Deserialize, schemars::JsonSchema, AsRefStr, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestPhase {
    /// It waits for its instance.
    Pending,
    /// It is being worked on.
    Running,
    /// It was fulfilled.
    Completed,
    /// It was not fulfilled, or in part only.
    Failed,
}

impl RequestPhase {
    /// Returns whether the request has its answer.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    /// Returns the conditions of a request in this phase: Ready, and Reconciling or Stalled where
    /// they hold. A transition time of `former` is kept where the status stays.
    pub(super) fn conditions(
        self,
        former: &[Condition],
        reason: &str,
        message: &str,
        now: Timestamp,
    ) -> Vec<Condition> {
        let abnormal = match self {
            Self::Pending | Self::Running => Some(ConditionKind::Reconciling),
            Self::Failed => Some(ConditionKind::Stalled),
            Self::Completed => None,
        };
        conditions(former, self == Self::Completed, abnormal, reason, message, now)
    }
}

/// Returns the conditions of a request that waits until a person acts.
pub(super) fn stalled_conditions(former: &[Condition], reason: &str, message: &str, now: Timestamp) -> Vec<Condition> {
    conditions(former, false, Some(ConditionKind::Stalled), reason, message, now)
}

fn conditions(
    former: &[Condition],
    is_ready: bool,
    abnormal: Option<ConditionKind>,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |kind: ConditionKind, holds: bool| {
        let status = if holds { "True" } else { "False" };
        let same = former.iter().find(|former| former.type_ == kind.as_ref() && former.status == status);
        Condition {
            type_: kind.as_ref().to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: Some(GENERATION),
            last_transition_time: same.map_or(Time(now), |same| same.last_transition_time.clone()),
        }
    };
    let ready = condition(ConditionKind::Ready, is_ready);
    std::iter::once(ready).chain(abnormal.map(|kind| condition(kind, true))).collect()
}
