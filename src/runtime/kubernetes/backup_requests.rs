//! `MaiBackup` objects: requests for backups, answered with the outcome of their jobs.

use jiff::Timestamp;
use mai_contract::job::Outcome;

use super::apply::failed;
use super::requests::{RequestKind, RequestedWork, Requests, now};
use crate::api::{MaiBackup, MaiBackupSpec, MaiBackupStatus, RequestPhase};
use crate::core::{InstanceId, JobRequest, JobWork};
use crate::runtime::RuntimeError;

impl RequestKind for MaiBackup {
    type Spec = MaiBackupSpec;
    type Status = MaiBackupStatus;
    const WORK: RequestedWork = RequestedWork::Backup;

    fn instance(spec: &MaiBackupSpec) -> &str {
        &spec.instance
    }

    fn is_answered(status: &MaiBackupStatus) -> bool {
        status.is_answered()
    }

    fn is_begun(status: &MaiBackupStatus) -> bool {
        status.phase == Some(RequestPhase::Running)
    }

    fn stalled(status: &MaiBackupStatus, reason: &str, message: String, now: Timestamp) -> MaiBackupStatus {
        status.stalled(reason, message, now)
    }

    fn failed(status: &MaiBackupStatus, message: String, now: Timestamp) -> MaiBackupStatus {
        status.answered(&Outcome::Failed { message }, now)
    }
}

impl Requests<MaiBackup> {
    /// Returns the job that the oldest request asks for.
    pub(super) fn job(&self, id: &InstanceId) -> Option<JobRequest> {
        let (name, request) = self.oldest(id)?;
        let reason = request.spec.reason.clone().unwrap_or_else(|| format!("MaiBackup {name} asked for it"));
        Some(JobRequest { name: request.id().to_string(), reason, work: JobWork::Backup })
    }

    /// Shows that the job of a request was started. A failure is logged, and concerns nothing else.
    pub(super) async fn set_running(&self, id: &InstanceId, job: &str) {
        let Some(key) = self.key_of(id, job) else { return };
        self.try_update(&key, |status| match status.phase {
            Some(RequestPhase::Running) => status.clone(),
            _ => status.running(job, now()),
        })
        .await;
    }

    /// Answers the request for a job, if there is one.
    pub(super) async fn end(&self, id: &InstanceId, job: &str, outcome: &Outcome) -> Result<(), RuntimeError> {
        let Some(key) = self.key_of(id, job) else { return Ok(()) };
        let answered = self.update(&key, |status| status.answered(outcome, now())).await;
        answered.map_err(|error| failed("answer to the request for the backup", id, error))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mai_contract::job::BackupId;
    use serde_json::json;

    use super::super::requests::Request;
    use super::*;

    fn request(uid: &str, created: &str, status: serde_json::Value) -> Request<MaiBackup> {
        let object = json!({
            "apiVersion": "mai.dev/v1alpha1", "kind": "MaiBackup",
            "metadata": {"name": uid, "namespace": "n", "uid": uid, "resourceVersion": "7", "creationTimestamp": created},
            "spec": {"instance": "abc"}, "status": status,
        });
        Request::new(&serde_json::from_value(object).unwrap()).unwrap()
    }

    #[test]
    fn job_of_a_request_is_named_by_its_time_and_uid() {
        let name = |uid: &str| request(uid, "2026-11-30T02:00:00Z", json!(null)).id().to_string();
        assert!(name("a").starts_with("20261130-020000-"), "{}", name("a"));
        assert!(name("a").parse::<BackupId>().is_ok());
        assert_eq!(name("a"), name("a"));
        assert_ne!(name("a"), name("b"));
    }

    #[test]
    fn request_is_open_until_it_is_answered() {
        let id = |name: &str| InstanceId { namespace: "n".into(), name: name.into(), uid: "u".into() };
        let key = ("n".to_owned(), "a".to_owned());
        for (status, open) in [
            (json!(null), true),
            (json!({"phase": "Pending"}), true),
            (json!({"phase": "Running"}), true),
            (json!({"phase": "Later"}), true),
            (json!({"phase": "Completed"}), false),
            (json!({"phase": "Failed"}), false),
        ] {
            let request = request("a", "2026-11-30T02:00:00Z", status.clone());
            assert_eq!(request.is_open_for(&id("abc"), &key), open, "{status}");
            assert!(!request.is_open_for(&id("xyz"), &key));
        }
    }
}
