//! Backups as a table: what is observed and remembered on the left, the action and the status on the
//! right.

use mai_contract::job::{BackupReport, DestinationReport, Outcome as JobOutcome, StoreResult};

use super::*;
use crate::api::{BackupResult, BackupStatus, ConditionKind, LastBackup};
use crate::core::{JobRequest, JobState, JobWork, ObservedJob};
use crate::reconcile::backup_report;

/// Id of a backup of the moment `at(0)`.
pub(super) const NEW: &str = "19700112-134640-00002a";
/// Id of an earlier one.
pub(super) const OLD: &str = "19700112-020000-000001";
/// Seconds from the last due time, 13:00, to the moment of the decision, 13:46:40.
const SINCE_DUE: i64 = 2800;
/// A time before the last due time, in seconds before the decision.
const EARLIER: i64 = SINCE_DUE + 60;

impl Scene {
    /// Declares hourly backups of an instance that was created long ago.
    pub(super) fn backed_up(mut self) -> Self {
        self.instance.spec.backup = Some(serde_json::from_value(json!({"schedule": "0 * * * *"})).unwrap());
        self.instance.metadata.creation_timestamp = Some(Time(at(900_000)));
        self
    }

    /// The last due time was handled, by a backup with this result that ended `ended_ago`.
    fn handled(mut self, result: BackupResult, ended_ago: i64) -> Self {
        self.memory.backup = BackupStatus {
            last_due: Some(at(SINCE_DUE)),
            last: Some(LastBackup {
                id: OLD.into(),
                started_at: at(ended_ago + 9),
                ended_at: Some(at(ended_ago)),
                result,
                message: "boom".into(),
            }),
            last_verified: (result == BackupResult::Verified).then(|| at(ended_ago + 9)),
            failures: i32::from(result == BackupResult::Failed),
            ..BackupStatus::default()
        };
        self
    }

    /// A backup was started and has not ended as far as is remembered.
    pub(super) fn started(mut self, id: &str, started_ago: i64) -> Self {
        self.memory.backup.last_due = Some(at(SINCE_DUE));
        self.memory.backup.last = Some(LastBackup::started(id, at(started_ago)));
        self
    }

    pub(super) fn job(mut self, id: &str, state: JobState) -> Self {
        self.jobs.current = Some(ObservedJob { name: id.into(), state });
        self
    }

    pub(super) fn request(mut self, name: &str) -> Self {
        self.jobs.request =
            Some(JobRequest { name: name.into(), reason: "asked by hand".into(), work: JobWork::Backup });
        self
    }

    /// Returns the scene after a decision whose action changed nothing yet.
    pub(super) fn after(mut self, decision: &Decision) -> Self {
        self.memory = decision.memory.clone();
        self.previous = decision.status.clone();
        self
    }
}

fn idle() -> Scene {
    Scene::running(ready(), 99).backed_up()
}

pub(super) fn runs() -> JobState {
    JobState::Running { progress: None }
}

pub(super) fn report(results: &[(&str, StoreResult)], data_bytes: u64) -> JobOutcome {
    let destinations = results.iter().map(|(name, result)| DestinationReport {
        name: (*name).into(),
        result: result.clone(),
        kept: 3,
        removed: 1,
        newest_verified: None,
        retention_problem: None,
    });
    JobOutcome::Backup(BackupReport {
        id: OLD.parse().unwrap(),
        taken_at: at(20),
        data_bytes,
        archive_bytes: data_bytes / 3,
        files: 5,
        databases: 1,
        destinations: destinations.collect(),
        remarks: Vec::new(),
    })
}

pub(super) fn verified() -> JobOutcome {
    report(&[("backups", StoreResult::Verified), ("s3", StoreResult::Verified)], 900)
}

pub(super) fn failed() -> JobOutcome {
    JobOutcome::Failed { message: "the volume is full".into() }
}

pub(super) fn start(name: &str, reason: &str) -> Action {
    Action::StartJob(JobRequest { name: name.into(), reason: reason.into(), work: JobWork::Backup })
}

pub(super) fn remove(name: &str) -> Action {
    Action::RemoveJob(name.into())
}

fn health(decision: &Decision) -> (String, String) {
    condition(decision, "BackupHealthy")
}

#[test]
fn each_state_of_backups_has_one_next_action() {
    let due = || start(NEW, "scheduled for 1970-01-12 13:00 UTC");
    let asked = || start(OLD, "asked by hand");
    let suspended = Scene::new(stopped()).spec(json!({"suspend": true})).backed_up();
    let blocked = Scene {
        blocked: Some(Blocked { reason: Reason::MissingSecret, message: "Secret x is not there".into() }),
        ..idle()
    };
    let undeclared = Scene::running(ready(), 99);
    let full = Scene { jobs_running: 1, ..idle() };
    for (name, scene, action) in [
        ("due", idle(), due()),
        ("due while suspended", suspended, due()),
        ("due while blocked", blocked, due()),
        ("due while it starts", Scene::running(starting(), 1).backed_up(), due()),
        ("due before it is started", Scene::new(Presence::Absent).backed_up(), Action::Start),
        ("due before it is replaced", idle().differs(), Action::Recreate(changes())),
        ("due while others are made", full.clone(), Action::Wait),
        ("asked for while others are made", full.request(OLD), Action::Wait),
        ("handled", idle().handled(BackupResult::Verified, 2700), Action::Wait),
        ("not declared", undeclared.clone(), Action::Wait),
        ("asked for", idle().handled(BackupResult::Verified, 2700).request(NEW), start(NEW, "asked by hand")),
        ("asked for, not declared", undeclared.clone().request(OLD), asked()),
        ("asked for, and answered", idle().handled(BackupResult::Verified, 9).request(OLD), remove(OLD)),
        ("asked for with a wrong name", idle().request("../x"), remove("../x")),
        ("runs", idle().started(OLD, 99).job(OLD, runs()), Action::Wait),
        ("runs for a day", idle().started(OLD, 86_400).job(OLD, runs()), Action::Wait),
        ("runs for longer than a day", idle().started(OLD, 86_401).job(OLD, runs()), remove(OLD)),
        ("runs, and its end is recorded", idle().handled(BackupResult::Failed, 86_400).job(OLD, runs()), remove(OLD)),
        ("runs, nothing remembered", idle().job(OLD, runs()), Action::Wait),
        ("ended", idle().started(OLD, 99).job(OLD, JobState::Ended(verified())), remove(OLD)),
        (
            "ended, and recorded",
            idle().handled(BackupResult::Verified, 9).job(OLD, JobState::Ended(verified())),
            remove(OLD),
        ),
        ("ended, nothing remembered", idle().job(OLD, JobState::Ended(verified())), remove(OLD)),
        ("lost", idle().started(OLD, 99).job(OLD, JobState::Lost("killed".into())), remove(OLD)),
        ("started, not shown yet", idle().started(OLD, 29), Action::Wait),
        ("started, never shown", idle().started(OLD, 30), remove(OLD)),
        ("started by a clock ahead", idle().started(OLD, -99), remove(OLD)),
        ("failed lately", idle().handled(BackupResult::Failed, 299), Action::Wait),
        ("failed a while ago", idle().handled(BackupResult::Failed, 300), start(NEW, "attempt 2 after a failure")),
        ("not verified everywhere", idle().handled(BackupResult::Unverified, 2700), Action::Wait),
        ("deleted, job runs", idle().started(OLD, 99).job(OLD, runs()).deleted(), remove(OLD)),
        ("deleted, due", idle().deleted(), Action::Stop("the document was removed".into())),
    ] {
        let decision = scene.decide();
        assert_eq!(decision.action, action, "{name}");
        let wakes = decision.requeue_after.is_some() || scene.instance.spec.backup.is_none();
        assert!(decision.action != Action::Wait || wakes, "{name} would be forgotten");
        assert_eq!(condition(&decision, "Ready").0 == "True", scene.clone().without_backups().is_ready(), "{name}");
        assert_eq!(decision.status.backup.unwrap_or_default(), decision.memory.backup, "{name}");
    }
}

#[test]
fn job_keeps_its_place_while_it_runs_or_may_yet_show() {
    let remembers = |started_ago| Scene::running(ready(), 99).started(OLD, started_ago).memory.backup;
    let observed = |state: Option<JobState>| ObservedJobs {
        current: state.map(|state| ObservedJob { name: OLD.into(), state }),
        ..ObservedJobs::default()
    };
    for (name, jobs, backup, expected) in [
        ("runs", Some(observed(Some(runs()))), BackupStatus::default(), true),
        ("ended, not recorded", Some(observed(Some(JobState::Ended(verified())))), remembers(5), false),
        ("lost, not recorded", Some(observed(Some(JobState::Lost("killed".into())))), remembers(5), false),
        ("not shown yet", Some(observed(None)), remembers(29), true),
        ("never shown", Some(observed(None)), remembers(30), false),
        ("not observed", None, remembers(99), true),
        ("not observed, nothing remembered", None, BackupStatus::default(), false),
    ] {
        let observed = jobs.map(|jobs| Scene { jobs, ..idle() }.observed());
        let memory = Memory { backup, ..Memory::default() };
        assert_eq!(job_runs(observed.as_ref(), &memory, at(0)), expected, "{name}");
    }
}

impl Scene {
    fn without_backups(mut self) -> Self {
        self.instance.spec.backup = None;
        self.jobs = ObservedJobs::default();
        self
    }

    fn is_ready(&self) -> bool {
        condition(&self.decide(), "Ready").0 == "True"
    }
}

#[test]
fn pause_and_maintenance_leave_jobs_alone() {
    for scene in [idle(), idle().request(OLD), idle().started(OLD, 99).job(OLD, JobState::Ended(verified()))] {
        let mut paused = scene.clone();
        paused.instance.metadata.annotations = Some(BTreeMap::from([(PAUSED.to_owned(), "true".to_owned())]));
        let held = Scene { maintenance: Some("mai restore (process 7)".into()), ..scene };
        for scene in [paused, held] {
            let decision = scene.decide();
            assert_eq!((decision.action, decision.memory.backup), (Action::Wait, scene.memory.backup));
        }
    }
}

#[test]
fn interruption_at_any_step_makes_no_second_backup() {
    let mut scene = idle();
    let first = scene.decide();
    assert_eq!(first.action, start(NEW, "scheduled for 1970-01-12 13:00 UTC"));
    // Nothing was recorded: the same is decided again.
    assert_eq!(scene.decide(), first);
    // It was recorded and not started, or is not shown yet.
    scene = scene.after(&first);
    assert_eq!(scene.decide().action, Action::Wait);
    // It runs, under whichever reconciler.
    scene = scene.job(NEW, runs());
    let running = scene.decide();
    assert_eq!((&running.action, &running.memory), (&Action::Wait, &scene.memory));
    // It ended, and that was not recorded.
    scene = scene.job(NEW, JobState::Ended(verified()));
    let ended = scene.decide();
    assert_eq!(ended.action, remove(NEW));
    assert_eq!(scene.decide(), ended);
    // It was recorded and the job not removed: it is removed, and nothing is counted twice.
    scene = scene.after(&ended);
    let again = scene.decide();
    assert_eq!((again.action, &again.memory, &again.status), (remove(NEW), &ended.memory, &ended.status));
    // It is gone.
    scene.jobs = ObservedJobs::default();
    let idle = scene.decide();
    assert_eq!((idle.action, idle.requeue_after), (Action::Wait, Some(Duration::from_secs(800))));
    assert_eq!(idle.status.backup.unwrap().next, Some(at(-800)));
}

#[test]
fn outcome_is_recorded_with_each_destination() {
    let partly = report(&[("backups", StoreResult::Verified), ("s3", StoreResult::Failed("403".into()))], 900);
    let sealed = report(&[("backups", StoreResult::Intact("no identity".into()))], 900);
    let unread =
        report(&[("backups", StoreResult::Verified), ("s3", StoreResult::Stored("not read back".into()))], 900);
    let nowhere = report(&[("backups", StoreResult::Failed("disk full".into()))], 900);
    for (outcome, result, reason, failures, says) in [
        (verified(), BackupResult::Verified, "BackupVerified", 0, "read back from each destination"),
        (partly, BackupResult::Unverified, "BackupUnverified", 1, "s3: 403"),
        (sealed, BackupResult::Intact, "BackupIntact", 0, "backups: no identity"),
        (unread, BackupResult::Unverified, "BackupUnverified", 0, "s3: not read back"),
        (nowhere, BackupResult::Failed, "BackupFailed", 1, "backups: disk full"),
        (failed(), BackupResult::Failed, "BackupFailed", 1, "the volume is full"),
    ] {
        let scene = idle().started(OLD, 99).job(OLD, JobState::Ended(outcome));
        let decision = scene.decide();
        let backup = decision.status.backup.clone().unwrap();
        assert_eq!((backup.last.unwrap().result, backup.failures), (result, failures), "{says}");
        let is_good = matches!(result, BackupResult::Verified | BackupResult::Intact);
        assert_eq!(health(&decision), ((if is_good { "True" } else { "False" }).into(), reason.into()));
        let message = &decision.status.condition(ConditionKind::BackupHealthy).unwrap().message;
        assert!(message.contains(says), "{message}");
        assert_eq!(backup.last_success, is_good.then(|| at(0)), "{says}");
        assert_eq!(backup.last_verified.is_some(), backup.destinations.iter().any(|one| one.last_verified.is_some()));
        assert_eq!(backup.seconds.is_some(), result != BackupResult::Failed);
        // One event tells it, and the next decision has nothing to add.
        assert_eq!(backup_report::events(&scene.previous, &decision.status).len(), 1, "{says}");
        assert_eq!(backup_report::events(&decision.status, &scene.after(&decision).decide().status).len(), 0);
    }
}

#[test]
fn intact_backups_are_healthy_until_they_are_overdue() {
    let sealed = report(&[("backups", StoreResult::Intact("no identity".into()))], 900);
    let scene = idle().started(OLD, 99).job(OLD, JobState::Ended(sealed));
    let ended = scene.decide();
    let mut scene = scene.after(&ended);
    scene.jobs = ObservedJobs::default();
    assert_eq!(health(&scene.decide()), ("True".into(), "BackupIntact".into()));
    let running = scene.clone().started(NEW, 9).job(NEW, runs());
    assert_eq!(health(&running.decide()), ("True".into(), "BackupIntact".into()), "while the next is made");
    for (name, scene) in [("idle", scene), ("the next is made", running)] {
        let mut scene = Scene { jobs_running: 1, ..scene };
        scene.memory.backup.last_success = Some(at(EARLIER + 3600));
        let decision = scene.decide();
        assert_eq!(health(&decision), ("False".into(), "BackupOverdue".into()), "{name}");
        let message = &decision.status.condition(ConditionKind::BackupHealthy).unwrap().message;
        assert!(message.contains("the newest backup that was read back is of"), "{message}");
        assert_eq!(health(&scene.after(&decision).decide()).1, "BackupOverdue", "{name}");
    }
}

#[test]
fn blocked_backup_stays_so_while_others_are_made() {
    let mut scene = Scene { jobs_running: 1, ..idle() };
    scene.memory.backup.last_verified = Some(at(20));
    let mut conditions = crate::api::Conditions::from_previous(&[], scene.instance.metadata.generation, at(60));
    conditions.set(ConditionKind::BackupHealthy, Some(false), Reason::BackupBlocked, "Secret x is not there");
    scene.previous.conditions = conditions.into_vec();
    let queued = scene.decide();
    assert_eq!((&queued.action, health(&queued)), (&Action::Wait, ("False".into(), "BackupBlocked".into())));
    let message = &queued.status.condition(ConditionKind::BackupHealthy).unwrap().message;
    assert_eq!(message, "Secret x is not there");
    // Another document may be another cause, and with a place it is tried.
    let mut edited = scene.clone();
    edited.instance.metadata.generation = edited.instance.metadata.generation.map(|generation| generation + 1);
    assert_eq!(health(&edited.decide()).1, "BackupVerified");
    scene.jobs_running = 0;
    assert_eq!(scene.decide().action, start(NEW, "scheduled for 1970-01-12 13:00 UTC"));
}

#[test]
fn failed_backup_is_shown_until_the_next_has_ended() {
    let scene = idle().started(OLD, 400).job(OLD, JobState::Ended(failed()));
    let ended = scene.decide();
    let mut scene = scene.after(&ended);
    scene.jobs = ObservedJobs::default();
    scene.memory.backup.last.as_mut().unwrap().ended_at = Some(at(301));
    let again = scene.decide();
    assert_eq!(again.action, start(NEW, "attempt 2 after a failure"));
    assert_eq!(again.memory.backup.last_due, Some(at(SINCE_DUE)), "the due time stays handled");
    assert_eq!(health(&again), ("False".into(), "BackupFailed".into()));
    let scene = scene.after(&again).job(NEW, JobState::Ended(verified()));
    let mended = scene.decide();
    assert_eq!((health(&mended).0.as_str(), mended.memory.backup.failures), ("True", 0));
}

#[test]
fn much_smaller_backup_is_told_and_counts() {
    let mut scene = idle().started(OLD, 99).job(OLD, JobState::Ended(verified()));
    scene.memory.backup.data_bytes = Some(2000);
    scene.previous.backup = Some(scene.memory.backup.clone());
    let decision = scene.decide();
    assert_eq!(health(&decision), ("True".into(), "BackupVerified".into()));
    let message = &decision.status.condition(ConditionKind::BackupHealthy).unwrap().message;
    assert_eq!(message, "it has less than half the data of the one before: 900 bytes, 2000 before");
    let events = backup_report::events(&scene.previous, &decision.status);
    assert_eq!((events.len(), events[0].reason), (1, "BackupShrank"));
}

#[test]
fn missing_backup_is_overdue_after_a_period_and_a_half() {
    // Declared at 13:30, so the first is due at 14:00 and overdue at 15:00.
    let pending = |scene: Scene| {
        let mut conditions = crate::api::Conditions::from_previous(&[], Some(3), at(1000));
        conditions.set(ConditionKind::BackupHealthy, None, Reason::BackupPending, "");
        let previous = MaiInstanceStatus { conditions: conditions.into_vec(), ..MaiInstanceStatus::default() };
        Scene { previous, jobs_running: 1, ..scene }
    };
    let never = |hours_later: i64| {
        let mut scene = pending(idle());
        scene.previous.conditions[0].last_transition_time = Time(at(1000 + hours_later * 3600));
        scene.decide()
    };
    assert_eq!(health(&never(0)), ("Unknown".into(), "BackupPending".into()));
    let overdue = never(2);
    assert_eq!(health(&overdue), ("False".into(), "BackupOverdue".into()));
    assert_eq!(health(&pending(idle()).after(&overdue).decide()).1, "BackupOverdue", "it stays overdue");
    assert_eq!(health(&Scene { jobs_running: 1, ..idle() }.decide()).1, "BackupPending", "declared just now");
    for (verified_ago, reason) in [(EARLIER, "BackupVerified"), (EARLIER + 3600, "BackupOverdue")] {
        let mut scene = Scene { jobs_running: 1, ..idle() };
        scene.memory.backup.last_verified = Some(at(verified_ago));
        assert_eq!(health(&scene.decide()).1, reason, "{verified_ago} s ago");
    }
}

#[test]
fn verified_backup_of_a_clock_ahead_hides_no_overdue_one() {
    for (name, verified_ago, recorded, reason) in [
        ("of the moment", 0, Some(at(0)), "BackupVerified"),
        ("too old", EARLIER + 3600, Some(at(EARLIER + 3600)), "BackupOverdue"),
        ("ahead", -90_000, None, "BackupOverdue"),
    ] {
        let mut scene = Scene { jobs_running: 1, ..idle() };
        let mut conditions = crate::api::Conditions::from_previous(&[], Some(3), at(EARLIER + 3600));
        conditions.set(ConditionKind::BackupHealthy, Some(true), Reason::BackupVerified, "");
        scene.previous.conditions = conditions.into_vec();
        scene.memory.backup.last_verified = Some(at(verified_ago));
        assert_eq!(health(&scene.decide()).1, reason, "{name}");

        // The next one replaces it, and no older one replaces a newer one.
        let scene = Scene { memory: scene.memory, ..idle().job(OLD, JobState::Ended(verified())) };
        let newest = scene.decide().memory.backup.last_verified;
        assert_eq!(newest, recorded.max(Some(at(20))), "{name}");
    }
}

#[test]
fn schedule_that_cannot_be_followed_blocks_backups_alone() {
    let mut scene = idle();
    scene.instance.spec.backup.as_mut().unwrap().schedule = "0 0 30 2 *".into();
    let decision = scene.decide();
    assert_eq!(decision.action, Action::Wait);
    assert_eq!(health(&decision), ("False".into(), "BackupBlocked".into()));
    assert_eq!(condition(&decision, "Ready").0, "True");
    let asked = scene.request(OLD).decide();
    assert_eq!(asked.action, start(OLD, "asked by hand"));
}

#[test]
fn due_time_of_a_wrong_clock_is_corrected_with_an_event() {
    let mut scene = idle();
    scene.memory.backup.last_due = Some(at(-90_000));
    scene.previous = scene.decide().status;
    scene.previous.backup.as_mut().unwrap().last_due = Some(at(-90_000));
    let decision = scene.decide();
    assert_eq!((&decision.action, decision.memory.backup.last_due), (&Action::Wait, Some(at(SINCE_DUE))));
    let reasons: Vec<_> =
        backup_report::events(&scene.previous, &decision.status).iter().map(|event| event.reason).collect();
    assert_eq!(reasons, ["BackupClockCorrected"]);
}
