//! The input and the outcome of a decision.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{MaiInstance, MaiInstanceStatus};
use crate::core::{Action, Blocked, Memory, Observed, Platform, Workload};

/// Everything a decision is made from.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The document.
    pub instance: &'a MaiInstance,
    /// The workload that should run, or why it is not known.
    pub desired: Result<&'a Workload, &'a Blocked>,
    /// The observation, or why it failed.
    pub observed: Result<&'a Observed, &'a str>,
    /// The memory of earlier decisions.
    pub memory: &'a Memory,
    /// The current status.
    pub previous: &'a MaiInstanceStatus,
    /// The platform of the instance.
    pub platform: Platform,
    /// The current time.
    pub now: Timestamp,
}

/// The outcome of a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The next action.
    pub action: Action,
    /// The new status.
    pub status: MaiInstanceStatus,
    /// The memory for the next decision.
    pub memory: Memory,
    /// Time after which to decide again even if nothing happens until then.
    pub requeue_after: Option<Duration>,
}
