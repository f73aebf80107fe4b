//! Drills as a table: what is declared, remembered and observed on the left, the action and the
//! condition on the right.

use mai_contract::job::{DrillReport, Outcome as JobOutcome, ServerReport};

use super::backup::{NEW, OLD, remove, runs, start};
use super::*;
use crate::api::{
    BackupStatus, ConditionKind, DRILL_REQUESTED, DestinationResult, DestinationStatus, DrillResult, DrillStatus,
    LastDrill,
};
use crate::core::{DrillChoice, JobRequest, JobState, JobWork};
use crate::reconcile::drills;

const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Time of a drill that is made once a day, in seconds before the decision at 13:46: it was due
/// between 0:00 and 6:00 since, and not since the other one.
const BEFORE_DUE: i64 = DAY;
const AFTER_DUE: i64 = HOUR;

/// An instance with daily drills and a verified backup in one of two destinations. Backups are not
/// due.
fn idle(more: Value) -> Scene {
    let mut scene = Scene::running(ready(), 99).backed_up();
    let mut backup = json!({
        "schedule": "0 0 1 1 *", "drill": "Daily",
        "destinations": [{"name": "nas", "local": {"path": "/nas"}}, {"name": "tape", "local": {"path": "/tape"}}],
    });
    backup.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    scene.instance.spec.backup = Some(serde_json::from_value(backup).unwrap());
    let there = |name: &str, verified| DestinationStatus {
        name: name.into(),
        last_verified: verified,
        result: DestinationResult::Stored,
        message: String::new(),
        kept: 1,
    };
    scene.memory.backup = BackupStatus {
        last_due: Some(at(9)),
        last_verified: Some(at(DAY)),
        destinations: vec![there("backups", None), there("nas", Some(at(DAY))), there("gone", Some(at(DAY)))],
        ..BackupStatus::default()
    };
    scene
}

fn declared() -> Scene {
    idle(json!({}))
}

impl Scene {
    fn drills(&mut self) -> &mut DrillStatus {
        self.memory.backup.drill.get_or_insert_default()
    }

    fn counted_from(mut self, ago: i64) -> Self {
        self.drills().last_due = Some(at(ago));
        self
    }

    /// The newest drill ended with this result.
    fn drilled(mut self, result: DrillResult, ended_ago: i64, failures: i32) -> Self {
        let outcome = if result == DrillResult::Passed { passed() } else { failed() };
        drills::record_end(self.drills(), OLD, &outcome, at(ended_ago));
        self.drills().failures = failures;
        self.counted_from(AFTER_DUE)
    }

    /// A drill was started and has not ended as far as is remembered.
    fn drilling(mut self, started_ago: i64) -> Self {
        self.drills().last = Some(LastDrill::started(OLD, at(started_ago), "asked by hand"));
        self.counted_from(AFTER_DUE)
    }

    /// The document has the annotation with this value, and another one was handled.
    fn annotated(mut self, value: &str, handled: Option<&str>) -> Self {
        self.instance.metadata.annotations.get_or_insert_default().insert(DRILL_REQUESTED.into(), value.into());
        self.drills().handled_request = handled.map(str::to_owned);
        self
    }

    fn asked_for_drill(mut self, name: &str) -> Self {
        let (name, reason) = (name.to_owned(), "asked by hand".to_owned());
        self.jobs.request = Some(JobRequest { name, reason, work: JobWork::Drill(None) });
        self
    }
}

fn passed() -> JobOutcome {
    JobOutcome::Drilled(Box::new(DrillReport {
        id: OLD.parse().unwrap(),
        backup: "19700110-020000-0000bb".parse().unwrap(),
        destination: "nas".into(),
        taken_at: at(2 * DAY),
        is_encrypted: false,
        archive_bytes: 10,
        data_bytes: 30,
        files: 5,
        databases: 1,
        rows: 9,
        people: Some(2),
        chats: Some(3),
        restore_millis: 1400,
        server: Some(ServerReport { version: "0.1.0".into(), start_millis: 700, people: 2 }),
    }))
}

fn failed() -> JobOutcome {
    JobOutcome::Failed { message: "the archive is cut off".into() }
}

fn choice() -> Option<DrillChoice> {
    Some(DrillChoice { destination: "nas".into(), number: 42 })
}

fn drill(name: &str, reason: &str) -> Action {
    Action::StartJob(JobRequest { name: name.into(), reason: reason.into(), work: JobWork::Drill(choice()) })
}

fn verified(decision: &Decision) -> (String, String) {
    condition(decision, "RestoreVerified")
}

/// Returns the action with the due time taken out of its reason.
fn action(decision: &Decision) -> Action {
    match decision.action.clone() {
        Action::StartJob(request) if request.reason.starts_with("scheduled for 1970-01-12 0") => {
            Action::StartJob(JobRequest { reason: "scheduled".into(), ..request })
        }
        other => other,
    }
}

#[test]
fn each_state_of_drills_has_one_next_action() {
    let due = || drill(NEW, "scheduled");
    let unverified = || {
        let mut scene = declared().counted_from(BEFORE_DUE);
        scene.memory.backup.last_verified = None;
        scene
    };
    let encrypted = || idle(json!({"encryption": {"recipients": [RECIPIENT]}})).counted_from(BEFORE_DUE);
    let backup_due = || {
        let mut scene = idle(json!({"schedule": "0 * * * *"})).counted_from(BEFORE_DUE);
        scene.memory.backup.last_due = Some(at(2 * HOUR));
        scene
    };
    let nowhere = || {
        let mut scene = declared().asked_for_drill(NEW);
        scene.memory.backup.destinations.clear();
        scene
    };
    let blocked = Scene {
        blocked: Some(Blocked { reason: Reason::MissingSecret, message: "Secret x is not there".into() }),
        ..declared().counted_from(BEFORE_DUE)
    };
    let annotated = || drill(NEW, "requested by the annotation mai.dev/drill-requested");
    let asked_early = || unverified().counted_from(AFTER_DUE).annotated("a", None);
    let asked_with_backup = || backup_due().annotated("a", None);
    let unchosen = JobRequest { name: NEW.into(), reason: "asked by hand".into(), work: JobWork::Drill(None) };
    use DrillResult::{Failed, Passed};
    for (name, scene, expected) in [
        ("first verified backup", declared(), Action::Wait),
        ("due", declared().counted_from(BEFORE_DUE), due()),
        ("due while blocked", blocked, due()),
        ("due together with a backup", backup_due(), start(NEW, "scheduled for 1970-01-12 13:00 UTC")),
        ("due while others work", Scene { jobs_running: 1, ..declared().counted_from(BEFORE_DUE) }, Action::Wait),
        ("due without a verified backup", unverified(), Action::Wait),
        ("due and encrypted, no identity", encrypted(), Action::Wait),
        ("handled", declared().counted_from(AFTER_DUE), Action::Wait),
        ("never", idle(json!({"drill": "Never"})).counted_from(BEFORE_DUE), Action::Wait),
        ("passed", declared().drilled(Passed, AFTER_DUE, 0), Action::Wait),
        ("failed today", declared().drilled(Failed, DAY - 1, 1), Action::Wait),
        ("failed yesterday", declared().drilled(Failed, DAY, 1), drill(NEW, "attempt 2 after a failure")),
        ("failed for the third time", declared().drilled(Failed, DAY, 3), drill(NEW, "attempt 4 after a failure")),
        ("failed too often", declared().drilled(Failed, DAY, 4), Action::Wait),
        ("asked for", declared().asked_for_drill(NEW), drill(NEW, "asked by hand")),
        ("asked for, not declared", idle(json!({"drill": "Never"})).asked_for_drill(NEW), drill(NEW, "asked by hand")),
        ("asked for, no verified backup anywhere", nowhere(), Action::StartJob(unchosen)),
        ("asked for, and answered", declared().drilled(Passed, 9, 0).asked_for_drill(OLD), remove(OLD)),
        ("asked for with a wrong name", declared().asked_for_drill("../x"), remove("../x")),
        ("annotated", declared().counted_from(AFTER_DUE).annotated("b", Some("a")), annotated()),
        ("annotated, and handled", declared().counted_from(AFTER_DUE).annotated("a", Some("a")), Action::Wait),
        ("annotated, not declared", idle(json!({"drill": "Never"})).annotated("a", None), annotated()),
        ("annotated before the first verified backup", asked_early(), Action::Wait),
        ("annotated while a backup is due", asked_with_backup(), start(NEW, "scheduled for 1970-01-12 13:00 UTC")),
        ("annotated while others work", Scene { jobs_running: 1, ..declared().annotated("a", None) }, Action::Wait),
        ("runs", declared().drilling(99).job(OLD, runs()), Action::Wait),
        ("runs for longer than a day", declared().drilling(DAY + 1).job(OLD, runs()), remove(OLD)),
        ("runs, nothing remembered", declared().job(OLD, runs()).asked_for_drill(OLD), Action::Wait),
        ("ended", declared().drilling(99).job(OLD, JobState::Ended(passed())), remove(OLD)),
        ("lost", declared().drilling(99).job(OLD, JobState::Lost("killed".into())), remove(OLD)),
        ("started, not shown yet", declared().drilling(29), Action::Wait),
        ("started, never shown", declared().drilling(30), remove(OLD)),
        ("a backup asked for meanwhile", declared().drilling(99).job(OLD, runs()).request(NEW), Action::Wait),
        ("deleted, drill runs", declared().drilling(99).job(OLD, runs()).deleted(), remove(OLD)),
    ] {
        let decision = scene.decide();
        assert_eq!(action(&decision), expected, "{name}");
        assert!(decision.action != Action::Wait || decision.requeue_after.is_some(), "{name} would be forgotten");
        assert_eq!(decision.status.backup.unwrap_or_default(), decision.memory.backup, "{name}");
    }
}

#[test]
fn value_of_the_annotation_is_remembered_until_it_is_gone() {
    let long = "a".repeat(1000);
    let started = declared().counted_from(AFTER_DUE).annotated(&long, None).decide();
    let drills = started.memory.backup.drill.clone().unwrap();
    assert_eq!((drills.handled_request.unwrap().len(), drills.last_due), (64, Some(at(0))));
    assert_eq!(declared().annotated(&long, Some(&"a".repeat(64))).decide().action, Action::Wait);
    let queued = Scene { jobs_running: 1, ..declared().annotated("a", None) }.decide();
    assert_eq!(queued.memory.backup.drill.unwrap().handled_request, None);
    let gone = declared().after(&started).drilled(DrillResult::Passed, 9, 0).decide();
    assert_eq!((gone.action, gone.memory.backup.drill.unwrap().handled_request), (Action::Wait, None));
}

#[test]
fn drills_count_from_the_first_verified_backup() {
    let first = declared().decide();
    let drills = first.memory.backup.drill.clone().unwrap();
    assert_eq!(drills.last_due, Some(at(0)));
    let next = drills.next.unwrap();
    assert!(next > at(0) && next <= at(-DAY), "{next}");
    assert_eq!(verified(&first), ("Unknown".to_owned(), "DrillPending".to_owned()));
    let again = declared().after(&first).decide();
    assert_eq!((again.memory, again.status), (first.memory, first.status), "it changes without a cause");
}

#[test]
fn end_of_a_drill_is_recorded_with_its_counts() {
    let ended = declared().drilling(99).job(OLD, JobState::Ended(passed())).decide();
    let drills = ended.memory.backup.drill.clone().unwrap();
    let passed = drills.passed.clone().unwrap();
    assert_eq!((passed.at, passed.recovery_seconds, passed.people), (at(0), 3, Some(2)));
    assert_eq!((passed.destination.as_str(), passed.server_version.as_deref()), ("nas", Some("0.1.0")));
    assert_eq!(verified(&ended), ("True".to_owned(), "DrillPassed".to_owned()));
    let message = &ended.status.condition(ConditionKind::RestoreVerified).unwrap().message;
    assert!(message.contains("came back from nas within 3 s, and a server answered on it, at 1970-01-12"), "{message}");
    let answer = drills::recorded_outcome(&ended.memory.backup, OLD).unwrap();
    assert!(matches!(answer, JobOutcome::Drilled(report) if report.people == Some(2)));

    let lost = declared().drilling(99).job(OLD, JobState::Lost("its process was killed".into())).decide();
    assert_eq!(verified(&lost), ("False".to_owned(), "DrillFailed".to_owned()));
    let later = declared().after(&lost).decide();
    let message = &later.status.condition(ConditionKind::RestoreVerified).unwrap().message;
    assert!(message.contains("its process was killed; the next one is made at"), "{message}");
    assert_eq!(lost.memory.backup.failures, 0, "it is no failed backup");
}

#[test]
fn condition_follows_the_newest_drill_and_its_age() {
    use DrillResult::{Failed, Passed};
    let encrypted = idle(json!({"encryption": {"recipients": [RECIPIENT]}}));
    let failing = declared().drilled(Failed, AFTER_DUE, 1);
    let mut running = declared().after(&failing.decide()).drilling(9).job(OLD, runs());
    running.memory.backup.drill.as_mut().unwrap().last.as_mut().unwrap().id = OLD.into();
    let mut waiting = declared();
    waiting.memory.backup.last_verified = None;
    let queued = Scene { jobs_running: 1, ..declared().drilled(Passed, 3 * DAY, 0).counted_from(3 * DAY) };
    for (name, scene, status, reason) in [
        ("no verified backup", waiting, "Unknown", "DrillPending"),
        ("none made", declared(), "Unknown", "DrillPending"),
        ("passed", declared().drilled(Passed, AFTER_DUE, 0), "True", "DrillPassed"),
        ("failed", failing, "False", "DrillFailed"),
        ("failed, the next one runs", running, "False", "DrillFailed"),
        ("passed long ago", queued, "False", "DrillOverdue"),
        ("no identity", encrypted, "Unknown", "DrillNeedsIdentity"),
    ] {
        assert_eq!(verified(&scene.decide()), (status.to_owned(), reason.to_owned()), "{name}");
    }
    let never = idle(json!({"drill": "Never"})).decide();
    assert!(never.status.condition(ConditionKind::RestoreVerified).is_none());
}

#[test]
fn each_end_and_each_obstacle_of_a_drill_is_one_event() {
    let names = |before: &Decision, after: &Decision| {
        let events = drills::events(&before.status, &after.status);
        events.iter().map(|event| event.reason).collect::<Vec<_>>()
    };
    let runs = declared().drilling(99).job(OLD, runs()).decide();
    for (outcome, reason) in [(passed(), "DrillPassed"), (failed(), "DrillFailed")] {
        let scene = declared().after(&runs).job(OLD, JobState::Ended(outcome));
        let ended = scene.decide();
        assert_eq!(names(&runs, &ended), [reason]);
        assert_eq!(names(&ended, &declared().after(&ended).decide()), [""; 0]);
    }
    let encrypted = idle(json!({"encryption": {"recipients": [RECIPIENT]}}));
    let obstacle = encrypted.decide();
    assert_eq!(names(&declared().decide(), &obstacle), ["DrillNeedsIdentity"]);
    assert_eq!(names(&obstacle, &encrypted.after(&obstacle).decide()), [""; 0]);
}
