//! Starts, observes and removes the jobs of an instance. What is known of them comes from watches.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, PostParams, Preconditions};
use kube::core::ObjectMeta;
use mai_contract::job::{BackupId, Outcome};
use serde_json::Value;

use super::KubernetesRuntime;
use super::apply::failed;
use super::job::{Placement, job, job_network_policy, job_secret};
use super::job_state::{START_PATIENCE, Shown, state};
use super::kind::Kind;
use super::live_object::LiveObject;
use super::observe::deployment_of;
use super::remove::ignore_absent;
use crate::cluster::{ApiFailure, classify, names};
use crate::core::{Claim, InstanceId, Job, JobState, ObservedJob, ObservedJobs};
use crate::runtime::RuntimeError;

/// Action of a start in messages.
const START: &str = "start of the backup job";
/// Action of a removal in messages.
const REMOVAL: &str = "removal of the backup job";
/// Time in which the cluster creates the pod of a job that nothing forbids.
const POD_PATIENCE: SignedDuration = SignedDuration::from_secs(20);
/// Cause of the loss of a job of which only the NetworkPolicy is there.
const WITHOUT_JOB: &str = "its Job is gone: somebody removed it, or the operator was stopped while it created it";
/// Reason of the cluster's event about a pod that it could not create.
const FAILED_CREATE: &str = "FailedCreate";

impl KubernetesRuntime {
    /// Returns the jobs of an instance. Costs no request unless the pod of one is overdue.
    pub(super) async fn observe_jobs(&self, id: &InstanceId) -> ObservedJobs {
        let objects = self.job_objects(id);
        let current = match current_job(id, &objects) {
            Some(job) => Some(ObservedJob {
                name: job.label(names::JOB).unwrap_or_default().to_owned(),
                state: self.job_state(id, job, &objects).await,
            }),
            None => left_over(id, &objects)
                .map(|name| ObservedJob { name: name.to_owned(), state: JobState::Lost(WITHOUT_JOB.to_owned()) }),
        };
        ObservedJobs {
            current,
            request: self.backup_requests.job(id),
            restore_request: self.restore_requests.restore(id),
            // In a cluster an annotation asks for it.
            key_rotation: None,
        }
    }

    async fn job_state(&self, id: &InstanceId, job: &LiveObject, objects: &[LiveObject]) -> JobState {
        let now = Timestamp::now();
        match state(job, objects, now) {
            Shown::State(state) => state,
            Shown::WithoutPod => {
                let age = job.created().map(|created| now.duration_since(created)).unwrap_or_default();
                let cause = if age < POD_PATIENCE { None } else { self.refusal_of_pod(id, job).await };
                match cause {
                    Some(cause) => JobState::Lost(format!("its pod is refused: {cause}")),
                    None if age >= START_PATIENCE => {
                        JobState::Lost("the cluster did not create its pod, and no event says why".to_owned())
                    }
                    None => JobState::Running { progress: None },
                }
            }
        }
    }

    /// Returns the message of the cluster's newest event about a pod that it could not create.
    async fn refusal_of_pod(&self, id: &InstanceId, job: &LiveObject) -> Option<String> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &id.namespace);
        let about = ListParams::default().fields(&format!("regarding.uid={},reason={FAILED_CREATE}", job.uid()));
        match api.list(&about).await {
            Ok(listed) => listed.items.into_iter().max_by_key(last_seen).and_then(|event| event.note),
            Err(error) => {
                tracing::warn!(instance = id.log_name(), "the events of its backup job could not be read: {error}");
                None
            }
        }
    }

    /// Starts a job, unless it exists.
    pub(super) async fn start(&self, id: &InstanceId, wanted: &Job) -> Result<(), RuntimeError> {
        if let Some(refusal) = self.watches.refusal(Kind::Job, &id.namespace) {
            let message = format!("its state could not be known, since the API server does not list Jobs: {refusal}");
            return Err(refused(id, message));
        }
        let objects = self.job_objects(id);
        if current_job(id, &objects).is_none_or(|job| job.label(names::JOB) != Some(&wanted.name)) {
            self.remove_left_overs(id, &objects).await?;
            self.create(id, wanted).await?;
        }
        self.backup_requests.set_running(id, &wanted.name).await;
        Ok(())
    }

    async fn create(&self, id: &InstanceId, wanted: &Job) -> Result<(), RuntimeError> {
        let placement = self.placement(id, wanted).await?;
        let secret = job_secret(id, wanted).map_err(|error| refused(id, error.to_string()))?;
        self.create_object(id, Kind::NetworkPolicy, &job_network_policy(id, wanted)).await?;
        self.create_object(id, Kind::Secret, &secret).await?;
        let created = self.create_object(id, Kind::Job, &job(id, wanted, &placement)).await;
        if created.is_err() {
            // The Secret must not stay; the first error is the one to tell.
            let _ = self.remove_objects(id, &wanted.name, &self.job_objects(id)).await;
        }
        created?;
        self.check_later(id);
        Ok(())
    }

    /// Returns the placement of the pod of a job, or why there cannot be one.
    async fn placement(&self, id: &InstanceId, wanted: &Job) -> Result<Placement, RuntimeError> {
        let storage = &wanted.storage;
        if let Some(path) =
            [&storage.data.path, &storage.backups.path].into_iter().flatten().chain(&wanted.directories).next()
        {
            let message = format!("{} is a directory of one server; in a cluster use claims and s3", path.display());
            return Err(RuntimeError::Unsupported(message));
        }
        let live = self.live_objects(id).await?;
        let is_missing = |name: &String, claim: &Claim| {
            claim.existing.is_none()
                && !live.iter().any(|live| live.kind == Kind::PersistentVolumeClaim && live.name() == name)
        };
        let order = &wanted.order;
        let data = (!order.is_drill()).then(|| (names::data_claim(id), &storage.data.claim));
        let backups = order.uses_backups_volume().then(|| (names::backups_claim(id), &storage.backups.claim));
        if let Some((name, _)) = data.into_iter().chain(backups).find(|(name, claim)| is_missing(name, claim)) {
            return Err(RuntimeError::NoData { instance: id.to_string(), place: format!("the claim {name}") });
        }
        let image = self.helper_image.clone().or_else(|| wanted.image.clone()).ok_or_else(|| {
            let remedy = "set helperImage of the chart, or MAI_HELPER_IMAGE of the operator";
            refused(id, format!("no image with mai is known for it; {remedy}"))
        })?;
        let template = deployment_of(&live).map(|deployment| &deployment.object["spec"]["template"]["spec"]);
        let pull_secrets = template.and_then(|spec| spec["imagePullSecrets"].as_array()).into_iter().flatten();
        let is_on_a_node = |pod: &&LiveObject| {
            let is_there = pod.kind == Kind::Pod && !pod.is_being_deleted();
            is_there && pod.condition("PodScheduled").is_some_and(|condition| condition["status"] == "True")
        };
        Ok(Placement {
            image,
            pull_secrets: pull_secrets.filter_map(|secret| Some(secret["name"].as_str()?.to_owned())).collect(),
            beside_server: live.iter().any(|pod| is_on_a_node(&pod)),
        })
    }

    /// Creates an object of a job. A Secret or a policy of that name is of an attempt that was cut
    /// off, and is replaced: a Secret cannot be changed.
    async fn create_object(&self, id: &InstanceId, kind: Kind, object: &Value) -> Result<(), RuntimeError> {
        let api = self.api(&id.namespace, kind);
        let params = PostParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let object = serde_json::from_value(object.clone()).map_err(|error| refused(id, error.to_string()))?;
        let mut created = api.create(&params, &object).await;
        if created.as_ref().is_err_and(|error| classify(error) == ApiFailure::AlreadyExists) {
            let found = api.get_metadata_opt(name).await.map_err(|error| failed(START, id, error))?;
            let found = found.map(|found| found.metadata).unwrap_or_default();
            let is_ours = found.owner_references.iter().flatten().any(|owner| owner.uid == id.uid);
            if !found.labels.is_some_and(|labels| labels.contains_key(names::JOB)) {
                let what = format!("{} {name}", kind.as_str());
                return Err(RuntimeError::NameTaken { instance: id.to_string(), what });
            }
            if kind == Kind::Job && is_ours {
                return Ok(());
            }
            ignore_absent(api.delete(name, &DeleteParams::background()).await, START, id)?;
            created = api.create(&params, &object).await;
        }
        let created = created.map_err(|error| failed(START, id, error))?;
        if kind != Kind::Secret {
            self.watches.record(kind, created);
        }
        Ok(())
    }

    /// Names the instance at the times at which a pod that nothing else was heard of is overdue.
    fn check_later(&self, id: &InstanceId) {
        let (changes, id) = (std::sync::Arc::clone(&self.changes), InstanceId { uid: String::new(), ..id.clone() });
        tokio::spawn(async move {
            let mut passed = Duration::ZERO;
            for due in [POD_PATIENCE, START_PATIENCE] {
                let due = due.unsigned_abs() + Duration::from_secs(1);
                tokio::time::sleep(due.saturating_sub(passed)).await;
                passed = due;
                changes.name(&id);
            }
        });
    }

    /// Answers the request for a job and removes the job and its objects. Does nothing when there is
    /// neither.
    pub(super) async fn finish(&self, id: &InstanceId, name: &str, outcome: &Outcome) -> Result<(), RuntimeError> {
        self.backup_requests.end(id, name, outcome).await?;
        self.remove_objects(id, name, &self.job_objects(id)).await
    }

    /// Removes every job of an instance.
    pub(super) async fn remove_jobs(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let objects = self.job_objects(id);
        for name in job_names(&objects) {
            self.remove_objects(id, &name, &objects).await?;
        }
        Ok(())
    }

    /// Removes the objects of jobs that are gone: removed by hand, by the cluster, or never created.
    async fn remove_left_overs(&self, id: &InstanceId, objects: &[LiveObject]) -> Result<(), RuntimeError> {
        let has_job =
            |name: &str| objects.iter().any(|live| live.kind == Kind::Job && live.label(names::JOB) == Some(name));
        for name in job_names(objects).iter().filter(|name| !has_job(name)) {
            self.remove_objects(id, name, objects).await?;
        }
        Ok(())
    }

    /// Removes the objects of one job, the NetworkPolicy last.
    async fn remove_objects(&self, id: &InstanceId, name: &str, objects: &[LiveObject]) -> Result<(), RuntimeError> {
        let of_job = |kind| objects.iter().find(|live| live.kind == kind && live.label(names::JOB) == Some(name));
        let (job, policy) = (of_job(Kind::Job), of_job(Kind::NetworkPolicy));
        if job.is_none() && policy.is_none() {
            return Ok(());
        }
        if let Some(job) = job {
            self.delete(id, job).await?;
            self.watches.remove(id, job);
        }
        self.remove_job_secret(id, name).await?;
        if let Some(policy) = policy {
            self.delete(id, policy).await?;
            self.watches.remove(id, policy);
        }
        Ok(())
    }

    /// Removes the Secret of a job. A Secret of that name that is not one of a job is left alone.
    async fn remove_job_secret(&self, id: &InstanceId, name: &str) -> Result<(), RuntimeError> {
        let api = self.api(&id.namespace, Kind::Secret);
        let object = names::job_object(id, name);
        let found = api.get_metadata_opt(&object).await.map_err(|error| failed(REMOVAL, id, error))?;
        let Some(secret) = found.map(|found| found.metadata).filter(|secret| is_of_job(id, name, secret)) else {
            return Ok(());
        };
        let same = Preconditions { uid: secret.uid, resource_version: None };
        ignore_absent(api.delete(&object, &DeleteParams::default().preconditions(same)).await, REMOVAL, id)
    }

    /// Returns the objects of the jobs of an instance.
    fn job_objects(&self, id: &InstanceId) -> Vec<LiveObject> {
        let mut objects = self.watches.objects(id);
        objects.retain(|live| job_name(live).is_some());
        objects
    }
}

/// Returns the oldest job of an instance. One of a former instance of that name is about to be
/// collected.
fn current_job<'a>(id: &InstanceId, objects: &'a [LiveObject]) -> Option<&'a LiveObject> {
    of_instance(id, Kind::Job, objects).min_by_key(|job| job.created())
}

/// Returns the name of a job whose removal or creation did not end: its NetworkPolicy is created first
/// and removed last.
fn left_over<'a>(id: &InstanceId, objects: &'a [LiveObject]) -> Option<&'a str> {
    of_instance(id, Kind::NetworkPolicy, objects).find_map(job_name)
}

fn of_instance<'a>(id: &InstanceId, kind: Kind, objects: &'a [LiveObject]) -> impl Iterator<Item = &'a LiveObject> {
    objects.iter().filter(move |live| {
        let mut owners = live.object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        live.kind == kind && owners.any(|owner| owner["uid"] == id.uid)
    })
}

/// Returns the time of the last occurrence of an event. Events are listed by name.
fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().map(|series| series.last_observed_time.0);
    series
        .or_else(|| event.deprecated_last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// Returns the names of the jobs that have objects of their own.
fn job_names(objects: &[LiveObject]) -> std::collections::BTreeSet<String> {
    let own = objects.iter().filter(|live| matches!(live.kind, Kind::Job | Kind::NetworkPolicy));
    own.filter_map(job_name).map(str::to_owned).collect()
}

/// Returns the name of the job that an object is of. Whoever may edit policies may write the label,
/// and a Secret is named after it, so any other text in it does not count.
fn job_name(live: &LiveObject) -> Option<&str> {
    live.label(names::JOB).filter(|name| name.parse::<BackupId>().is_ok())
}

/// Returns whether an object was made for a job of an instance.
fn is_of_job(id: &InstanceId, name: &str, object: &ObjectMeta) -> bool {
    let label = object.labels.as_ref().and_then(|labels| labels.get(names::JOB));
    let is_owned = object.owner_references.iter().flatten().any(|owner| owner.uid == id.uid);
    is_owned && label.is_some_and(|label| label == name)
}

fn refused(id: &InstanceId, message: String) -> RuntimeError {
    RuntimeError::Refused { action: START, instance: id.to_string(), message, source: None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    const NAME: &str = "20261130-020000-1f2e3d";

    #[test]
    fn only_ids_of_backups_are_names_of_jobs() {
        let policy = |name: &str| LiveObject {
            kind: Kind::NetworkPolicy,
            object: json!({"metadata": {"labels": {names::JOB: name}}}),
            owned: Vec::new(),
        };
        let objects = [policy("session"), policy(""), policy(NAME), policy("20261130-020000-1f2e3d-x")];
        assert_eq!(job_names(&objects).into_iter().collect::<Vec<_>>(), [NAME]);
    }

    #[test]
    fn newest_event_is_the_one_that_occurred_last() {
        let events: Vec<Event> = serde_json::from_value(json!([
            {"note": "first", "deprecatedLastTimestamp": "2026-11-30T02:00:01Z"},
            {"note": "repeated", "eventTime": "2026-11-30T02:00:00.000000Z",
             "series": {"count": 2, "lastObservedTime": "2026-11-30T02:00:04.000000Z"}},
            {"note": "once", "eventTime": "2026-11-30T02:00:03.000000Z"},
            {"note": "created", "metadata": {"creationTimestamp": "2026-11-30T02:00:02Z"}},
            {"note": "without a time"},
        ]))
        .unwrap();
        let newest = events.iter().max_by_key(|event| last_seen(event)).unwrap();
        assert_eq!(newest.note.as_deref(), Some("repeated"));
    }

    #[test]
    fn secret_of_a_job_has_its_label_and_the_owner() {
        let id = InstanceId { namespace: "n".into(), name: "abc".into(), uid: "u".into() };
        let secret: ObjectMeta = serde_json::from_value(names::job_metadata(&id, NAME)).unwrap();
        assert!(is_of_job(&id, NAME, &secret));
        assert!(!is_of_job(&InstanceId { uid: "another".into(), ..id.clone() }, NAME, &secret));
        assert!(!is_of_job(&id, NAME, &ObjectMeta { labels: None, ..secret.clone() }));
        assert!(!is_of_job(&id, NAME, &ObjectMeta { owner_references: None, ..secret }));
    }
}
