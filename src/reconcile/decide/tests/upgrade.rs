//! Upgrades as scenes: the steps from one image to another, and what ends them.

use mai_contract::job::{BackupId, BackupReport, DestinationReport, Outcome as JobOutcome, StoreResult};

use super::cluster::annotated_with;
use super::*;
use crate::api::{UpgradeStatus, UpgradeStep};
use crate::core::{JobRequest, JobState, JobWork, ObservedJob};

pub(super) const SETTLE: i64 = 120;

/// Returns a change of the image.
pub(super) fn another_image() -> Vec<Change> {
    vec![Change { field: Field::Image, effect: Effect::Recreate, from: "a:1".into(), to: "a:2".into() }]
}

/// An instance in containers, of which another image is declared.
pub(super) fn upgraded(mut scene: Scene) -> Scene {
    scene.platform = Platform::DOCKER;
    scene.changes = another_image();
    scene
}

impl Scene {
    /// Decides, and remembers what was decided, as the loop does.
    pub(super) fn step(&mut self) -> Decision {
        let decision = self.decide();
        (self.memory, self.previous) = (decision.memory.clone(), decision.status.clone());
        decision
    }

    pub(super) fn upgrade(&self) -> &UpgradeStatus {
        self.memory.upgrade.as_ref().unwrap()
    }

    pub(super) fn with_upgrade(mut self, change: impl FnOnce(&mut UpgradeStatus)) -> Self {
        let known = UpgradeStatus {
            from: "a:1".into(),
            to: "a:2".into(),
            step_since: at(0),
            started_at: Some(at(0)),
            backup: Some("20261130-020000-1f2e3d".into()),
            ..UpgradeStatus::default()
        };
        let upgrade = self.memory.upgrade.insert(known);
        change(upgrade);
        self
    }

    /// The new image runs, and the former one is retained.
    pub(super) fn on_trial(readiness: Readiness, started_ago: i64, step: UpgradeStep) -> Self {
        let mut scene = Self::running(readiness, started_ago).replaced().with_upgrade(|known| known.step = step);
        scene.platform = Platform::DOCKER;
        scene
    }

    fn has_job(&mut self, name: &str, state: JobState) {
        self.jobs.current = Some(ObservedJob { name: name.to_owned(), state });
    }
}

fn verified(name: &str, result: StoreResult) -> JobOutcome {
    let destination = DestinationReport {
        name: "backups".into(),
        result,
        kept: 1,
        removed: 0,
        newest_verified: None,
        retention_problem: None,
    };
    JobOutcome::Backup(BackupReport {
        id: name.parse::<BackupId>().unwrap(),
        taken_at: at(0),
        data_bytes: 1,
        archive_bytes: 1,
        files: 1,
        databases: 1,
        destinations: vec![destination],
        remarks: Vec::new(),
    })
}

pub(super) fn job_of(decision: &Decision) -> JobRequest {
    match &decision.action {
        Action::StartJob(request) => request.clone(),
        other => panic!("{other:?}"),
    }
}

fn generation_of_ready(decision: &Decision) -> Option<i64> {
    decision.status.condition(crate::api::ConditionKind::Ready).and_then(|ready| ready.observed_generation)
}

#[test]
fn upgrade_backs_up_replaces_settles_and_is_completed() {
    let mut scene = upgraded(Scene::running(ready(), 99));
    (scene.image, scene.memory.image) = (Some("a:2".into()), Some("a:1".into()));
    let began = scene.step();
    let job = job_of(&began);
    assert_eq!((&job.work, job.reason.as_str()), (&JobWork::SafetyBackup, "before the upgrade to a:2"));
    assert_eq!(condition(&began, "Ready"), ("True".to_owned(), "Ready".to_owned()));
    assert_eq!(condition(&began, "Reconciling"), ("True".to_owned(), "Upgrading".to_owned()));
    assert_eq!(condition(&began, "UpgradeHealthy"), ("Unknown".to_owned(), "Upgrading".to_owned()));
    assert_eq!(generation_of_ready(&began), Some(2), "the former document is served");

    scene.has_job(&job.name, JobState::Running { progress: None });
    assert_eq!(scene.step().action, Action::Wait);
    scene.has_job(&job.name, JobState::Ended(verified(&job.name, StoreResult::Verified)));
    assert_eq!(scene.step().action, Action::RemoveJob(job.name.clone()));
    assert_eq!(scene.upgrade().backup, Some(job.name.clone()));
    assert_eq!(scene.step().action, Action::RemoveJob(job.name.clone()), "it is still there");
    let backup = &scene.memory.backup;
    assert_eq!((&backup.last, backup.last_verified), (&None, Some(at(0))), "it is one, and no scheduled one");
    let known: Vec<_> = backup.destinations.iter().map(|one| (one.name.as_str(), one.kept)).collect();
    assert_eq!((known, backup.destinations[0].last_verified), (vec![("backups", 1)], Some(at(0))));
    scene.jobs.current = None;
    assert_eq!(scene.step().requeue_after, Some(Duration::ZERO));
    assert_eq!(scene.step().action, Action::Recreate(another_image()));
    assert_eq!((scene.upgrade().step, &scene.upgrade().job), (UpgradeStep::Replacing, &None));
    assert_eq!(scene.step().action, Action::Recreate(another_image()), "it was interrupted");

    (scene.changes, scene.retained) = (Vec::new(), Some(Retained { hash: "former".into() }));
    scene.presence = Presence::Running { since: at(1), readiness: starting() };
    assert_eq!(scene.step().action, Action::Wait);
    scene.presence = Presence::Running { since: at(2), readiness: ready() };
    let settling = scene.step();
    assert_eq!((settling.action.clone(), settling.requeue_after), (Action::Wait, Some(Duration::from_secs(120))));
    assert_eq!(scene.upgrade().step, UpgradeStep::Settling);
    assert_eq!(condition(&settling, "Ready"), ("True".to_owned(), "Ready".to_owned()));
    assert_eq!(condition(&settling, "Reconciling"), ("True".to_owned(), "Upgrading".to_owned()));
    assert_eq!(generation_of_ready(&settling), Some(3));
    scene.memory.ready_since = Some(at(SETTLE - 1));
    assert_eq!(scene.step().action, Action::Wait);
    scene.memory.ready_since = Some(at(SETTLE));
    let committed = scene.step();
    assert_eq!(committed.action, Action::Commit);
    assert_eq!(condition(&committed, "UpgradeHealthy"), ("True".to_owned(), "Upgraded".to_owned()));
    let completed = scene.upgrade().completed.clone().unwrap();
    assert_eq!(
        (completed.from.as_str(), completed.to.as_str(), completed.backup),
        ("a:1", "a:2", scene.upgrade().backup.clone())
    );
    scene.retained = None;
    let after = scene.step();
    assert_eq!((after.action, after.status.image), (Action::Wait, Some("a:2".into())));
}

#[test]
fn change_of_another_field_needs_no_backup_and_no_settling() {
    let mut scene = Scene::running(ready(), 99).differs();
    scene.platform = Platform::DOCKER;
    assert_eq!(scene.step().action, Action::Recreate(changes()));
    (scene.changes, scene.retained) = (Vec::new(), Some(Retained { hash: "former".into() }));
    scene.presence = Presence::Running { since: at(1), readiness: ready() };
    assert_eq!(scene.step().action, Action::Commit);
    assert_eq!(scene.memory.upgrade, None);
}

#[test]
fn backup_can_be_left_out() {
    let mut scene =
        upgraded(Scene::running(ready(), 99).spec(json!({"upgrade": {"backupFirst": false, "settle": "0s"}})));
    assert_eq!(scene.step().action, Action::Recreate(another_image()));
    assert_eq!((scene.upgrade().step, &scene.upgrade().backup), (UpgradeStep::Replacing, &None));
    (scene.changes, scene.retained) = (Vec::new(), Some(Retained { hash: "former".into() }));
    scene.presence = Presence::Running { since: at(1), readiness: ready() };
    assert_eq!(scene.step().action, Action::Commit, "nothing is to settle");
    assert_eq!(scene.upgrade().step, UpgradeStep::Completed);
}

#[test]
fn backup_that_fails_holds_the_upgrade_up_and_is_repeated() {
    for outcome in [
        JobState::Ended(JobOutcome::Failed { message: "no space left".into() }),
        JobState::Lost("no space left".into()),
        JobState::Ended(verified("20261130-020000-1f2e3d", StoreResult::Failed("no space left".into()))),
        JobState::Ended(verified("20261130-020000-1f2e3d", StoreResult::Stored("no space left".into()))),
    ] {
        let mut scene = upgraded(Scene::running(ready(), 99));
        let job = job_of(&scene.step());
        scene.has_job(&job.name, outcome.clone());
        assert_eq!(scene.step().action, Action::RemoveJob(job.name), "{outcome:?}");
        scene.jobs.current = None;
        scene.step();
        let job = job_of(&scene.step());
        scene.has_job(&job.name, JobState::Lost("no space left".into()));
        assert_eq!(scene.step().action, Action::RemoveJob(job.name), "the second failure waits");
        scene.jobs.current = None;
        scene.step();
        let held = scene.step();
        assert_eq!((held.action.clone(), held.requeue_after), (Action::Wait, Some(Duration::from_secs(300))));
        assert_eq!(condition(&held, "Ready").0, "True");
        assert_eq!(condition(&held, "Stalled"), ("True".to_owned(), "UpgradeBackupFailed".to_owned()));
        assert_eq!(condition(&held, "UpgradeHealthy"), ("False".to_owned(), "UpgradeBackupFailed".to_owned()));
        assert!(scene.upgrade().message.contains("no space left"), "{}", scene.upgrade().message);
        let known = scene.memory.clone();
        scene.step();
        assert_eq!(scene.memory, known);
        scene.memory.upgrade.as_mut().unwrap().step_since = at(300);
        job_of(&scene.step());
    }
}

#[test]
fn job_that_does_not_show_has_failed_and_one_too_many_waits() {
    let mut scene = upgraded(Scene::running(ready(), 99));
    job_of(&scene.step());
    assert_eq!(scene.step().action, Action::Wait);
    scene.memory.upgrade.as_mut().unwrap().step_since = at(30);
    assert!(matches!(scene.step().action, Action::RemoveJob(_)));
    assert_eq!(scene.upgrade().backup_failures, 1);

    let mut full = upgraded(Scene::running(ready(), 99));
    full.jobs_running = 1;
    let waits = full.step();
    assert_eq!((waits.action, waits.requeue_after), (Action::Wait, Some(Duration::from_secs(5))));
    assert_eq!((full.upgrade().step, &full.upgrade().job), (UpgradeStep::BackingUp, &None));
}

#[test]
fn backup_that_cannot_be_started_blocks_and_writes_once() {
    let mut scene = upgraded(Scene::running(ready(), 99));
    let (workload, observed) = (workload(&scene.instance), scene.observed());
    let blocked = |scene: &Scene| {
        decide(&Facts {
            instance: &scene.instance,
            desired: Ok(&workload),
            observed: Ok(&observed),
            memory: &scene.memory,
            previous: &scene.previous,
            platform: Platform::DOCKER,
            now: at(0),
            jobs_running: 0,
            fleet: FleetTurn::Free,
            counts: None,
            backup_problem: Some("start mai with --helper-image IMAGE"),
            backup_corrected: false,
            random: 1,
            key: scene.key.clone(),
        })
    };
    let first = blocked(&scene);
    assert_eq!(first.action, Action::Wait);
    let shown = first.status.conditions.iter().find(|one| one.type_ == "UpgradeHealthy").unwrap();
    assert!(
        shown.message.contains("--helper-image") && shown.message.contains("backupFirst: false"),
        "{}",
        shown.message
    );
    (scene.memory, scene.previous) = (first.memory.clone(), first.status.clone());
    job_of(&scene.decide());
    let second = blocked(&scene);
    assert_eq!((second.memory, second.status), (first.memory, first.status));
}

#[test]
fn suspended_server_is_backed_up_before_another_image_starts() {
    let mut scene = upgraded(Scene::new(stopped()).spec(json!({"suspend": true})));
    assert_eq!(scene.step().action, Action::Wait);
    scene.instance = instance(json!({}));
    let job = job_of(&scene.step());
    scene.has_job(&job.name, JobState::Running { progress: None });
    assert_eq!(scene.step().action, Action::Wait, "it is not started meanwhile");
    scene.has_job(&job.name, JobState::Ended(verified(&job.name, StoreResult::Verified)));
    scene.step();
    scene.jobs.current = None;
    scene.step();
    assert_eq!(scene.step().action, Action::Recreate(another_image()));
    assert_eq!(scene.upgrade().step, UpgradeStep::Replacing);

    // A backup from before it was suspended is out of date.
    let backed_up = |known: &mut crate::api::UpgradeStatus| known.step = UpgradeStep::BackingUp;
    let mut outdated = upgraded(Scene::new(stopped()).spec(json!({"suspend": true}))).with_upgrade(backed_up);
    outdated.step();
    outdated.instance = instance(json!({}));
    job_of(&outdated.step());

    // It serves with its former image while its backup fails.
    let failed = |known: &mut UpgradeStatus| {
        (known.step, known.backup, known.backup_failures) = (UpgradeStep::BackingUp, None, 2);
        known.message = "no space left".into();
    };
    let mut failing = upgraded(Scene::new(stopped())).with_upgrade(failed);
    failing.previous = scene.previous.clone();
    let mut conditions = crate::api::Conditions::from_previous(&[], Some(3), at(9));
    conditions.set(crate::api::ConditionKind::Ready, Some(false), Reason::Upgrading, "");
    failing.previous.conditions = conditions.into_vec();
    assert_eq!(failing.step().action, Action::Resume);
}

#[test]
fn server_that_ended_during_its_backup_is_started_again() {
    let scene = upgraded(Scene::new(stopped()).exited(0, 1));
    let backing_up = |known: &mut UpgradeStatus| (known.step, known.backup) = (UpgradeStep::BackingUp, None);
    assert_eq!(scene.with_upgrade(backing_up).decide().action, Action::Resume);
}

#[test]
fn removed_server_is_backed_up_before_one_of_another_image() {
    let mut scene = Scene::new(Presence::Absent);
    (scene.platform, scene.image) = (Platform::DOCKER, Some("a:2".into()));
    assert_eq!(scene.decide().action, Action::Start, "a first start");
    scene.memory.image = Some("a:2".into());
    assert_eq!(scene.decide().action, Action::Start, "the same image");
    scene.memory.image = Some("a:1".into());
    let job = job_of(&scene.step());
    scene.has_job(&job.name, JobState::Ended(verified(&job.name, StoreResult::Verified)));
    scene.step();
    scene.jobs.current = None;
    scene.step();
    assert_eq!(scene.step().action, Action::Start);
    assert_eq!((scene.upgrade().from.as_str(), scene.upgrade().step), ("a:1", UpgradeStep::Replacing));
}

#[test]
fn image_that_is_declared_again_withdraws_what_waits() {
    for step in [UpgradeStep::WaitingForWindow, UpgradeStep::Halted, UpgradeStep::BackingUp] {
        let mut scene = Scene::running(ready(), 99).with_upgrade(|known| (known.step, known.backup) = (step, None));
        scene.platform = Platform::DOCKER;
        scene.memory.upgrade.as_mut().unwrap().job = Some("20261130-020000-1f2e3d".into());
        scene.step();
        assert_eq!(scene.upgrade().step, step, "its backup is made to its end");
        scene.memory.upgrade.as_mut().unwrap().job = None;
        let decision = scene.step();
        assert_eq!((decision.action, scene.memory.upgrade.clone()), (Action::Wait, None), "{step:?}");
        assert!(!decision.status.conditions.iter().any(|one| one.type_ == "UpgradeHealthy"), "{step:?}");
    }
    // It was recorded that the server is replaced, and that failed.
    let mut kept = Scene::on_trial(ready(), 99, UpgradeStep::Replacing);
    (kept.retained, kept.image, kept.memory.image) = (None, Some("a:1".into()), Some("a:1".into()));
    assert_eq!((kept.step().action, kept.memory.upgrade.clone()), (Action::Wait, None));

    let completed = crate::api::CompletedUpgrade { from: "a:0".into(), to: "a:1".into(), backup: None, at: at(99) };
    let mut scene = Scene::running(ready(), 99).with_upgrade(|known| known.completed = Some(completed.clone()));
    scene.platform = Platform::DOCKER;
    let decision = scene.step();
    assert_eq!((scene.upgrade().step, &scene.upgrade().completed), (UpgradeStep::Completed, &Some(completed)));
    assert_eq!(condition(&decision, "UpgradeHealthy").1, "Upgraded");
}

#[test]
fn image_that_was_changed_by_hand_is_reverted_at_once() {
    let mut by_hand = another_image();
    (by_hand[0].from, by_hand[0].to) = ("b:9".into(), "a:1".into());
    for (scene, action) in [
        (Scene::running(ready(), 99), Action::Recreate(by_hand.clone())),
        (Scene::new(stopped()), Action::Recreate(by_hand.clone())),
    ] {
        let mut scene = upgraded(scene);
        (scene.changes, scene.image, scene.memory.image) = (by_hand.clone(), Some("a:1".into()), Some("a:1".into()));
        let decision = scene.decide();
        assert_eq!((decision.action, decision.memory.upgrade), (action, None));
    }
}

#[test]
fn paused_or_deleted_instance_is_not_upgraded() {
    let waiting = || upgraded(Scene::running(ready(), 99));
    let paused = annotated_with(waiting(), PAUSED, "true").decide();
    assert_eq!((paused.action, paused.memory.upgrade), (Action::Wait, None));
    let deleted = Scene::on_trial(ready(), 9, UpgradeStep::Settling).deleted().decide();
    assert_eq!(deleted.action, Action::Stop("the document was removed".into()));
    let suspended = Scene::on_trial(ready(), 9, UpgradeStep::Settling).spec(json!({"suspend": true})).decide();
    assert_eq!(suspended.action, Action::Stop("spec.suspend is true".into()));
}
