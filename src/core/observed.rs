//! The observation of one instance.

use jiff::Timestamp;

use super::{Change, Effect, Field, ObservedJobs};

/// Observation of one instance by a runtime.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The workload.
    pub presence: Presence,
    /// Differences from what is declared; none while that is not known.
    pub changes: Vec<Change>,
    /// The declared image as [`Change::to`] names it, on platforms where servers are made from one.
    pub image: Option<String>,
    /// Prerequisite of a start that is missing, such as "image mai-production:1.4.0".
    pub missing: Option<String>,
    /// Replaced workload that is retained until its replacement is ready.
    pub retained: Option<Retained>,
    /// End of the last run, if it ended under this reconciler or its predecessor.
    pub last_exit: Option<Exit>,
    /// Another program that listens on the declared port.
    pub port_holder: Option<String>,
    /// State of storage and exposure, on platforms where they can fail by themselves.
    pub components: Vec<Component>,
    /// Command that works on its data now, during which its server is left alone.
    pub maintenance: Option<String>,
    /// Jobs on its data, next to its server.
    pub jobs: ObservedJobs,
}

impl Observed {
    /// Returns the strongest effect among the changes.
    pub fn effect(&self) -> Option<Effect> {
        self.changes.iter().map(|change| change.effect).max()
    }

    /// Returns the change of the image, if it changes.
    pub fn image_change(&self) -> Option<&Change> {
        self.changes.iter().find(|change| change.field == Field::Image && change.effect == Effect::Recreate)
    }

    /// Returns the changes that need no other server.
    pub fn changes_in_place(&self) -> Vec<Change> {
        self.changes.iter().filter(|change| change.effect != Effect::Recreate).cloned().collect()
    }

    /// Returns the changes that are applied whatever becomes of the server.
    pub fn auxiliary_changes(&self) -> Vec<Change> {
        self.changes.iter().filter(|change| change.effect == Effect::Auxiliary).cloned().collect()
    }
}

/// A component of an instance other than its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its kind.
    pub kind: ComponentKind,
    /// Its fault, if any.
    pub fault: Option<Fault>,
}

/// Kind of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComponentKind {
    /// The volumes.
    Storage,
    /// The route from outside.
    Exposure,
}

/// Something that does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its cause.
    pub cause: Cause,
    /// A sentence, in the platform's words.
    pub detail: String,
}

/// Cause of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It has not started yet.
    Starting,
    /// It ended by itself and is started again.
    Restarting,
    /// It was ready and is not now.
    Unhealthy,
    /// It keeps ending.
    CrashLoop,
    /// It refuses data that a newer version of it wrote.
    DataTooNew,
    /// Its image could not be pulled.
    ImageUnavailable,
    /// No node has room for it.
    Unschedulable,
    /// A quota or a policy refused it.
    Refused,
    /// A volume is not bound yet.
    VolumePending,
    /// A volume could not be resized.
    ResizeFailed,
    /// No controller serves the declared route.
    NotAccepted,
    /// It answers, and its Service leads nowhere.
    NoEndpoints,
}

impl Cause {
    /// Returns whether a replacement with this fault has failed before its start period ends.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::CrashLoop | Self::DataTooNew | Self::ImageUnavailable | Self::Refused)
    }
}

/// State of the server of an instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// It does not exist.
    Absent,
    /// It exists and does not run; it can be started as it is.
    Stopped,
    /// It runs.
    Running {
        /// Time of its start.
        since: Timestamp,
        /// Result of its probes.
        readiness: Readiness,
    },
    /// It is stopping.
    Stopping,
}

/// A replaced workload that is retained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// `Workload::hash` it was started with.
    pub hash: String,
}

/// Result of the probes of a running server.
#[derive(Clone, Debug, PartialEq)]
pub enum Readiness {
    /// Not ready since it was started.
    Starting {
        /// Result of the last probe.
        detail: String,
    },
    /// Its last probe was answered with 200.
    Ready {
        /// Version the server named, when it names one.
        version: Option<String>,
    },
    /// It was ready, and its last probes failed.
    Failing {
        /// Failures in a row.
        probes: u32,
        /// Result of the last one.
        detail: String,
    },
    /// Not ready, on a platform that keeps trying by itself.
    Waiting(Fault),
}

/// End of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// Its time.
    pub at: Timestamp,
    /// Exit code, unless a signal ended it or it is unknown.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Last lines of its log.
    pub log_tail: Vec<String>,
}
