//! Restores as a table: each step and each disturbance on the left, the action and the step that
//! follows on the right.

use mai_contract::job::{BackupId, Outcome as JobOutcome, RestoreReport, StoreResult, SwapStep};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::backup::{NEW, OLD, failed, remove, report, runs, verified};
use super::*;
use crate::api::{BackupStatus, ConditionKind, KeptData, RestoreCause, RestoreSource, RestoreStatus, RestoreStep};
use crate::core::{JobRequest, JobState, JobWork, RestoreRequest};
use crate::reconcile::restore_record::{KEPT, event};

use RestoreStep::{
    BackingUp, Completed, Discarding, Failed, Returning, Starting, Stopping, StoppingAgain, Swapping, Unpacking,
};

/// Id of the restore.
pub(super) const RESTORE: &str = "19700112-130000-0000aa";
/// Backup that it brings back.
pub(super) const BACKUP: &str = "19700110-020000-0000bb";

pub(super) fn id(text: &str) -> BackupId {
    text.parse().unwrap()
}

pub(super) fn restore(step: RestoreStep) -> RestoreStatus {
    let source = RestoreSource { backup: Some(BACKUP.into()), ..RestoreSource::default() };
    let begun = RestoreStatus::begun(&id(RESTORE), RestoreCause::Request, source, "asked for it", at(900));
    let is_unpacked = step != Unpacking;
    RestoreStatus {
        step,
        step_since: at(20),
        backup: is_unpacked.then(|| BACKUP.into()),
        taken_at: is_unpacked.then(|| at(200_000)),
        safety_backup: matches!(step, Swapping | Starting | StoppingAgain | Returning).then(|| OLD.into()),
        message: if matches!(step, StoppingAgain | Returning | Discarding) {
            "boom".into()
        } else {
            begun.message.clone()
        },
        ..begun
    }
}

impl Scene {
    pub(super) fn restoring(mut self, step: RestoreStep) -> Self {
        self.memory.restore = Some(restore(step));
        self
    }

    /// The job of the present step was started and is in this state.
    pub(super) fn working(self, state: JobState) -> Self {
        let mut scene = self.job(OLD, state);
        scene.restore_mut().job = Some(OLD.into());
        scene
    }

    pub(super) fn ended(self, outcome: JobOutcome) -> Self {
        self.working(JobState::Ended(outcome))
    }

    pub(super) fn attempted(mut self, failures: i32, ago: i64) -> Self {
        let restore = self.restore_mut();
        (restore.failures, restore.step_since, restore.problem) = (failures, at(ago), "boom".into());
        self
    }

    pub(super) fn restore_mut(&mut self) -> &mut RestoreStatus {
        self.memory.restore.as_mut().unwrap()
    }

    pub(super) fn paused(mut self) -> Self {
        self.instance.metadata.annotations = Some(BTreeMap::from([(PAUSED.to_owned(), "true".to_owned())]));
        self
    }

    pub(super) fn requests(mut self, restore: &str) -> Self {
        self.jobs.restore_request = Some(request(restore));
        self
    }

    pub(super) fn blocked(mut self) -> Self {
        self.blocked = Some(Blocked { reason: Reason::MissingSecret, message: "Secret x is not there".into() });
        self
    }
}

fn request(restore: &str) -> RestoreRequest {
    RestoreRequest { id: id(restore), source: restore_source(), reason: "MaiRestore a asked for it".into() }
}

pub(super) fn restore_source() -> RestoreSource {
    restore(Unpacking).source
}

pub(super) fn up() -> Scene {
    Scene::running(ready(), 99)
}

pub(super) fn down() -> Scene {
    Scene::new(stopped())
}

fn start_work(step: RestoreStep, work: JobWork) -> Action {
    Action::StartJob(JobRequest { name: NEW.into(), reason: format!("restore {RESTORE}, {step}"), work })
}

pub(super) fn swap(step: RestoreStep, swap: SwapStep) -> Action {
    start_work(step, JobWork::Swap { restore: id(RESTORE), step: swap })
}

pub(super) fn unpack() -> Action {
    start_work(
        Unpacking,
        JobWork::Restore { restore: id(RESTORE), source: Box::new(restore_source()), keeps_data: false },
    )
}

pub(super) fn stop() -> Action {
    Action::Stop("its data is being restored".into())
}

pub(super) fn unpacked(replaces_data: bool) -> JobOutcome {
    JobOutcome::Restored(RestoreReport {
        id: id(RESTORE),
        backup: Some(id(BACKUP)),
        taken_at: Some(at(200_000)),
        data_bytes: 9,
        files: 2,
        databases: 1,
        replaces_data,
        remarks: Vec::new(),
    })
}

fn unverified() -> JobOutcome {
    report(&[("backups", StoreResult::Failed("disk full".into()))], 9)
}

pub(super) fn record(decision: &Decision) -> RestoreStatus {
    decision.memory.restore.clone().unwrap()
}

pub(super) fn shown(decision: &Decision, kind: ConditionKind) -> Condition {
    decision.status.condition(kind).unwrap().clone()
}

#[test]
fn each_step_of_a_restore_leads_to_the_next() {
    let lost = || JobState::Lost("killed".into());
    let suspended = || down().spec(json!({"suspend": true}));
    for (name, scene, action, step) in [
        ("begins", up().restoring(Unpacking), unpack(), Unpacking),
        ("unpacks", up().restoring(Unpacking).working(runs()), Action::Wait, Unpacking),
        ("unpacked", up().restoring(Unpacking).ended(unpacked(true)), remove(OLD), Stopping),
        ("unpacked, server down", suspended().restoring(Unpacking).ended(unpacked(true)), remove(OLD), Stopping),
        ("unpacked, no data before", suspended().restoring(Unpacking).ended(unpacked(false)), remove(OLD), Swapping),
        ("cannot be unpacked", up().restoring(Unpacking).ended(failed()), remove(OLD), Discarding),
        ("other work", up().restoring(Unpacking).ended(JobOutcome::Swapped), remove(OLD), Discarding),
        ("server runs", up().restoring(Stopping), stop(), Stopping),
        ("server is ending", Scene::new(Presence::Stopping).restoring(Stopping), Action::Wait, Stopping),
        ("server is down", down().restoring(Stopping), start_work(BackingUp, JobWork::SafetyBackup), BackingUp),
        ("backed up", down().restoring(BackingUp).ended(verified()), remove(OLD), Swapping),
        ("not backed up", down().restoring(BackingUp).ended(failed()), remove(OLD), Discarding),
        ("not verified", down().restoring(BackingUp).ended(unverified()), remove(OLD), Discarding),
        ("swap", down().restoring(Swapping), swap(Swapping, SwapStep::Forward), Swapping),
        ("swapped", down().restoring(Swapping).ended(JobOutcome::Swapped), remove(OLD), Starting),
        ("swap failed", down().restoring(Swapping).ended(failed()), remove(OLD), Swapping),
        ("swap failed often", down().restoring(Swapping).attempted(4, 9).ended(failed()), remove(OLD), Returning),
        ("start", Scene::new(Presence::Absent).restoring(Starting), Action::Start, Starting),
        ("starts", Scene::running(starting(), 1).restoring(Starting), Action::Wait, Starting),
        ("ready", up().restoring(Starting), Action::Wait, Completed),
        ("not ready in time", Scene::running(starting(), 60).restoring(Starting), stop(), StoppingAgain),
        ("is ending again", Scene::new(Presence::Stopping).restoring(StoppingAgain), Action::Wait, StoppingAgain),
        ("down again", down().restoring(StoppingAgain), swap(Returning, SwapStep::Back), Returning),
        ("returned", down().restoring(Returning).ended(JobOutcome::Swapped), remove(OLD), Failed),
        ("not returned", down().restoring(Returning).attempted(99, 9).working(lost()), remove(OLD), Returning),
        ("discard", up().restoring(Discarding), swap(Discarding, SwapStep::Discard), Discarding),
        ("discarded", up().restoring(Discarding).ended(JobOutcome::Swapped), remove(OLD), Failed),
        ("not discarded", up().restoring(Discarding).attempted(2, 9).working(lost()), remove(OLD), Failed),
        ("suspended, unpacks", suspended().restoring(Unpacking), unpack(), Unpacking),
        ("suspended, swapped", suspended().restoring(Starting), Action::Wait, Completed),
        ("suspended, not ready", suspended().restoring(Returning), swap(Returning, SwapStep::Back), Returning),
    ] {
        let decision = scene.decide();
        assert_eq!((&decision.action, record(&decision).step), (&action, step), "{name}");
        assert_eq!(decision.status.restore, decision.memory.restore, "{name}");
        let is_over = matches!(step, Completed | Failed);
        assert!(action != Action::Wait || decision.requeue_after.is_some() || is_over, "{name} would be forgotten");
        let is_replacing = step.holds_server();
        assert!(!is_replacing || !matches!(action, Action::Start | Action::Resume), "{name}");
    }
}

#[test]
fn server_is_never_started_while_its_data_is_replaced() {
    for step in [Stopping, BackingUp, Swapping, StoppingAgain, Returning] {
        for presence in [Presence::Absent, stopped()] {
            let scene = Scene::new(presence).restoring(step).exited(0, 1).failures_kept(5);
            for scene in [scene.clone(), scene.clone().working(runs()), Scene { jobs_running: 1, ..scene }] {
                let decision = scene.decide();
                assert!(!matches!(decision.action, Action::Start | Action::Resume | Action::Recreate(_)), "{step}");
                let again = scene.after(&decision).decide();
                assert_eq!(again.memory.failures, 0, "{step}: an end is no failure");
                assert_eq!(again.memory.counted_exit, Some(at(0)), "{step}");
                assert_eq!(shown(&again, ConditionKind::Ready).reason, "Restoring", "{step}");
            }
        }
        // Somebody started it.
        assert_eq!(up().restoring(step).decide().action, stop(), "{step}");
    }
}

impl Scene {
    fn failures_kept(mut self, failures: u32) -> Self {
        self.memory.failures = failures;
        self
    }
}

#[test]
fn interruption_between_any_two_steps_repeats_nothing() {
    // Each row: what is there once the action of the former decision has been done.
    let mut scene = Scene::running(ready(), 99).requests(RESTORE);
    let mut seen = Vec::new();
    type World = fn(Scene) -> Scene;
    let worlds: [(&str, World); 8] = [
        ("unpacked", |scene| scene.world(true, Some(unpacked(true)))),
        ("removed", |scene| scene.world(true, None)),
        ("stopped", |scene| scene.world(false, None)),
        ("backed up", |scene| scene.world(false, Some(verified()))),
        ("removed", |scene| scene.world(false, None)),
        ("swapped", |scene| scene.world(false, Some(JobOutcome::Swapped))),
        ("removed", |scene| scene.world(false, None)),
        ("started", |scene| scene.world(true, None)),
    ];
    for (name, become_next) in worlds {
        let first = scene.decide();
        // Killed before it was recorded: the same is decided again.
        assert_eq!(scene.decide(), first, "{name}");
        let recorded = scene.clone().after(&first);
        // Killed after that and before it was done: nothing else is begun.
        let second = recorded.decide();
        match (&first.action, &second.action) {
            (Action::StartJob(_), Action::Wait) => {}
            // A job whose end is recorded can be removed at any time before the next.
            (Action::RemoveJob(_), Action::Stop(_) | Action::Resume) => {}
            (one, other) => assert_eq!(one, other, "{name}"),
        }
        assert_eq!(record(&second).step, record(&first).step, "{name}");
        seen.push(first.action);
        scene = become_next(recorded);
    }
    let done = scene.decide();
    assert_eq!(record(&done).step, Completed);
    assert_eq!(done.action, Action::AnswerRestore(Box::new(record(&done))));
    let names: Vec<&str> = seen
        .iter()
        .map(|action| match action {
            Action::StartJob(_) => "start",
            Action::RemoveJob(_) => "remove",
            Action::Stop(_) => "stop",
            Action::Start | Action::Resume => "server",
            _ => "other",
        })
        .collect();
    assert_eq!(names, ["start", "remove", "stop", "start", "remove", "start", "remove", "server"]);
}

impl Scene {
    /// The server runs or not, and the job of the present step has ended or is gone.
    fn world(mut self, is_up: bool, outcome: Option<JobOutcome>) -> Self {
        self.presence = if is_up { Presence::Running { since: at(5), readiness: ready() } } else { stopped() };
        let name = self.memory.restore.as_ref().and_then(|restore| restore.job.clone());
        self.jobs.current = None;
        match (outcome, name) {
            (Some(outcome), Some(name)) => self.job(&name, JobState::Ended(outcome)),
            _ => self,
        }
    }
}

#[test]
fn job_whose_end_is_recorded_is_removed_and_no_backup() {
    for state in [JobState::Ended(JobOutcome::Swapped), JobState::Lost("killed".into()), runs()] {
        let scene = down().backed_up().restoring(Swapping).working(state);
        let mut scene = scene.clone();
        scene.restore_mut().job = None;
        let decision = scene.decide();
        assert_eq!((decision.action, decision.memory.backup), (remove(OLD), BackupStatus::default()));
        assert_eq!(decision.memory.restore, scene.memory.restore);
    }
}

#[test]
fn lost_job_is_repeated_after_a_while() {
    let lost = || JobState::Lost("killed".into());
    for (step, scene, gives_up_after, then) in [
        (Unpacking, up(), 3, Discarding),
        (BackingUp, down(), 3, Discarding),
        (Swapping, down(), 5, Returning),
        (Discarding, up(), 3, Failed),
        (Returning, down(), i32::MAX, Returning),
    ] {
        let first = scene.clone().restoring(step).working(lost()).decide();
        assert_eq!((first.action.clone(), record(&first).failures), (remove(OLD), 1), "{step}");
        // Not at once.
        let once = scene.clone().restoring(step).attempted(1, 0).decide();
        assert_eq!((once.action, once.requeue_after), (Action::Wait, Some(Duration::from_secs(1))), "{step}");
        let mut waiting = scene.clone().restoring(step).attempted(2, 0);
        let decision = waiting.decide();
        let delay = Duration::from_secs(if step.holds_server() { 2 } else { 300 });
        assert_eq!((decision.action.clone(), decision.requeue_after), (Action::Wait, Some(delay)), "{step}");
        let reason = if step.holds_server() { "RestoreFailed" } else { "Ready" };
        assert_eq!(shown(&decision, ConditionKind::Ready).reason, reason, "{step}");
        waiting.restore_mut().step_since = at(300);
        assert!(matches!(waiting.decide().action, Action::StartJob(_)), "{step}");
        // Not for ever where nothing is half replaced.
        for (failures, next) in [(gives_up_after - 2, step), (gives_up_after - 1, then)] {
            let decision = scene.clone().restoring(step).attempted(failures, 9).working(lost()).decide();
            assert_eq!(record(&decision).step, next, "{step} after {failures}");
        }
    }
}

#[test]
fn job_that_never_shows_or_hangs_is_lost() {
    let started = |ago| {
        let mut scene = up().restoring(Unpacking);
        let restore = scene.restore_mut();
        (restore.job, restore.step_since) = (Some(OLD.into()), at(ago));
        scene
    };
    assert_eq!(started(29).decide().requeue_after, Some(Duration::from_secs(1)));
    let gone = started(30).decide();
    assert_eq!((gone.action.clone(), record(&gone).failures), (remove(OLD), 1));
    assert_eq!(started(86_400).job(OLD, runs()).decide().action, Action::Wait);
    let hangs = started(86_401).job(OLD, runs()).decide();
    assert_eq!((hangs.action.clone(), record(&hangs).failures), (remove(OLD), 1));
    for (scene, runs) in [(started(29), true), (started(30), false), (started(99).job(OLD, runs()), true)] {
        assert_eq!(job_runs(Some(&scene.observed()), &scene.memory, at(0)), runs);
        assert!(job_runs(None, &scene.memory, at(0)));
    }
}

#[test]
fn start_that_fails_puts_the_former_data_back() {
    let stalled_for = |seconds, mut scene: Scene| {
        let mut conditions = crate::api::Conditions::from_previous(&[], Some(3), at(seconds));
        conditions.set(ConditionKind::Stalled, Some(true), Reason::ApplyFailed, "the engine refuses it");
        scene.previous.conditions = conditions.into_vec();
        scene.restore_mut().step_since = at(9000);
        scene
    };
    let waiting = |cause, ago| {
        Scene::running(Readiness::Waiting(Fault { cause, detail: "the cluster's words".into() }), ago)
            .restoring(Starting)
    };
    let too_new = |failures| down().failures(failures, 1).restoring(Starting).exited(1, 65);
    let crashed = |failures| down().failures(failures, 1).restoring(Starting).exited(1, 1);
    let missing = Scene { missing: Some("image a:1".into()), ..stalled_for(600, down().restoring(Starting)) };
    for (name, scene, cause) in [
        ("second crash", crashed(2), None),
        ("crash loop", crashed(3), Some("the server ended with exit code 1; its last line was: boom")),
        ("data too new", too_new(1), Some("a newer version of the server wrote the data")),
        ("data was too new before", too_new(0), None),
        ("within its start period", Scene::running(starting(), 59).restoring(Starting), None),
        (
            "not ready in time",
            Scene::running(starting(), 60).restoring(Starting),
            Some("not ready 60s after its start"),
        ),
        ("replaced, not ready", Scene::running(starting(), 60).replaced().restoring(Starting), None),
        ("pod starts", waiting(Cause::Starting, 59), None),
        ("pod is not ready", waiting(Cause::Unhealthy, 60), Some("the cluster's words")),
        ("pod crashes", waiting(Cause::CrashLoop, 1), Some("the cluster's words")),
        ("pod finds its data too new", waiting(Cause::DataTooNew, 1), Some("the cluster's words")),
        ("no node", waiting(Cause::Unschedulable, 90), None),
        ("refused", stalled_for(599, down().restoring(Starting)), None),
        ("refused for long", stalled_for(600, down().restoring(Starting)), Some("the engine refuses it")),
        ("its image is missing", missing, None),
    ] {
        let decision = scene.decide();
        let expected = if cause.is_some() { StoppingAgain } else { Starting };
        let step = record(&decision).step;
        let step = if step == Returning { StoppingAgain } else { step };
        assert_eq!(step, expected, "{name}");
        if let Some(cause) = cause {
            assert!(record(&decision).message.contains(cause), "{name}: {}", record(&decision).message);
        }
    }
    // Until it is back the cause is told, and then as well.
    let scene = down().restoring(Returning).ended(JobOutcome::Swapped);
    let decision = scene.decide();
    assert_eq!(record(&decision).message, "boom; the data before it is in its place again");
    let event = event(&down().restoring(Returning).decide().status, &decision.status).unwrap();
    assert_eq!((event.kind, event.reason), (crate::core::EventKind::Warning, "RestoreFailed"));
    assert!(event.message.contains("boom"), "{}", event.message);
}

#[test]
fn completed_restore_tells_what_is_kept_and_until_when() {
    let scene = up().restoring(Starting);
    let decision = scene.decide();
    let until = at(0).checked_add(KEPT).unwrap();
    assert_eq!(record(&decision).kept_until, Some(until));
    assert_eq!(
        record(&decision).message,
        format!(
            "the data of backup {BACKUP} of 1970-01-10 06:13 UTC is in place; the data before it is kept until 1970-01-19 13:46 UTC, and is backup {OLD} in the backups volume"
        )
    );
    let restored = event(&scene.previous, &decision.status).unwrap();
    assert_eq!(restored.reason, "Restored");
    assert!(event(&decision.status, &scene.after(&decision).decide().status).is_none(), "it is told once");

    let mut upgraded = up().restoring(Starting);
    (upgraded.restore_mut().cause, upgraded.restore_mut().safety_backup) = (RestoreCause::Upgrade, None);
    assert!(record(&upgraded.decide()).message.ends_with("is kept until 1970-01-19 13:46 UTC"));
    let untried = down().spec(json!({"suspend": true})).restoring(Starting).decide();
    assert!(record(&untried).message.contains("no server was started on it"));
    let mut first = up().restoring(Starting);
    first.restore_mut().safety_backup = None;
    assert_eq!(record(&first.decide()).kept_until, Some(at(0)), "nothing was replaced");
}

#[test]
fn upgrade_makes_no_safety_backup() {
    let mut scene = down().restoring(Stopping);
    scene.restore_mut().cause = RestoreCause::Upgrade;
    assert_eq!(scene.decide().action, swap(Swapping, SwapStep::Forward));
}

#[test]
fn kept_data_is_removed_after_its_time() {
    let kept = |scene: Scene, until_ago: i64| {
        let mut scene = scene.restoring(Completed);
        scene.restore_mut().kept_until = Some(at(until_ago));
        scene
    };
    let early = kept(up(), -500).decide();
    assert_eq!((early.action, early.requeue_after), (Action::Wait, Some(Duration::from_secs(500))));
    assert_eq!(kept(up(), 0).decide().action, swap(Completed, SwapStep::Discard));
    let gone = kept(up(), 0).ended(JobOutcome::Swapped).decide();
    assert_eq!((gone.action.clone(), record(&gone).kept_until), (remove(OLD), None));
    let scene = kept(up(), 0).ended(failed());
    let failed = scene.decide();
    assert_eq!((record(&failed).kept_until, record(&failed).failures), (Some(at(0)), 1), "it is tried again");
    assert_eq!(shown(&failed, ConditionKind::Ready).status, "True");
    // A backup goes first.
    let due = kept(up().backed_up(), 0).decide();
    assert!(matches!(due.action, Action::StartJob(JobRequest { work: JobWork::Backup, .. })), "{}", due.action);

    // That of an earlier restore as well.
    let mut scene = kept(up(), -500);
    scene.restore_mut().earlier = vec![KeptData { restore: BACKUP.into(), until: at(1) }];
    let Action::StartJob(request) = scene.decide().action else { panic!() };
    assert_eq!(request.work, JobWork::Swap { restore: id(BACKUP), step: SwapStep::Discard });
    let gone = scene.ended(JobOutcome::Swapped).decide();
    assert_eq!((record(&gone).earlier.len(), record(&gone).kept_until), (0, Some(at(-500))));
}

#[test]
fn second_decision_while_a_restore_waits_changes_nothing() {
    for scene in [
        up().restoring(Unpacking).working(runs()),
        up().restoring(Unpacking).attempted(1, 0),
        down().restoring(Swapping).attempted(1, 0),
        Scene::running(starting(), 1).restoring(Starting),
        up().restoring(Completed),
        up().restoring(Failed),
        Scene { jobs_running: 1, ..down().restoring(Stopping) },
    ] {
        let first = scene.decide();
        let second = scene.after(&first).decide();
        assert_eq!((second.status, second.memory), (first.status, first.memory));
    }
}
