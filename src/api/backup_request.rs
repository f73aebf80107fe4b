//! `MaiBackup`: a request for one backup of an instance of a cluster, and its result.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use mai_contract::job::{DestinationReport, Outcome, StoreResult};
use serde::{Deserialize, Serialize};
use strum::AsRefStr;

use super::request_phase::{GENERATION, RequestPhase, stalled_conditions};

/// Request for one backup of an instance, made when the instance has no other job. Once it is
/// answered it is a record: nothing is made of it again, and its removal removes no backup.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::duplicated_attributes, reason = "several columns have one type")]
#[kube(
    group = "mai.dev",
    version = "v1alpha1",
    kind = "MaiBackup",
    plural = "maibackups",
    shortname = "maib",
    namespaced,
    status = "MaiBackupStatus",
    derive = "PartialEq",
    selectable = ".spec.instance",
    printcolumn(name = "Instance", type_ = "string", json_path = ".spec.instance"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Backup",
        type_ = "string",
        json_path = ".status.backup",
        description = "Id of the backup in its destinations"
    ),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = kube::core::Rule::new("self == oldSelf").message("a MaiBackup cannot change; create another one"))]
pub struct MaiBackupSpec {
    /// Name of the instance, in the same namespace.
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("instance must be the name of a MaiInstance"))]
    #[schemars(length(max = 40))]
    pub instance: String,

    /// Reason, for people. It is stored with the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// State of a request and, in the end, its result.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MaiBackupStatus {
    /// Generation of the spec that this status belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Pending, Running, Completed or Failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RequestPhase>,

    /// Id of the backup, by which it is named in every destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,

    /// Time at which it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub started_at: Option<Timestamp>,

    /// Time at which it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub completed_at: Option<Timestamp>,

    /// The state or the result, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// Result in each destination.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub destinations: Vec<MaiBackupDestination>,

    /// Ready, and Reconciling or Stalled, as kstatus defines them. Ready is true once every
    /// destination has the backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::condition_schema::conditions")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Result in one destination.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MaiBackupDestination {
    /// Name of the destination.
    pub name: String,

    /// Verified, Stored or Failed.
    pub result: MaiBackupResult,

    /// Extent of the check, or why it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Result of a backup in one destination.
#[derive(Serialize, Deserialize, schemars::JsonSchema, AsRefStr, Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaiBackupResult {
    /// It was read back, unpacked and checked.
    Verified,
    /// It is there, and was checked as far as its message says.
    Stored,
    /// It is not there.
    Failed,
}

impl MaiBackupStatus {
    /// Returns whether the request has its answer.
    pub fn is_answered(&self) -> bool {
        self.phase.is_some_and(RequestPhase::is_answer)
    }

    /// Returns the status of a request whose backup is being made.
    pub fn running(&self, backup: &str, now: Timestamp) -> Self {
        let mut next = self.moved(RequestPhase::Running, "Running", "the backup is being made".to_owned(), now);
        next.backup = Some(backup.to_owned());
        next.started_at = Some(now);
        next
    }

    /// Returns the status of a request that cannot be started until a person acts.
    pub fn stalled(&self, reason: &str, message: String, now: Timestamp) -> Self {
        Self {
            conditions: stalled_conditions(&self.conditions, reason, &message, now),
            ..self.moved(RequestPhase::Pending, reason, message, now)
        }
    }

    /// Returns the status of a request that was answered.
    pub fn answered(&self, outcome: &Outcome, now: Timestamp) -> Self {
        let (phase, message) = match outcome {
            Outcome::Restored(_) | Outcome::DataKept | Outcome::Swapped | Outcome::Drilled(_) => {
                return self.answered(&Outcome::of_other_work(), now);
            }
            Outcome::Failed { message } => (RequestPhase::Failed, message.clone()),
            Outcome::Backup(report) => {
                let failed = report.destinations.iter().any(|one| matches!(one.result, StoreResult::Failed(_)));
                let phase = if failed { RequestPhase::Failed } else { RequestPhase::Completed };
                (phase, report.destinations.iter().map(sentence).collect::<Vec<_>>().join("; "))
            }
        };
        let mut next = self.moved(phase, phase.as_ref(), message, now);
        next.completed_at = Some(now);
        if let Outcome::Backup(report) = outcome {
            next.backup = Some(report.id.to_string());
            next.destinations = report.destinations.iter().map(MaiBackupDestination::from).collect();
        }
        next
    }

    /// Returns the status in another phase, with its conditions.
    fn moved(&self, phase: RequestPhase, reason: &str, message: String, now: Timestamp) -> Self {
        Self {
            observed_generation: Some(GENERATION),
            phase: Some(phase),
            conditions: phase.conditions(&self.conditions, reason, &message, now),
            message: Some(message),
            ..self.clone()
        }
    }
}

impl From<&DestinationReport> for MaiBackupDestination {
    fn from(report: &DestinationReport) -> Self {
        let (result, message) = match &report.result {
            StoreResult::Verified => (MaiBackupResult::Verified, None),
            StoreResult::Intact(how) | StoreResult::Stored(how) => (MaiBackupResult::Stored, Some(how.clone())),
            StoreResult::Failed(why) => (MaiBackupResult::Failed, Some(why.clone())),
        };
        Self { name: report.name.clone(), result, message }
    }
}

/// Returns the result in one destination as a sentence.
fn sentence(report: &DestinationReport) -> String {
    match &report.result {
        StoreResult::Verified => format!("{}: stored and verified", report.name),
        StoreResult::Intact(how) | StoreResult::Stored(how) => format!("{}: stored; {how}", report.name),
        StoreResult::Failed(why) => format!("{}: failed: {why}", report.name),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mai_contract::job::BackupReport;

    use super::*;

    fn report(results: [StoreResult; 2]) -> Outcome {
        let destinations = ["backups", "s3"].into_iter().zip(results).map(|(name, result)| DestinationReport {
            name: name.to_owned(),
            result,
            kept: 1,
            removed: 0,
            newest_verified: None,
            retention_problem: None,
        });
        Outcome::Backup(BackupReport {
            id: "20261130-020000-1f2e3d".parse().unwrap(),
            taken_at: Timestamp::UNIX_EPOCH,
            data_bytes: 1,
            archive_bytes: 1,
            files: 1,
            databases: 1,
            destinations: destinations.collect(),
            remarks: Vec::new(),
        })
    }

    fn conditions(status: &MaiBackupStatus) -> Vec<(&str, &str, &str)> {
        let mut all: Vec<_> = status
            .conditions
            .iter()
            .map(|one| (one.type_.as_str(), one.status.as_str(), one.reason.as_str()))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn conditions_follow_the_phase() {
        let now = Timestamp::UNIX_EPOCH;
        let missing = MaiBackupStatus::default().stalled("InstanceMissing", "there is none".to_owned(), now);
        assert_eq!(
            conditions(&missing),
            [("Ready", "False", "InstanceMissing"), ("Stalled", "True", "InstanceMissing")]
        );
        assert!(!missing.is_answered());
        let running = missing.running("20261130-020000-1f2e3d", now);
        assert_eq!(conditions(&running), [("Ready", "False", "Running"), ("Reconciling", "True", "Running")]);
        let completed = running.answered(&report([StoreResult::Verified, StoreResult::Stored("x".to_owned())]), now);
        assert_eq!(conditions(&completed), [("Ready", "True", "Completed")]);
        assert_eq!(completed.message.as_deref(), Some("backups: stored and verified; s3: stored; x"));
        assert!(completed.is_answered());
        let failed = running.answered(&report([StoreResult::Verified, StoreResult::Failed("x".to_owned())]), now);
        assert_eq!(conditions(&failed), [("Ready", "False", "Failed"), ("Stalled", "True", "Failed")]);
        assert_eq!(failed.destinations[1].result, MaiBackupResult::Failed);
        let nothing = running.answered(&Outcome::Failed { message: "the volume is full".to_owned() }, now);
        assert_eq!(
            (nothing.phase, nothing.message.as_deref()),
            (Some(RequestPhase::Failed), Some("the volume is full"))
        );
    }

    #[test]
    fn transition_time_stays_while_the_status_does() {
        let later = Timestamp::from_second(60).unwrap();
        let running = MaiBackupStatus::default().running("a", Timestamp::UNIX_EPOCH);
        let failed = running.answered(&Outcome::Failed { message: String::new() }, later);
        let since =
            |kind: &str| failed.conditions.iter().find(|one| one.type_ == kind).map(|one| one.last_transition_time.0);
        assert_eq!((since("Ready"), since("Stalled")), (Some(Timestamp::UNIX_EPOCH), Some(later)));
    }
}
