//! Reconciliations of backups against a runtime, a source and a record that are kept in memory.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{self, BoxStream, StreamExt};
use kube::runtime::{reflector, watcher};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::api::{ConditionKind, MaiInstanceStatus, RestoreSource, RestoreStatus, SecretRef};
use crate::core::{
    Action, EventKind, JobWork, KeyRecord, ObservedJob, ObservedJobs, Platform, Presence, RecordError, RecordSnapshot,
    Workload,
};
use crate::fleet::{CountsMonitor, CountsOptions};
use crate::reconcile::run::Context;
use crate::runtime::{Observe, RuntimeError};
use crate::source::{Reader, Rotated, SecretError, SourceError};

/// A stopped server, and what was asked of its jobs.
#[derive(Default)]
pub(in crate::reconcile) struct Platforms {
    pub(in crate::reconcile) jobs: Mutex<HashMap<String, ObservedJobs>>,
    pub(in crate::reconcile) started: Mutex<Vec<Job>>,
    pub(in crate::reconcile) removed: Mutex<Vec<(String, Outcome)>>,
    /// Ends of restores that were asked for.
    pub(in crate::reconcile) answered: Mutex<Vec<RestoreStatus>>,
    pub(in crate::reconcile) refuses_jobs: AtomicBool,
    /// No server can be started.
    fails: AtomicBool,
}

impl Observe for Arc<Platforms> {
    fn platform(&self) -> Platform {
        Platform::DOCKER
    }

    async fn observe(&self, id: &InstanceId, _: Option<&Workload>) -> Result<Observed, RuntimeError> {
        Ok(Observed {
            presence: Presence::Absent,
            changes: Vec::new(),
            image: None,
            missing: None,
            retained: None,
            last_exit: None,
            port_holder: None,
            components: Vec::new(),
            maintenance: None,
            jobs: self.jobs.lock().get(&id.uid).cloned().unwrap_or_default(),
        })
    }
}

impl Apply for Arc<Platforms> {
    async fn apply(&self, _: &InstanceId, action: &Action, _: Option<&Workload>) -> Result<(), RuntimeError> {
        match self.fails.load(Ordering::Relaxed) {
            true => Err(RuntimeError::Unsupported("the image could not be pulled".to_owned())),
            false => panic!("nothing is to be done for a suspended server: {action}"),
        }
    }

    async fn start_job(&self, id: &InstanceId, job: &Job) -> Result<(), RuntimeError> {
        if self.refuses_jobs.load(Ordering::Relaxed) {
            return Err(RuntimeError::Unsupported("the disk is full".to_owned()));
        }
        let state = JobState::Running { progress: None };
        self.jobs.lock().entry(id.uid.clone()).or_default().current =
            Some(ObservedJob { name: job.name.clone(), state });
        self.started.lock().push(job.clone());
        Ok(())
    }

    async fn remove_job(&self, id: &InstanceId, name: &str, outcome: &Outcome) -> Result<(), RuntimeError> {
        let mut all = self.jobs.lock();
        let jobs = all.entry(id.uid.clone()).or_default();
        jobs.current.take_if(|job| job.name == name);
        jobs.request.take_if(|request| request.name == name);
        self.removed.lock().push((name.to_owned(), outcome.clone()));
        Ok(())
    }

    async fn answer_restore(&self, _: &InstanceId, end: &RestoreStatus) -> Result<(), RuntimeError> {
        self.jobs.lock().values_mut().for_each(|jobs| {
            jobs.restore_request.take_if(|request| request.id.as_str() == end.id);
        });
        self.answered.lock().push(end.clone());
        Ok(())
    }

    fn changes(&self) -> BoxStream<'static, InstanceId> {
        stream::pending().boxed()
    }
}

/// Secrets, of which one may be missing.
#[derive(Default)]
pub(in crate::reconcile) struct Secrets {
    pub(in crate::reconcile) is_complete: AtomicBool,
    pub(in crate::reconcile) is_rotated: AtomicBool,
}

impl Source for Arc<Secrets> {
    async fn secret(&self, _: &Reader<'_>, reference: &SecretRef) -> Result<SecretString, SecretError> {
        match self.is_complete.load(Ordering::Relaxed) || reference.name != "s3" {
            true => Ok(SecretString::from(["value", "another"][usize::from(self.is_rotated.load(Ordering::Relaxed))])),
            false => Err(SecretError::Missing { name: reference.name.clone() }),
        }
    }

    fn restore_refusal(&self, _: &Reader<'_>, from: &RestoreSource) -> Option<String> {
        from.file.as_ref().filter(|file| file.starts_with("other/")).map(|_| "add it to `restores`".to_owned())
    }

    fn secret_changes(&self) -> BoxStream<'static, Rotated> {
        stream::pending().boxed()
    }

    async fn remove_finalizer(&self, _: &str, _: &str) -> Result<(), SourceError> {
        Ok(())
    }
}

/// A record in memory, which may refuse.
#[derive(Default)]
pub(in crate::reconcile) struct Written {
    statuses: Mutex<HashMap<String, MaiInstanceStatus>>,
    memories: Mutex<HashMap<String, Memory>>,
    pub(in crate::reconcile) events: Mutex<Vec<String>>,
    pub(in crate::reconcile) is_full: AtomicBool,
    refuses_statuses: AtomicBool,
}

impl Written {
    pub(in crate::reconcile) fn status(&self, uid: &str) -> MaiInstanceStatus {
        self.statuses.lock().get(uid).cloned().unwrap_or_default()
    }

    pub(in crate::reconcile) fn memory(&self, uid: &str) -> Memory {
        self.memories.lock().get(uid).cloned().unwrap_or_default()
    }

    fn check(&self) -> Result<(), RecordError> {
        match self.is_full.load(Ordering::Relaxed) {
            true => Err(RecordError("the disk is full".to_owned())),
            false => Ok(()),
        }
    }
}

impl Record for Arc<Written> {
    async fn load(&self, _: &MaiInstance, id: &InstanceId, _: bool) -> Result<RecordSnapshot, RecordError> {
        let (status, memory) = (self.status(&id.uid), self.memory(&id.uid));
        Ok(RecordSnapshot {
            status,
            memory,
            session_key: Ok(SecretString::from("key")),
            keys: Ok(KeyRecord::default()),
        })
    }

    async fn put_status(&self, id: &InstanceId, status: &MaiInstanceStatus) -> Result<(), RecordError> {
        self.check()?;
        if self.refuses_statuses.load(Ordering::Relaxed) {
            return Err(RecordError("the API server does not answer".to_owned()));
        }
        self.statuses.lock().insert(id.uid.clone(), status.clone());
        Ok(())
    }

    async fn put_memory(&self, id: &InstanceId, memory: &Memory) -> Result<(), RecordError> {
        self.check()?;
        self.memories.lock().insert(id.uid.clone(), memory.clone());
        Ok(())
    }

    async fn put_keys(&self, _: &InstanceId, _: &KeyRecord) -> Result<(), RecordError> {
        self.check()
    }

    async fn put_event(&self, _: &InstanceId, _: EventKind, reason: &str, _: &str) -> Result<(), RecordError> {
        self.events.lock().push(reason.to_owned());
        Ok(())
    }
}

pub(in crate::reconcile) struct Loop {
    pub(in crate::reconcile) platform: Arc<Platforms>,
    pub(in crate::reconcile) secrets: Arc<Secrets>,
    pub(in crate::reconcile) written: Arc<Written>,
    pub(in crate::reconcile) instances: Vec<MaiInstance>,
    reconciler: Reconciler<Arc<Secrets>, Arc<Platforms>, Arc<Written>>,
}

/// Returns a reconciler of these instances.
pub(in crate::reconcile) fn reconciler<R>(
    platform: &Arc<R>,
    secrets: &Arc<Secrets>,
    written: &Arc<Written>,
    instances: &[MaiInstance],
) -> Reconciler<Arc<Secrets>, Arc<R>, Arc<Written>>
where
    Arc<R>: Observe + Apply,
{
    let (store, mut writer) = reflector::store();
    for instance in instances {
        writer.apply_watcher_event(&watcher::Event::Apply(instance.clone()));
    }
    let context = Context {
        source: Arc::clone(secrets),
        runtime: Arc::clone(platform),
        record: Arc::clone(written),
        transitions: mpsc::unbounded_channel().0,
        metrics: Box::new(()),
        overview: Arc::default(),
        counts: CountsMonitor::new(CountsOptions::default()),
        helper_image: None,
    };
    Reconciler::new(Arc::new(context), store, mpsc::unbounded_channel().0)
}

impl Loop {
    pub(in crate::reconcile) fn new(names: &[&str]) -> Self {
        let secrets = Arc::new(Secrets { is_complete: AtomicBool::new(true), ..Secrets::default() });
        let instances = names.iter().map(|name| instance(name)).collect();
        Self::restarted(&Arc::default(), &secrets, &Arc::default(), instances)
    }

    /// A reconciler that finds what another one left.
    pub(in crate::reconcile) fn restarted(
        platform: &Arc<Platforms>,
        secrets: &Arc<Secrets>,
        written: &Arc<Written>,
        instances: Vec<MaiInstance>,
    ) -> Self {
        let reconciler = reconciler(platform, secrets, written, &instances);
        Self {
            platform: Arc::clone(platform),
            secrets: Arc::clone(secrets),
            written: Arc::clone(written),
            instances,
            reconciler,
        }
    }

    pub(in crate::reconcile) async fn reconcile(&self, index: usize) -> Result<Requeue, ReconcileError> {
        self.reconciler.reconcile(&self.instances[index]).await
    }

    fn health(&self) -> (String, String) {
        let status = self.written.status("a");
        let condition = status.condition(ConditionKind::BackupHealthy).unwrap();
        (condition.reason.clone(), condition.message.clone())
    }

    pub(in crate::reconcile) fn end(&self, outcome: Outcome) {
        if let Some(job) = &mut self.platform.jobs.lock().get_mut("a").unwrap().current {
            job.state = JobState::Ended(outcome);
        }
    }
}

/// A suspended instance whose backup has been due for long.
fn instance(name: &str) -> MaiInstance {
    let reference = json!({"name": "s3", "key": "key"});
    let s3 = json!({"bucket": "b", "accessKeyIdRef": reference, "secretAccessKeyRef": reference});
    serde_json::from_value(json!({
        "apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance",
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "generation": 1, "creationTimestamp": "2020-01-01T00:00:00Z",
        },
        "spec": {
            "displayName": "A", "suspend": true, "expose": {"port": 8001},
            "backup": {"schedule": "@yearly", "destinations": [{"name": "s3", "s3": s3}]},
        },
    }))
    .unwrap()
}

pub(in crate::reconcile) fn verified(name: &str) -> Outcome {
    let taken_at = Timestamp::now();
    let destination = |name: &str| DestinationReport {
        name: name.to_owned(),
        result: StoreResult::Verified,
        kept: 1,
        removed: 0,
        newest_verified: Some(taken_at),
        retention_problem: None,
    };
    Outcome::Backup(BackupReport {
        id: name.parse().unwrap(),
        taken_at,
        data_bytes: 9,
        archive_bytes: 3,
        files: 1,
        databases: 0,
        destinations: vec![destination("backups"), destination("s3")],
        remarks: Vec::new(),
    })
}

#[tokio::test]
async fn due_backup_is_started_once_and_its_end_recorded() {
    let first = Loop::new(&["a"]);
    first.reconcile(0).await.unwrap();
    first.reconcile(0).await.unwrap();
    let job = first.platform.started.lock().pop().unwrap();
    assert!(first.platform.started.lock().is_empty());
    assert_eq!(
        job.secrets.keys().map(String::as_str).collect::<Vec<_>>(),
        ["dest-s3-access-key-id", "dest-s3-secret-access-key"]
    );
    assert_eq!(first.written.memory("a").backup.running().unwrap().id, job.name);

    first.end(verified(&job.name));
    let Loop { platform, secrets, written, instances, .. } = first;
    let next = Loop::restarted(&platform, &secrets, &written, instances);
    for _ in 0..3 {
        next.reconcile(0).await.unwrap();
    }
    let removed: Vec<String> = next.platform.removed.lock().iter().map(|(name, _)| name.clone()).collect();
    assert_eq!((removed, next.platform.started.lock().len()), (vec![job.name], 0));
    assert_eq!(next.health().0, "BackupVerified");
    assert_eq!(*next.written.events.lock(), ["Suspended", "BackupVerified"]);
}

#[tokio::test]
async fn missing_credential_blocks_a_backup_until_it_is_there() {
    let this = Loop::new(&["a"]);
    this.secrets.is_complete.store(false, Ordering::Relaxed);
    for _ in 0..2 {
        this.reconcile(0).await.unwrap();
    }
    let (reason, message) = this.health();
    assert!(reason == "BackupBlocked" && message.starts_with("Secret s3 is not there"), "{reason}: {message}");
    assert_eq!(*this.written.events.lock(), ["Suspended", "BackupBlocked"]);
    assert_eq!(
        (this.platform.started.lock().len(), this.written.memory("a").backup.clone()),
        (0, BackupStatus::default())
    );

    // One that was asked for is answered at once.
    let request = JobRequest {
        name: "20261130-020000-1f2e3d".to_owned(),
        reason: "asked by hand".to_owned(),
        work: JobWork::Backup,
    };
    this.platform.jobs.lock().entry("a".to_owned()).or_default().request = Some(request);
    this.reconcile(0).await.unwrap();
    let removed = this.platform.removed.lock().pop();
    assert!(matches!(removed, Some((_, Outcome::Failed { message })) if message.starts_with("Secret s3 is not there")));

    this.secrets.is_complete.store(true, Ordering::Relaxed);
    this.reconcile(0).await.unwrap();
    assert_eq!(this.platform.started.lock().len(), 1);
}

#[tokio::test]
async fn job_is_not_started_if_that_cannot_be_recorded() {
    let this = Loop::new(&["a"]);
    this.written.is_full.store(true, Ordering::Relaxed);
    assert!(matches!(this.reconcile(0).await, Err(ReconcileError::Record(_))));
    assert_eq!(this.platform.started.lock().len(), 0);
    this.written.is_full.store(false, Ordering::Relaxed);
    this.reconcile(0).await.unwrap();
    assert_eq!(this.platform.started.lock().len(), 1);

    // Nor is it removed before its outcome is recorded.
    let name = this.platform.started.lock()[0].name.clone();
    this.end(verified(&name));
    this.written.is_full.store(true, Ordering::Relaxed);
    assert!(this.reconcile(0).await.is_err() && this.platform.removed.lock().is_empty());
}

#[tokio::test]
async fn status_that_cannot_be_written_is_no_failed_backup() {
    let this = Loop::new(&["a", "b"]);
    let _ = this.reconcile(1).await.unwrap();
    this.written.refuses_statuses.store(true, Ordering::Relaxed);
    assert!(matches!(this.reconcile(0).await, Err(ReconcileError::Record(_))));
    assert_eq!((this.platform.started.lock().len(), this.written.memory("a").backup.running()), (0, None));
    assert_eq!(this.reconciler.jobs.count_others("b", || ["a".into(), "b".into()].into()), 0, "its place is free");
    this.written.refuses_statuses.store(false, Ordering::Relaxed);
    this.reconcile(0).await.unwrap();
    assert_eq!((this.platform.started.lock().len(), this.written.memory("a").backup.failures), (1, 0));
}

#[tokio::test]
async fn job_that_cannot_be_started_is_a_failed_backup() {
    let this = Loop::new(&["a"]);
    this.platform.refuses_jobs.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        this.reconcile(0).await.unwrap();
    }
    let (reason, message) = this.health();
    assert!(reason == "BackupFailed" && message.contains("the disk is full"), "{reason}: {message}");
    assert_eq!(this.written.memory("a").backup.failures, 1, "it is tried again later");
    assert_eq!(this.platform.removed.lock().len(), 1, "nothing of it is left");
}

#[tokio::test]
async fn one_job_of_all_instances_runs_at_a_time() {
    let this = Loop::new(&["a", "b"]);
    // What runs is known once each has been observed.
    this.reconcile(0).await.unwrap();
    assert_eq!(this.platform.started.lock().len(), 0);
    this.reconcile(1).await.unwrap();
    this.reconcile(0).await.unwrap();
    assert_eq!(this.platform.started.lock().len(), 1);
    assert!(this.health().1.contains("waits for those of other instances"), "{:?}", this.health());

    // The place is free once the other one has ended.
    let name = this.platform.started.lock()[0].name.clone();
    this.platform.jobs.lock().get_mut("b").unwrap().current.as_mut().unwrap().state = JobState::Ended(verified(&name));
    for index in [1, 1, 0] {
        this.reconcile(index).await.unwrap();
    }
    assert_eq!(this.platform.started.lock().len(), 2);
}

#[tokio::test]
async fn paused_instance_keeps_no_place_after_its_job_ended() {
    let mut this = Loop::new(&["a", "b"]);
    for index in [0, 1] {
        this.reconcile(index).await.unwrap();
    }
    let name = this.platform.started.lock()[0].name.clone();
    this.instances[1].metadata.annotations = Some([("mai.dev/paused".to_owned(), "true".to_owned())].into());
    for (state, started) in [(JobState::Running { progress: None }, 1), (JobState::Ended(verified(&name)), 2)] {
        this.platform.jobs.lock().get_mut("b").unwrap().current.as_mut().unwrap().state = state;
        this.reconcile(1).await.unwrap();
        this.reconcile(0).await.unwrap();
        assert_eq!(this.platform.started.lock().len(), started);
    }
}

#[tokio::test]
async fn server_that_cannot_be_started_is_backed_up() {
    let mut this = Loop::new(&["a"]);
    this.instances[0].spec.suspend = false;
    this.platform.fails.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        assert!(matches!(this.reconcile(0).await, Err(ReconcileError::Runtime(_))), "its retries back off");
    }
    let name = this.platform.started.lock()[0].name.clone();
    assert_eq!(this.health().0, "BackupPending");
    this.end(verified(&name));
    assert!(this.reconcile(0).await.is_err());
    let removed: Vec<String> = this.platform.removed.lock().iter().map(|(name, _)| name.clone()).collect();
    assert_eq!((removed, this.platform.started.lock().len()), (vec![name], 1));
    assert_eq!(this.health().0, "BackupVerified");

    // A failure that is repeated changes nothing, with or without a backup that is blocked.
    for (is_complete, reason) in [(true, "BackupVerified"), (false, "BackupBlocked")] {
        if !is_complete {
            this.secrets.is_complete.store(false, Ordering::Relaxed);
            let secrets = Arc::clone(&this.secrets);
            this = Loop::restarted(&this.platform, &secrets, &Arc::default(), this.instances);
        }
        let mut seen = Vec::new();
        for _ in 0..3 {
            assert!(this.reconcile(0).await.is_err());
            seen.push((this.written.status("a"), this.written.events.lock().len()));
        }
        assert_eq!(seen[1], seen[2]);
        assert_eq!(this.health().0, reason);
    }
}

#[tokio::test]
async fn job_that_hangs_is_ended_after_a_day_with_an_answer() {
    let this = Loop::new(&["a"]);
    this.reconcile(0).await.unwrap();
    let name = this.platform.started.lock()[0].name.clone();
    let yesterday = Timestamp::now() - jiff::SignedDuration::from_hours(25);
    this.written.memories.lock().get_mut("a").unwrap().backup.last.as_mut().unwrap().started_at = yesterday;
    let Loop { platform, secrets, written, instances, .. } = this;
    let next = Loop::restarted(&platform, &secrets, &written, instances);
    next.reconcile(0).await.unwrap();
    let message = "it ran longer than a day and was ended".to_owned();
    assert_eq!(*next.platform.removed.lock(), [(name, Outcome::Failed { message: message.clone() })]);
    let (reason, shown) = next.health();
    assert!(reason == "BackupFailed" && shown.contains(&message), "{reason}: {shown}");
}

#[path = "last_backup_tests.rs"]
mod last_backup;
