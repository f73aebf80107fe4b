//! What a decision consists of.

use std::time::Duration;

use super::Memory;
use crate::api::MaiInstanceStatus;

/// The next thing to do for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is as declared, or nothing can be done now.
    Wait,
    /// Start what is declared.
    Start,
    /// Stop what runs; the sentence says why.
    Stop(String),
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
