//! What a runtime sees of one instance.

use jiff::Timestamp;

/// What a runtime sees of one instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The workload.
    pub presence: Presence,
    /// What differs beside the server and is put right whatever that was declared as, and whether it runs or not.
    pub beside: Vec<Change>,
    /// What a start would need first and does not have, such as "image mai-production:1.4.0".
    pub missing: Option<String>,
    /// What was replaced and is kept until its replacement answers.
    pub former: Option<Former>,
    /// How the last run ended, when it ended while this reconciler or its predecessor looked after it.
    pub last_exit: Option<Exit>,
    /// Who else listens on the declared port, when somebody does.
    pub port_holder: Option<String>,
    /// How the parts beside the server stand, where the runtime has any that may not be in order.
    pub parts: Vec<Part>,
    /// Who works on its data at this moment, so that its server is left alone.
    pub held: Option<String>,
}

/// A part of an instance beside its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub kind: PartKind,
    /// What is wrong with it, when something is.
    pub trouble: Option<Trouble>,
}

/// The parts of an instance beside its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Its volumes.
    Storage,
    /// Its way in from outside.
    Exposure,
}

/// What keeps something from being in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In one word.
    pub cause: Cause,
    /// As a sentence, in the words of whoever refuses.
    pub detail: String,
}

/// Why something is not in order: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is on its way.
    Starting,
    /// It answered before and does not now.
    Unhealthy,
    /// It ends again and again.
    CrashLoop,
    /// Its image cannot be had.
    ImageUnavailable,
    /// No node takes it.
    Unschedulable,
    /// A quota or a policy refuses it.
    Refused,
    /// A volume is not there yet.
    VolumePending,
    /// A volume is to grow and does not.
    ResizeFailed,
    /// Nobody serves the declared way in.
    NotAccepted,
}

impl Cause {
    /// Whether a replacement with this trouble has failed, without waiting for its start period to end.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::CrashLoop | Self::ImageUnavailable | Self::Refused)
    }
}

/// Whether something runs for an instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// Nothing is there.
    Absent,
    /// Something is there that does not run and can be started as it is.
    Stopped {
        /// How it differs from what is declared.
        drift: Drift,
    },
    /// The server runs.
    Running {
        /// How it differs from what is declared.
        drift: Drift,
        /// When it was started.
        since: Timestamp,
        /// Whether it answers.
        readiness: Readiness,
    },
    /// It was told to stop, or ends with the reconciler that started it, and has not ended yet.
    Stopping,
}

/// How what runs differs from what is declared.
#[derive(Clone, Debug, PartialEq)]
pub enum Drift {
    /// Not at all, or what is declared is not known.
    None,
    /// In what can change while it runs.
    InPlace(Vec<Change>),
    /// In what cannot.
    Replace(Vec<Change>),
}

/// One field that differs. A secret's value is never shown.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// The field, in the runtime's words: `env.WEBUI_NAME`, `image`, `memory`.
    pub field: String,
    /// What is.
    pub from: String,
    /// What should be.
    pub to: String,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} -> {}", self.field, self.from, self.to)
    }
}

/// A replaced workload that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// `Workload::hash` it was started with.
    pub hash: String,
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
    /// Not ready, and what runs it goes on trying by itself, as a cluster does.
    Waiting(Trouble),
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
