//! The outcome of a decision.

use super::{Change, JobRequest};
use crate::api::RestoreStatus;

/// The next thing to do for an instance. [`Action::Wait`], [`Action::RemoveFinalizer`] and those of
/// jobs and requests have calls of their own; every other action is applied by the runtime.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Nothing to do now.
    Wait,
    /// Get what a start needs and may take long to get (an image); what runs keeps running.
    Prepare(String),
    /// Create and start what is declared.
    Start,
    /// Start what exists, as it is.
    Resume,
    /// Apply the changes that need no other server; nothing is started.
    Update(Vec<Change>),
    /// Replace what runs by what is declared, and retain it where the platform can.
    Recreate(Vec<Change>),
    /// The replacement is ready: remove what it replaced.
    Commit,
    /// The replacement does not become ready, for this cause: restore what it replaced.
    RollBack(String),
    /// Stop what runs, for this cause.
    Stop(String),
    /// Remove everything of a stopped instance but its volumes.
    Remove,
    /// Remove the data of a deleted instance.
    RemoveData {
        /// Its backups are removed, too.
        and_backups: bool,
    },
    /// The deleted instance's workload is gone: let its document go.
    RemoveFinalizer,
    /// Start a job on its data, next to its server.
    StartJob(JobRequest),
    /// The job ended and its outcome is in the status: answer who asked for it, and remove it.
    RemoveJob(String),
    /// Answer the request for a restore with its end.
    AnswerRestore(Box<RestoreStatus>),
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |changes: &[Change]| changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Wait => f.write_str("nothing to do"),
            Self::Prepare(missing) => write!(f, "get {missing}"),
            Self::Start => f.write_str("start"),
            Self::Resume => f.write_str("start the existing server"),
            Self::Update(changes) => write!(f, "update in place ({})", list(changes)),
            Self::Recreate(changes) => write!(f, "replace ({})", list(changes)),
            Self::Commit => f.write_str("remove the replaced server"),
            Self::RollBack(why) => write!(f, "roll back ({why})"),
            Self::Stop(why) => write!(f, "stop ({why})"),
            Self::Remove => f.write_str("remove"),
            Self::RemoveData { and_backups: true } => f.write_str("remove data and backups"),
            Self::RemoveData { and_backups: false } => f.write_str("remove the data"),
            Self::RemoveFinalizer => f.write_str("remove the finalizer"),
            Self::StartJob(request) => write!(f, "start job {} ({})", request.name, request.reason),
            Self::RemoveJob(name) => write!(f, "remove the ended job {name}"),
            Self::AnswerRestore(end) => write!(f, "answer the request for restore {} ({})", end.id, end.step),
        }
    }
}
