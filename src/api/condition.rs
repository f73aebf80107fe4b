//! Conditions: the closed sets of their types and reasons, and a set of them whose transition times
//! change with their status only.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use strum::{AsRefStr, EnumIter, EnumString, IntoStaticStr};

use super::MaiInstanceStatus;

/// Status of a condition that holds.
const TRUE: &str = "True";
/// Status of a condition that does not hold.
const FALSE: &str = "False";

/// Type of a condition. `Reconciling` and `Stalled` are abnormal when true (kstatus); all others
/// are good when true.
#[derive(AsRefStr, EnumIter, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// The instance answers its people with what the spec declares.
    Ready,
    /// Work is in progress.
    Reconciling,
    /// A person has to act before anything can improve.
    Stalled,
    /// The newest document is valid.
    DocumentValid,
    /// The volumes exist and are as large as declared.
    StorageReady,
    /// The declared Ingress or route is served.
    Exposed,
    /// The newest backup is verified in each destination and no older than declared.
    BackupHealthy,
    /// A backup was brought back in a drill and worked, no longer ago than declared.
    RestoreVerified,
    /// The declared image serves.
    UpgradeHealthy,
    /// The client's own key at the upstream is there, with the declared limit.
    KeyHealthy,
}

/// Reason of a condition: a closed set, since people alert on it.
#[derive(AsRefStr, EnumIter, EnumString, IntoStaticStr, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are the meaning; docs/conditions.md explains each to users")]
pub enum Reason {
    Ready,
    Starting,
    Stopping,
    Preparing,
    Replacing,
    RolledBack,
    Suspended,
    Paused,
    Deleting,
    Held,
    Unhealthy,
    CrashLoop,
    Restarting,
    PortTaken,
    PortConflict,
    HostConflict,
    MissingSecret,
    ImageUnavailable,
    NameTaken,
    Unschedulable,
    Refused,
    VolumePending,
    ResizeFailed,
    NotAccepted,
    NoEndpoints,
    DataNotWritable,
    DataInUse,
    DataTooNew,
    InvalidDocument,
    RefusedByPolicy,
    Valid,
    UnsupportedByRuntime,
    ApplyFailed,
    ObserveFailed,
    BackupPending,
    BackupVerified,
    BackupIntact,
    BackupUnverified,
    BackupFailed,
    BackupOverdue,
    BackupBlocked,
    DrillPending,
    DrillPassed,
    DrillFailed,
    DrillOverdue,
    DrillBlocked,
    DrillNeedsIdentity,
    Restoring,
    RestoreFailed,
    WaitingForWindow,
    WaitingForCanary,
    Upgrading,
    Upgraded,
    UpToDate,
    UpgradeBackupFailed,
    UpgradeHalted,
    UpgradeFailed,
    BreakerOpen,
    KeyReady,
    KeyPending,
    KeyRotating,
    ManagementKeyRejected,
    ManagementKeyForbidden,
    UpstreamBusy,
    UpstreamUnreachable,
    UpstreamRefused,
}

impl Reason {
    /// Returns whether what it names ends by itself, so that nobody has to act.
    pub fn is_under_way(self) -> bool {
        matches!(
            self,
            Self::Preparing
                | Self::Starting
                | Self::Restarting
                | Self::Replacing
                | Self::Stopping
                | Self::Held
                | Self::Deleting
                | Self::Restoring
                | Self::WaitingForWindow
                | Self::WaitingForCanary
                | Self::Upgrading
                | Self::KeyPending
                | Self::KeyRotating
        )
    }
}

/// A set of conditions of one generation, in which a transition time moves only when a status does.
#[derive(Clone, Debug)]
pub struct Conditions {
    list: Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
}

impl Conditions {
    /// Returns a set that starts with `previous`, for a status of `generation` computed at `now`.
    pub fn from_previous(previous: &[Condition], generation: Option<i64>, now: Timestamp) -> Self {
        let mut list = previous.to_vec();
        for condition in &mut list {
            condition.observed_generation = generation;
        }
        Self { list, generation, now }
    }

    /// Sets a condition. Its transition time is kept when its status does not change.
    pub fn set(&mut self, kind: ConditionKind, holds: Option<bool>, reason: Reason, message: impl Into<String>) {
        let status = match holds {
            Some(true) => TRUE,
            Some(false) => FALSE,
            None => "Unknown",
        };
        let next = Condition {
            type_: kind.as_ref().to_owned(),
            status: status.to_owned(),
            reason: reason.as_ref().to_owned(),
            message: message.into(),
            observed_generation: self.generation,
            last_transition_time: Time(self.now),
        };
        match self.list.iter_mut().find(|condition| condition.type_ == next.type_) {
            Some(current) if current.status == next.status => {
                current.reason = next.reason;
                current.message = next.message;
            }
            Some(current) => *current = next,
            None => self.list.push(next),
        }
    }

    /// Marks a condition as one about a generation before the present one.
    pub fn set_former_generation(&mut self, kind: ConditionKind, former: Option<i64>) {
        let latest = self.generation.map(|generation| generation.saturating_sub(1));
        if let Some(condition) = self.list.iter_mut().find(|condition| condition.type_ == kind.as_ref()) {
            condition.observed_generation = former.min(latest).or(latest);
        }
    }

    /// Removes a condition.
    pub fn remove(&mut self, kind: ConditionKind) {
        self.list.retain(|condition| condition.type_ != kind.as_ref());
    }

    /// Returns the conditions in the form the status has them.
    pub fn into_vec(self) -> Vec<Condition> {
        self.list
    }
}

impl MaiInstanceStatus {
    /// Returns the condition of this kind.
    pub fn condition(&self, kind: ConditionKind) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == kind.as_ref())
    }

    /// Returns the condition of this kind if its status is `True`.
    pub fn true_condition(&self, kind: ConditionKind) -> Option<&Condition> {
        self.condition(kind).filter(|condition| condition.status == TRUE)
    }

    /// Returns the status of the condition of this kind; nothing when it is absent or `Unknown`.
    pub fn condition_holds(&self, kind: ConditionKind) -> Option<bool> {
        self.condition(kind).and_then(|condition| match condition.status.as_str() {
            TRUE => Some(true),
            FALSE => Some(false),
            _ => None,
        })
    }

    /// Returns the reason of the condition of this kind; nothing when another version wrote one
    /// that this version does not know.
    pub fn reason(&self, kind: ConditionKind) -> Option<Reason> {
        self.condition(kind)?.reason.parse().ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_found_by_kind() {
        let mut conditions = Conditions::from_previous(&[], Some(1), Timestamp::UNIX_EPOCH);
        conditions.set(ConditionKind::Ready, Some(false), Reason::CrashLoop, "ended");
        conditions.set(ConditionKind::Stalled, Some(true), Reason::CrashLoop, "ended");
        conditions.set(ConditionKind::Exposed, None, Reason::ObserveFailed, "");
        let status = MaiInstanceStatus { conditions: conditions.into_vec(), ..MaiInstanceStatus::default() };
        assert_eq!(status.condition(ConditionKind::Ready).unwrap().type_, "Ready");
        assert_eq!(status.condition_holds(ConditionKind::Ready), Some(false));
        assert_eq!(status.condition_holds(ConditionKind::Exposed), None);
        assert_eq!(status.condition_holds(ConditionKind::Reconciling), None);
        assert_eq!(status.reason(ConditionKind::Ready), Some(Reason::CrashLoop));
        assert!(status.true_condition(ConditionKind::Stalled).is_some());
        assert!(status.true_condition(ConditionKind::Ready).is_none());
    }

    #[test]
    fn transition_time_moves_with_the_status_only() {
        let later = Timestamp::from_second(60).unwrap();
        let mut first = Conditions::from_previous(&[], Some(1), Timestamp::UNIX_EPOCH);
        first.set(ConditionKind::Ready, Some(false), Reason::Starting, "");
        let first = first.into_vec();
        for (holds, since) in [(false, Timestamp::UNIX_EPOCH), (true, later)] {
            let mut next = Conditions::from_previous(&first, Some(2), later);
            next.set(ConditionKind::Ready, Some(holds), Reason::Unhealthy, "");
            let next = next.into_vec();
            assert_eq!((next[0].last_transition_time.0, next[0].observed_generation), (since, Some(2)));
        }
    }
}
