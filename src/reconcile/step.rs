//! What a decision consists of.

use std::time::Duration;

use super::Memory;
use crate::api::MaiInstanceStatus;
use crate::runtime::Change;

/// The next thing to do for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is as declared, or nothing can be done now.
    Wait,
    /// Get what a start needs; what runs goes on.
    Prepare(String),
    /// Start what is declared.
    Start,
    /// Start what is there, as it is.
    Resume,
    /// Change in place what can be changed in place; nothing is started.
    Update(Vec<Change>),
    /// Put what is declared in the place of what runs.
    Replace(Vec<Change>),
    /// The replacement answers: let go of what it replaced.
    Commit,
    /// The replacement does not answer: put back what it replaced; the sentence says why.
    RollBack(String),
    /// Stop what runs; the sentence says why.
    Stop(String),
    /// Remove what is left of a stopped instance, but its volumes.
    Remove,
    /// Remove data and backups of a deleted instance.
    RemoveData,
    /// The deleted instance's workload is gone: let the document go.
    Release,
}

/// The outcome of one decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The next step.
    pub step: Step,
    /// What people are shown.
    pub status: MaiInstanceStatus,
    /// What is written down for the next decision.
    pub memory: Memory,
    /// When to look again even if nothing happens until then.
    pub wake: Option<Duration>,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |changes: &[Change]| changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Wait => f.write_str("nothing to do"),
            Self::Prepare(missing) => write!(f, "get {missing}"),
            Self::Start => f.write_str("start"),
            Self::Resume => f.write_str("start what is there"),
            Self::Update(changes) => write!(f, "update in place ({})", list(changes)),
            Self::Replace(changes) => write!(f, "replace ({})", list(changes)),
            Self::Commit => f.write_str("remove what was replaced"),
            Self::RollBack(why) => write!(f, "roll back ({why})"),
            Self::Stop(why) => write!(f, "stop ({why})"),
            Self::Remove => f.write_str("remove"),
            Self::RemoveData => f.write_str("remove data and backups"),
            Self::Release => f.write_str("let the document go"),
        }
    }
}
