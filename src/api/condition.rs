//! Conditions: the closed sets of their types and reasons, and how they change without flapping.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What a condition speaks of. `Reconciling` and `Stalled` are abnormal when true (kstatus); all others are good when true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// The instance answers its people with what the spec declares.
    Ready,
    /// Work is under way.
    Reconciling,
    /// Nothing will get better without a person.
    Stalled,
    /// The newest document was understood.
    DocumentValid,
    /// The volumes are there, as large as declared.
    StorageReady,
    /// The declared way in from outside is served.
    Exposed,
}

impl ConditionKind {
    /// The `type` of the condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::DocumentValid => "DocumentValid",
            Self::StorageReady => "StorageReady",
            Self::Exposed => "Exposed",
        }
    }
}

/// Why a condition holds: a closed set, since people alert on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    MissingSecret,
    ImageUnavailable,
    NameTaken,
    Unschedulable,
    Refused,
    VolumePending,
    ResizeFailed,
    NotAccepted,
    DataNotWritable,
    DataInUse,
    InvalidDocument,
    Valid,
    UnsupportedByRuntime,
    ApplyFailed,
    ObserveFailed,
}

impl Reason {
    /// The `reason` of the condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Starting => "Starting",
            Self::Stopping => "Stopping",
            Self::Preparing => "Preparing",
            Self::Replacing => "Replacing",
            Self::RolledBack => "RolledBack",
            Self::Suspended => "Suspended",
            Self::Paused => "Paused",
            Self::Deleting => "Deleting",
            Self::Held => "Held",
            Self::Unhealthy => "Unhealthy",
            Self::CrashLoop => "CrashLoop",
            Self::Restarting => "Restarting",
            Self::PortTaken => "PortTaken",
            Self::PortConflict => "PortConflict",
            Self::MissingSecret => "MissingSecret",
            Self::ImageUnavailable => "ImageUnavailable",
            Self::NameTaken => "NameTaken",
            Self::Unschedulable => "Unschedulable",
            Self::Refused => "Refused",
            Self::VolumePending => "VolumePending",
            Self::ResizeFailed => "ResizeFailed",
            Self::NotAccepted => "NotAccepted",
            Self::DataNotWritable => "DataNotWritable",
            Self::DataInUse => "DataInUse",
            Self::InvalidDocument => "InvalidDocument",
            Self::Valid => "Valid",
            Self::UnsupportedByRuntime => "UnsupportedByRuntime",
            Self::ApplyFailed => "ApplyFailed",
            Self::ObserveFailed => "ObserveFailed",
        }
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
    /// Goes on from the conditions that stand, for what is true of `generation` at `now`.
    pub fn from(previous: &[Condition], generation: Option<i64>, now: Timestamp) -> Self {
        let mut list = previous.to_vec();
        for condition in &mut list {
            condition.observed_generation = generation;
        }
        Self { list, generation, now }
    }

    /// States a condition; keeps its transition time when its status stays.
    pub fn set(&mut self, kind: ConditionKind, holds: Option<bool>, reason: Reason, message: impl Into<String>) {
        let status = match holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let next = Condition {
            type_: kind.as_str().to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message: message.into(),
            observed_generation: self.generation,
            last_transition_time: Time(self.now),
        };
        match self.list.iter_mut().find(|condition| condition.type_ == next.type_) {
            Some(standing) if standing.status == next.status => {
                standing.reason = next.reason;
                standing.message = next.message;
            }
            Some(standing) => *standing = next,
            None => self.list.push(next),
        }
    }

    /// Takes back what is not known any more.
    pub fn clear(&mut self, kind: ConditionKind) {
        self.list.retain(|condition| condition.type_ != kind.as_str());
    }

    /// The conditions, for the status.
    pub fn into_vec(self) -> Vec<Condition> {
        self.list
    }
}
