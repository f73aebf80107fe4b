//! Deletions with a last backup: what is observed and remembered on the left, the action and the
//! status on the right.

use mai_contract::job::Outcome as JobOutcome;

use super::*;
use crate::api::{BackupResult, BackupStatus, DestinationResult, DestinationStatus, LastBackup, SKIP_TEARDOWN};
use crate::core::{JobRequest, JobState, JobWork, ObservedJob};

/// Id of a backup of the moment `at(0)`.
const NEW: &str = "19700112-134640-00002a";
/// Id of an earlier one.
const OLD: &str = "19700112-120000-000001";

/// Returns a stopped instance whose document, with this policy, was removed.
fn removed_document(spec: Value) -> Scene {
    Scene::new(stopped()).spec(spec).deleted()
}

fn snapshot() -> Scene {
    removed_document(json!({"deletionPolicy": "Snapshot"}))
}

impl Scene {
    /// The last backup, with a result for each destination, ended `ended_ago`.
    fn last_backup(mut self, result: BackupResult, destinations: &[DestinationResult], ended_ago: i64) -> Self {
        let destination = |result: &DestinationResult| DestinationStatus {
            name: format!("{result:?}"),
            last_verified: None,
            result: *result,
            message: String::new(),
            kept: 1,
        };
        self.memory.backup = BackupStatus {
            last: Some(LastBackup {
                id: OLD.into(),
                started_at: at(ended_ago + 9),
                ended_at: (result != BackupResult::Running).then(|| at(ended_ago)),
                result,
                message: "the bucket is gone".into(),
            }),
            before_deletion: Some(OLD.into()),
            destinations: destinations.iter().map(destination).collect(),
            failures: i32::from(result == BackupResult::Failed),
            ..BackupStatus::default()
        };
        self
    }

    fn verified(self) -> Self {
        self.last_backup(BackupResult::Verified, &[DestinationResult::Verified], 5)
    }

    fn with_job(mut self, name: &str, state: JobState) -> Self {
        self.jobs.current = Some(ObservedJob { name: name.into(), state });
        self
    }

    fn absent(mut self) -> Self {
        self.presence = Presence::Absent;
        self
    }
}

#[test]
fn data_is_removed_only_after_a_verified_last_backup() {
    use BackupResult::{Failed, Running, Unverified, Verified};
    use DestinationResult as Destination;
    let work = JobWork::Backup;
    let request = JobRequest { name: NEW.into(), reason: "before its deletion".into(), work };
    let start = || Action::StartJob(request.clone());
    let remove = |name: &str| Action::RemoveJob(name.into());
    let failed = || JobState::Ended(JobOutcome::Failed { message: "the disk is full".into() });
    let runs = || JobState::Running { progress: None };
    let named = |place: Value| removed_document(json!({"deletionPolicy": "Snapshot", "storage": {"data": place}}));
    let mut scheduled = snapshot().verified();
    scheduled.memory.backup.before_deletion = None;
    let mut running = Scene::running(ready(), 9).spec(json!({"deletionPolicy": "Snapshot"})).deleted();
    running.memory.backup = scheduled.memory.backup.clone();
    let mut no_data = snapshot();
    no_data.memory.data_removed = true;
    let busy = Scene { jobs_running: 1, ..snapshot() };
    let unverified = |destinations: &[Destination]| snapshot().last_backup(Unverified, destinations, 400);
    for (name, scene, action, reason) in [
        ("runs", running, Action::Stop("the document was removed".into()), "Deleting"),
        ("stopped", snapshot(), start(), "Deleting"),
        ("a backup was made before", scheduled, start(), "Deleting"),
        ("jobs of others run", busy, Action::Wait, "Deleting"),
        ("job of the schedule runs", snapshot().with_job(NEW, runs()), remove(NEW), "Deleting"),
        ("started", snapshot().last_backup(Running, &[], 5), Action::Wait, "Deleting"),
        ("started, never seen", snapshot().last_backup(Running, &[], 99), remove(OLD), "Deleting"),
        ("is made", snapshot().last_backup(Running, &[], 99).with_job(OLD, runs()), Action::Wait, "Deleting"),
        ("has failed", snapshot().last_backup(Running, &[], 99).with_job(OLD, failed()), remove(OLD), "Deleting"),
        ("failed just now", snapshot().last_backup(Failed, &[], 5), Action::Wait, "BackupFailed"),
        ("failed five minutes ago", snapshot().last_backup(Failed, &[], 300), start(), "Deleting"),
        ("failed after now", snapshot().last_backup(Failed, &[], -90_000), start(), "Deleting"),
        ("one destination failed", unverified(&[Destination::Verified, Destination::Failed]), start(), "Deleting"),
        ("verified nowhere", unverified(&[Destination::Stored]), start(), "Deleting"),
        ("verified in one", unverified(&[Destination::Verified, Destination::Stored]), Action::Remove, "Deleting"),
        ("verified", snapshot().verified(), Action::Remove, "Deleting"),
        ("no data", no_data.clone(), Action::Remove, "Deleting"),
        ("no data, removed", no_data.absent().removed(), Action::RemoveFinalizer, "Deleting"),
        (
            "verified, removed",
            snapshot().verified().absent().removed(),
            Action::RemoveData { and_backups: false },
            "Deleting",
        ),
        (
            "verified, data in a place of the document",
            named(json!({"hostPath": "/srv/abc"})).verified().absent().removed(),
            Action::RemoveFinalizer,
            "Deleting",
        ),
        ("retained", removed_document(json!({})), Action::Remove, "Deleting"),
    ] {
        let decision = scene.decide();
        assert_eq!(decision.action, action, "{name}");
        assert_eq!(condition(&decision, "Ready"), ("False".to_owned(), reason.to_owned()), "{name}");
        assert!(action != Action::Wait || decision.requeue_after.is_some(), "{name} would be forgotten");
        let is_started = decision.action == start();
        assert!(!is_started || decision.memory.backup.before_deletion.as_deref() == Some(NEW), "{name}");
    }
    let mut corrected = snapshot().last_backup(Failed, &[], 5);
    corrected.backup_corrected = true;
    assert_eq!(corrected.decide().action, start());
    let failed = unverified(&[Destination::Stored]).last_backup(Verified, &[], 5);
    assert_ne!(failed.decide().action, Action::Remove, "it is in no destination");
}

#[test]
fn failed_last_backup_names_cause_and_next_attempt() {
    let scene = snapshot().last_backup(BackupResult::Failed, &[], 5);
    let decision = scene.decide();
    let message = &decision.status.condition(crate::api::ConditionKind::Stalled).unwrap().message;
    assert_eq!(
        message,
        "the document was removed; the data stays until its last backup is verified; backup 19700112-120000-000001: the bucket is gone; the next one is made at 1970-01-12 13:51 UTC"
    );
    assert_eq!(decision.requeue_after, Some(Duration::from_secs(60)));
}

#[test]
fn server_that_ran_again_makes_its_last_backup_anew() {
    let running = Scene { presence: Scene::running(ready(), 9).presence, ..snapshot().verified() };
    let decision = running.decide();
    assert_eq!(decision.memory.backup.before_deletion, None);
    let stopped = Scene { memory: decision.memory, ..snapshot() };
    assert!(matches!(stopped.decide().action, Action::StartJob(_)));

    // The document was there again in between.
    let mut again = snapshot().verified().removed();
    again.instance.metadata.deletion_timestamp = None;
    let memory = again.decide().memory;
    assert_eq!((memory.removed, memory.backup.before_deletion), (false, None));
}

#[test]
fn overdue_deletion_waits_for_its_last_backup() {
    let overdue = |scene: Scene| {
        let mut scene = Scene { platform: crate::runtime::kubernetes::PLATFORM, ..scene };
        scene.instance.metadata.deletion_timestamp = Some(Time(at(601)));
        scene
    };
    assert_eq!(overdue(removed_document(json!({}))).decide().action, Action::RemoveFinalizer);
    assert!(matches!(overdue(snapshot()).decide().action, Action::StartJob(_)));
    assert_eq!(overdue(snapshot().verified()).decide().action, Action::Remove, "time is left to tear it down");
    let long_ago = snapshot().last_backup(BackupResult::Verified, &[DestinationResult::Verified], 601);
    assert_eq!(overdue(long_ago).decide().action, Action::RemoveFinalizer);
    let mut skipped = overdue(snapshot());
    skipped.instance.metadata.annotations = Some(BTreeMap::from([(SKIP_TEARDOWN.to_owned(), "true".to_owned())]));
    assert_eq!(skipped.decide().action, Action::RemoveFinalizer);
}
