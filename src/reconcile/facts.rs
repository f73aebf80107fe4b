//! All that a decision is made from.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Blocked;
use crate::api::{MaiInstance, MaiInstanceStatus, Rejected};
use crate::runtime::{Ground, Observed, Workload};

/// All that a decision is made from.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The document.
    pub instance: &'a MaiInstance,
    /// What should run, or why that cannot be said.
    pub desired: Result<&'a Workload, &'a Blocked>,
    /// What is there, or why that is not known.
    pub observed: Result<&'a Observed, &'a str>,
    /// What earlier decisions wrote down.
    pub memory: &'a Memory,
    /// The status that stands.
    pub previous: &'a MaiInstanceStatus,
    /// What instances run on.
    pub ground: Ground,
    /// The clock.
    pub now: Timestamp,
}

/// What has to be remembered between decisions, restarts of the reconciler included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// How often in a row the server ended by itself or was stopped for not answering.
    pub failures: u32,
    /// The end of the run that was counted last, or that was asked for.
    pub counted_exit: Option<Timestamp>,
    /// Since when it has been ready without a break.
    pub ready_since: Option<Timestamp>,
    /// Hash of a workload that was rolled back, and why: it is not tried again until something else is declared.
    pub rejected: Option<Rejected>,
    /// The deleted instance's workload is gone.
    pub removed: bool,
    /// The deleted instance's data is gone.
    pub data_removed: bool,
}
