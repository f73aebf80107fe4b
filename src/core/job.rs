//! A job of an instance: a program of ours that works once on its data, next to its server. It runs
//! as a process, a container or a Job of a cluster, whatever becomes of the server.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use mai_contract::job::{BackupId, Order, Outcome, Progress, SwapStep};
use secrecy::SecretString;

use super::workload::Claim;
use crate::api::{RestoreCause, RestoreSource, RestoreStatus, RestoreStep};

/// A job to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name, a DNS label of up to 22 characters; no two jobs of an instance share one.
    pub name: String,
    /// Image that holds our program, where the runtime uses one.
    pub image: Option<String>,
    /// The work.
    pub order: Order,
    /// Content of its secret files, by name.
    pub secrets: BTreeMap<String, SecretString>,
    /// The volumes of the instance.
    pub storage: Storage,
    /// Directories of the machine that it needs under the same path.
    pub directories: Vec<PathBuf>,
}

/// The volumes of an instance, as its document declares them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// The data.
    pub data: Location,
    /// The backups.
    pub backups: Location,
    /// The server runs as the user of our image, where the runtime has images.
    pub confined: bool,
}

/// Declared place of a volume. Nothing declared is the volume that the runtime makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// Directory of the machine.
    pub path: Option<PathBuf>,
    /// Existing volume of the engine.
    pub volume: Option<String>,
    /// Claim of a cluster.
    pub claim: Claim,
}

/// Jobs of an instance, and requests of administrators.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedJobs {
    /// The job that exists. There is at most one at a time.
    pub current: Option<ObservedJob>,
    /// The oldest request for a job that has no answer.
    pub request: Option<JobRequest>,
    /// The oldest request for a restore that has no answer.
    pub restore_request: Option<RestoreRequest>,
    /// Name of the newest request for another key at the upstream, also if it was handled.
    pub key_rotation: Option<String>,
}

/// Observation of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedJob {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: JobState,
}

/// State of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobState {
    /// It has not ended.
    Running {
        /// Its progress, where the platform shows it.
        progress: Option<Progress>,
    },
    /// It ended with an outcome of its own.
    Ended(Outcome),
    /// It ended without one, for this cause: it was killed, or never started.
    Lost(String),
}

/// Request for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRequest {
    /// Name of the job it asks for.
    pub name: String,
    /// Reason, as a sentence for people.
    pub reason: String,
    /// The work.
    pub work: JobWork,
}

/// Request for a restore of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreRequest {
    /// Id of the restore.
    pub id: BackupId,
    /// The backup.
    pub source: RestoreSource,
    /// Reason with the name of who asked, as a sentence for people.
    pub reason: String,
}

impl RestoreRequest {
    /// Returns the answer that nothing was restored, and why.
    pub fn refused(&self, message: impl Into<String>, now: Timestamp) -> RestoreStatus {
        let begun = RestoreStatus::begun(&self.id, RestoreCause::Request, self.source.clone(), message, now);
        RestoreStatus { step: RestoreStep::Failed, ended_at: Some(begun.started_at), ..begun }
    }
}

/// Work of a job, from which its order is derived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum JobWork {
    /// A backup as declared, in each destination.
    #[default]
    Backup,
    /// A backup before something that may destroy data, in the backups volume alone. It is not
    /// encrypted, since it has to be read back where there may be no identity.
    SafetyBackup,
    /// Unpacking of a backup next to the data.
    Restore {
        /// Id of the restore, also of a job that repeats it.
        restore: BackupId,
        /// The backup.
        source: Box<RestoreSource>,
        /// Data that is there already is kept.
        keeps_data: bool,
    },
    /// A step of the swap of a restore.
    Swap {
        /// Id of the restore.
        restore: BackupId,
        /// The step.
        step: SwapStep,
    },
    /// A throw-away server on a backup; absent in a request, before it is chosen.
    Drill(Option<DrillChoice>),
}

/// Choice of the backup of a drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillChoice {
    /// Name of the destination that has it.
    pub destination: String,
    /// Random number by which it is chosen among the verified ones there.
    pub number: u32,
}
