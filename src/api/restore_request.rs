//! `MaiRestore`: a request to bring the data of an instance of a cluster back, and its result.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::request_phase::{GENERATION, RequestPhase, stalled_conditions};
use super::{RestoreSource, RestoreStatus, RestoreStep};

/// Request to bring the data of an instance back from a backup, fulfilled when the instance has no
/// other work. Once it is answered it is a record: nothing is restored by it again, and its removal
/// removes nothing.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::duplicated_attributes, reason = "several columns have one type")]
#[kube(
    group = "mai.dev",
    version = "v1alpha1",
    kind = "MaiRestore",
    plural = "mairestores",
    shortname = "mair",
    namespaced,
    status = "MaiRestoreStatus",
    derive = "PartialEq",
    selectable = ".spec.instance",
    printcolumn(name = "Instance", type_ = "string", json_path = ".spec.instance"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Backup",
        type_ = "string",
        json_path = ".status.backup",
        description = "Id of the backup that is brought back"
    ),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = kube::core::Rule::new("self == oldSelf").message("a MaiRestore cannot change; create another one"))]
pub struct MaiRestoreSpec {
    /// Name of the instance whose data is replaced, in the same namespace.
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("instance must be the name of a MaiInstance"))]
    #[schemars(length(max = 40))]
    pub instance: String,

    /// The backup. `{}` is the newest verified one in the backups volume.
    pub from: RestoreSource,

    /// Reason, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// State of a request and, in the end, its result.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MaiRestoreStatus {
    /// Generation of the spec that this status belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Pending, Running, Completed or Failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RequestPhase>,

    /// Id of the restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<String>,

    /// Id of the backup, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,

    /// Moment of its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub taken_at: Option<Timestamp>,

    /// Id of the backup of the data before it, in the backups volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety_backup: Option<String>,

    /// Time until which the data before it is kept in the data volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub kept_until: Option<Timestamp>,

    /// Time at which it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub started_at: Option<Timestamp>,

    /// Time at which it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub completed_at: Option<Timestamp>,

    /// The step or the result, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// Ready, and Reconciling or Stalled, as kstatus defines them. Ready is true once the instance
    /// runs on the data of the backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::condition_schema::conditions")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

impl MaiRestoreStatus {
    /// Returns whether the request has its answer.
    pub fn is_answered(&self) -> bool {
        self.phase.is_some_and(RequestPhase::is_answer)
    }

    /// Returns the status of a request whose restore has come to this point, or has ended.
    pub fn with_restore(&self, restore: &RestoreStatus, now: Timestamp) -> Self {
        let (phase, message) = match restore.step {
            RestoreStep::Completed => (RequestPhase::Completed, restore.message.clone()),
            RestoreStep::Skipped | RestoreStep::Failed => (RequestPhase::Failed, restore.message.clone()),
            step if restore.problem.is_empty() => (RequestPhase::Running, step.sentence().to_owned()),
            step => {
                let (sentence, failures, problem) = (step.sentence(), restore.failures, &restore.problem);
                (RequestPhase::Running, format!("{sentence}; attempt {failures} failed: {problem}"))
            }
        };
        let reason = restore.step.to_string();
        Self {
            restore: Some(restore.id.clone()),
            backup: restore.backup.clone(),
            taken_at: restore.taken_at,
            safety_backup: restore.safety_backup.clone(),
            kept_until: restore.kept_until,
            started_at: Some(restore.started_at),
            completed_at: phase.is_answer().then(|| restore.ended_at.unwrap_or(now)),
            ..self.moved(phase, &reason, message, now)
        }
    }

    /// Returns the status of a request that cannot be started until a person acts.
    pub fn stalled(&self, reason: &str, message: String, now: Timestamp) -> Self {
        Self {
            conditions: stalled_conditions(&self.conditions, reason, &message, now),
            ..self.moved(RequestPhase::Pending, reason, message, now)
        }
    }

    /// Returns the status of a request that failed for this cause.
    pub fn failed(&self, message: String, now: Timestamp) -> Self {
        let phase = RequestPhase::Failed;
        Self { completed_at: Some(now), ..self.moved(phase, phase.as_ref(), message, now) }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn restore(step: RestoreStep) -> RestoreStatus {
        serde_json::from_value(json!({
            "id": "20261130-020000-1f2e3d", "cause": "Request", "step": step, "source": {"destination": "s3"},
            "backup": "20261129-020000-1f2e3d", "startedAt": "2026-11-30T02:00:00Z", "stepSince": "2026-11-30T02:01:00Z",
            "message": "the end",
        }))
        .unwrap()
    }

    fn conditions(status: &MaiRestoreStatus) -> Vec<(&str, &str, &str)> {
        status.conditions.iter().map(|one| (one.type_.as_str(), one.status.as_str(), one.reason.as_str())).collect()
    }

    #[test]
    fn status_follows_the_steps_of_the_restore() {
        let now = Timestamp::UNIX_EPOCH;
        let missing = MaiRestoreStatus::default().stalled("InstanceMissing", "there is none".to_owned(), now);
        assert_eq!(
            conditions(&missing),
            [("Ready", "False", "InstanceMissing"), ("Stalled", "True", "InstanceMissing")]
        );
        let running = missing.with_restore(&restore(RestoreStep::Swapping), now);
        assert_eq!(conditions(&running), [("Ready", "False", "Swapping"), ("Reconciling", "True", "Swapping")]);
        assert_eq!(running.message.as_deref(), Some("the restored data takes its place"));
        assert!(!running.is_answered() && running.completed_at.is_none());
        let repeated = RestoreStatus { failures: 2, problem: "no room".to_owned(), ..restore(RestoreStep::Swapping) };
        let repeated = running.with_restore(&repeated, now);
        assert_eq!(repeated.message.as_deref(), Some("the restored data takes its place; attempt 2 failed: no room"));
        let completed = running.with_restore(&restore(RestoreStep::Completed), now);
        assert_eq!(conditions(&completed), [("Ready", "True", "Completed")]);
        assert_eq!((completed.message.as_deref(), completed.completed_at), (Some("the end"), Some(now)));
        let failed = running.with_restore(&restore(RestoreStep::Failed), now);
        assert_eq!(conditions(&failed), [("Ready", "False", "Failed"), ("Stalled", "True", "Failed")]);
        assert!(completed.is_answered() && failed.is_answered());
        let abandoned = running.failed("the instance was removed".to_owned(), now);
        assert_eq!(conditions(&abandoned), [("Ready", "False", "Failed"), ("Stalled", "True", "Failed")]);
        assert!(abandoned.is_answered() && abandoned.restore == running.restore);
    }
}
