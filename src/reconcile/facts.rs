//! The input and the outcome of a decision.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{MaiInstance, MaiInstanceStatus, Schedule, ScheduleError};
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
    /// Jobs of other instances that run now.
    pub jobs_running: usize,
    /// Random part of the id of a backup that is started.
    pub random: u32,
}

impl Facts<'_> {
    /// Returns the schedule of backups, where they are declared.
    pub(super) fn schedule(&self) -> Option<Result<Schedule, ScheduleError>> {
        let uid = self.instance.metadata.uid.as_deref().unwrap_or_default();
        self.instance.spec.backup.as_ref().map(|backup| Schedule::from_backup(backup, uid))
    }

    /// Returns when the instance was created.
    pub(super) fn created(&self) -> Timestamp {
        self.instance.metadata.creation_timestamp.as_ref().map_or(self.now, |time| time.0)
    }
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
