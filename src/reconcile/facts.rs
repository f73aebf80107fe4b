//! The input and the outcome of a decision.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{MaiInstance, MaiInstanceStatus, Schedule, ScheduleError};
use crate::core::{Action, Blocked, Memory, Observed, Platform, Workload};
use crate::fleet::KnownCounts;
use crate::fleet::keys::KeyState;

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
    /// Upgrades of other instances to the image that is declared.
    pub fleet: FleetTurn,
    /// Counts that its server told, where that is to be shown.
    pub counts: Option<KnownCounts>,
    /// Why the backup of an upgrade cannot be started, where that was tried for this decision.
    pub backup_problem: Option<&'a str>,
    /// The declared backups of a deleted instance, or secrets of them, are others than those that its
    /// last backup failed with.
    pub backup_corrected: bool,
    /// Random part of the id of a backup that is started.
    pub random: u32,
    /// The key at its upstream.
    pub key: KeyState,
}

impl Facts<'_> {
    /// Returns the schedule of backups, where they are declared.
    pub(super) fn schedule(&self) -> Option<Result<Schedule, ScheduleError>> {
        let uid = self.instance.metadata.uid.as_deref().unwrap_or_default();
        self.instance.spec.backup.as_ref().map(|backup| Schedule::from_backup(backup, uid))
    }

    /// Returns the schedule of drills, where they are declared.
    pub(super) fn drill_schedule(&self) -> Option<Result<Schedule, ScheduleError>> {
        let uid = self.instance.metadata.uid.as_deref().unwrap_or_default();
        Schedule::of_drills(self.instance.spec.backup.as_ref()?, uid)
    }

    /// Returns when the instance was created.
    pub(super) fn created(&self) -> Timestamp {
        self.instance.metadata.creation_timestamp.as_ref().map_or(self.now, |time| time.0)
    }
}

/// Answer to whether it is the turn of an instance to get an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FleetTurn {
    /// It is.
    #[default]
    Free,
    /// Not all instances were observed yet.
    Unknown,
    /// As many as may have got it now.
    Busy {
        /// One of them.
        instance: String,
        /// It was completed on another one before; else this is the first.
        is_proved: bool,
    },
    /// It failed on this instance.
    Failed(String),
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
