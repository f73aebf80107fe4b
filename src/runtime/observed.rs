//! What a runtime sees of one instance.

use jiff::Timestamp;

/// What a runtime sees of one instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The workload.
    pub presence: Presence,
    /// How the last run ended, when it ended while this reconciler or its predecessor looked after it.
    pub last_exit: Option<Exit>,
    /// Who else listens on the declared port, when somebody does.
    pub port_holder: Option<String>,
}

/// Whether something runs for an instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// Nothing runs.
    Absent,
    /// The server runs.
    Running {
        /// `Workload::hash` it was started with.
        hash: String,
        /// When it was started.
        since: Timestamp,
        /// Whether it answers.
        readiness: Readiness,
    },
    /// It was told to stop, or ends with the reconciler that started it, and has not ended yet.
    Stopping,
}

/// Whether a running server answers its probe.
#[derive(Clone, Debug, PartialEq)]
pub enum Readiness {
    /// Not ready since it was started.
    Starting {
        /// What the last probe said.
        detail: String,
    },
    /// Its last probe was answered with 200.
    Ready {
        /// Version the server named, when it names one.
        version: Option<String>,
    },
    /// It was ready, and its last probes failed.
    Failing {
        /// How many in a row.
        probes: u32,
        /// What the last one said.
        detail: String,
    },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// When.
    pub at: Timestamp,
    /// Exit code, unless a signal ended it or it is not known.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Last lines of its log.
    pub log_tail: Vec<String>,
}
