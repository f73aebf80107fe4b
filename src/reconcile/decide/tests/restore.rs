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
const RESTORE: &str = "19700112-130000-0000aa";
/// Backup that it brings back.
const BACKUP: &str = "19700110-020000-0000bb";

fn id(text: &str) -> BackupId {
    text.parse().unwrap()
}

fn restore(step: RestoreStep) -> RestoreStatus {
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
    fn restoring(mut self, step: RestoreStep) -> Self {
        self.memory.restore = Some(restore(step));
        self
    }

    /// The job of the present step was started and is in this state.
    fn working(self, state: JobState) -> Self {
        let mut scene = self.job(OLD, state);
        scene.restore_mut().job = Some(OLD.into());
        scene
    }

    fn ended(self, outcome: JobOutcome) -> Self {
        self.working(JobState::Ended(outcome))
    }

    fn attempted(mut self, failures: i32, ago: i64) -> Self {
        let restore = self.restore_mut();
        (restore.failures, restore.step_since, restore.problem) = (failures, at(ago), "boom".into());
        self
    }

    fn restore_mut(&mut self) -> &mut RestoreStatus {
        self.memory.restore.as_mut().unwrap()
    }

    fn paused(mut self) -> Self {
        self.instance.metadata.annotations = Some(BTreeMap::from([(PAUSED.to_owned(), "true".to_owned())]));
        self
    }

    fn requests(mut self, restore: &str) -> Self {
        self.jobs.restore_request = Some(request(restore));
        self
    }

    fn blocked(mut self) -> Self {
        self.blocked = Some(Blocked { reason: Reason::MissingSecret, message: "Secret x is not there".into() });
        self
    }
}

fn request(restore: &str) -> RestoreRequest {
    RestoreRequest { id: id(restore), source: restore_source(), reason: "MaiRestore a asked for it".into() }
}

fn restore_source() -> RestoreSource {
    restore(Unpacking).source
}

fn up() -> Scene {
    Scene::running(ready(), 99)
}

fn down() -> Scene {
    Scene::new(stopped())
}

fn start_work(step: RestoreStep, work: JobWork) -> Action {
    Action::StartJob(JobRequest { name: NEW.into(), reason: format!("restore {RESTORE}, {step}"), work })
}

fn swap(step: RestoreStep, swap: SwapStep) -> Action {
    start_work(step, JobWork::Swap { restore: id(RESTORE), step: swap })
}

fn unpack() -> Action {
    start_work(Unpacking, JobWork::Restore { restore: id(RESTORE), source: restore_source() })
}

fn stop() -> Action {
    Action::Stop("its data is being restored".into())
}

fn unpacked(replaces_data: bool) -> JobOutcome {
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

fn record(decision: &Decision) -> RestoreStatus {
    decision.memory.restore.clone().unwrap()
}

fn shown(decision: &Decision, kind: ConditionKind) -> Condition {
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
    let worlds: [(&str, fn(Scene) -> Scene); 8] = [
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
        let mut waiting = scene.clone().restoring(step).attempted(1, 0);
        let decision = waiting.decide();
        assert_eq!(decision.action, Action::Wait, "{step}");
        let delay = decision.requeue_after.unwrap();
        assert!(if step.holds_server() { delay == Duration::from_secs(1) } else { delay == Duration::from_secs(300) });
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
fn pause_maintenance_and_failed_observation_move_nothing() {
    for step in [Unpacking, Stopping, BackingUp, Swapping, Starting, StoppingAgain, Returning, Discarding] {
        let scene = down().restoring(step);
        let held = Scene { maintenance: Some("mai reset (process 7)".into()), ..scene.clone() };
        for disturbed in [scene.clone().paused(), held] {
            let decision = disturbed.decide();
            assert_eq!(
                (decision.action, decision.memory.restore),
                (Action::Wait, scene.memory.restore.clone()),
                "{step}"
            );
        }
        let unknown = decide(&Facts {
            instance: &scene.instance,
            desired: Ok(&workload(&scene.instance)),
            observed: Err("the engine does not answer"),
            memory: &scene.memory,
            previous: &scene.previous,
            platform: Platform::PROCESS,
            now: at(0),
            jobs_running: 0,
            random: 42,
        });
        assert_eq!((unknown.action, unknown.memory), (Action::Wait, scene.memory), "{step}");
    }
}

#[test]
fn deletion_leaves_no_data_half_replaced() {
    let removed = |scene: Scene| scene.deleted().decide();
    for (name, scene, action) in [
        ("unpacks", up().restoring(Unpacking).working(runs()), remove(OLD)),
        ("unpacked", up().restoring(Stopping), Action::Stop("the document was removed".into())),
        ("is backed up", down().restoring(BackingUp).working(runs()), remove(OLD)),
        ("not swapped yet", down().restoring(Swapping), Action::Remove),
        ("swaps", down().restoring(Swapping).working(runs()), Action::Wait),
        ("swap failed", down().restoring(Swapping).attempted(1, 9), swap(Swapping, SwapStep::Forward)),
        ("swapped", down().restoring(Starting), Action::Remove),
        ("not ready", up().restoring(StoppingAgain), stop()),
        ("returns", down().restoring(Returning), swap(Returning, SwapStep::Back)),
        ("returned", down().restoring(Failed), Action::Remove),
        ("completed", down().restoring(Completed), Action::Remove),
    ] {
        assert_eq!(removed(scene.clone()).action, action, "{name}");
        // Where the data goes as well, nothing is waited for.
        let mut scene = scene.deleted();
        scene.instance.spec.deletion_policy = crate::api::DeletionPolicy::Delete;
        let decision = scene.decide();
        assert!(!matches!(decision.action, Action::Wait | Action::StartJob(_)), "{name}: {}", decision.action);
    }
}

#[test]
fn blocked_document_stops_no_server_and_is_shown() {
    let unpacked = up().restoring(Stopping).blocked().decide();
    assert_eq!((unpacked.action.clone(), record(&unpacked).step), (Action::Wait, Stopping));
    assert_eq!(shown(&unpacked, ConditionKind::Stalled).reason, "MissingSecret");
    // Once it is stopped, the data is replaced, and nothing is put back for it.
    assert!(matches!(down().restoring(Stopping).blocked().decide().action, Action::StartJob(_)));
    let mut swapped = down().restoring(Starting).blocked();
    swapped.restore_mut().step_since = at(90_000);
    let decision = swapped.decide();
    assert_eq!((decision.action.clone(), record(&decision).step), (Action::Wait, Starting));
    assert_eq!(shown(&decision, ConditionKind::Stalled).reason, "MissingSecret");
    assert!(decision.requeue_after.is_some());
    assert_eq!(record(&up().restoring(Starting).blocked().decide()).step, Completed, "it answers");
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
    let crashed = |failures| down().failures(failures, 1).restoring(Starting).exited(1, 1);
    let missing = Scene { missing: Some("image a:1".into()), ..stalled_for(600, down().restoring(Starting)) };
    for (name, scene, cause) in [
        ("second crash", crashed(2), None),
        ("crash loop", crashed(3), Some("the server ended with exit code 1; its last line was: boom")),
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
fn request_begins_one_restore_and_a_second_is_refused() {
    let first = up().requests(RESTORE).decide();
    assert_eq!((first.action.clone(), record(&first).step), (unpack(), Unpacking));
    assert_eq!(record(&first).message, "MaiRestore a asked for it");
    for step in [Unpacking, Swapping, Starting, Discarding] {
        let scene = if step == Swapping { down() } else { Scene::running(starting(), 1) };
        let scene = scene.restoring(step).requests(NEW);
        let decision = scene.decide();
        let Action::AnswerRestore(answer) = decision.action else { panic!("{step}: {}", decision.action) };
        assert_eq!((answer.id.as_str(), answer.step), (NEW, Failed));
        assert!(answer.message.contains(RESTORE), "{}", answer.message);
        assert_eq!(decision.memory.restore, scene.memory.restore, "{step}");
    }
    // Its own is answered once it has ended.
    assert_eq!(up().restoring(Unpacking).working(runs()).requests(RESTORE).decide().action, Action::Wait);
    for step in [Completed, Failed] {
        let scene = up().restoring(step).requests(RESTORE);
        assert_eq!(scene.decide().action, Action::AnswerRestore(Box::new(restore(step))));
        assert_eq!(scene.clone().paused().decide().action, Action::Wait);
    }
}

#[test]
fn next_restore_keeps_what_the_former_keeps() {
    let mut scene = up().restoring(Completed).requests(NEW);
    scene.restore_mut().kept_until = Some(at(-99));
    let begun = scene.decide();
    assert_eq!((record(&begun).id.as_str(), record(&begun).kept_until), (NEW, None));
    assert_eq!(record(&begun).earlier, [KeptData { restore: RESTORE.into(), until: at(-99) }]);
    // Not while a job of the former works.
    let busy = scene.working(runs()).decide();
    assert_eq!((busy.action.clone(), record(&busy).id.as_str()), (Action::Wait, RESTORE));
}

#[test]
fn backup_waits_while_a_restore_is_in_progress() {
    for (scene, step) in [(up(), Unpacking), (down(), Swapping), (down(), Returning), (up(), Discarding)] {
        let scene = scene.backed_up().request(NEW).restoring(step);
        let Action::StartJob(request) = scene.decide().action else { panic!("{step}") };
        assert_ne!(request.work, JobWork::Backup, "{step}");
        assert_eq!(scene.attempted(1, 0).decide().action, Action::Wait, "{step}");
    }
    let starting = Scene::running(starting(), 1).backed_up().restoring(Starting).decide();
    assert_eq!(starting.action, Action::Wait);
    // One that runs already ends first.
    let scene = up().backed_up().started(OLD, 9).job(OLD, runs()).restoring(Unpacking);
    assert_eq!(scene.decide().action, Action::Wait);
    let after = scene.job(OLD, JobState::Ended(verified())).decide();
    assert_eq!((after.action.clone(), record(&after).step), (remove(OLD), Unpacking));
    assert!(after.memory.backup.last_verified.is_some());
    let waits = Scene { jobs_running: 1, ..up().restoring(Unpacking) }.decide();
    assert_eq!((waits.action.clone(), waits.requeue_after), (Action::Wait, Some(QUEUE_INTERVAL)));
    assert!(shown(&waits, ConditionKind::Reconciling).message.contains("has not been started yet"));
}

#[test]
fn restore_is_shown_beside_a_server_that_is_ready() {
    let decision = up().restoring(Unpacking).working(runs()).decide();
    assert_eq!(shown(&decision, ConditionKind::Ready).status, "True");
    let reconciling = shown(&decision, ConditionKind::Reconciling);
    assert_eq!((reconciling.status.as_str(), reconciling.reason.as_str()), ("True", "Restoring"));
    let starts = Scene::running(starting(), 1).restoring(Starting).decide();
    let ready = shown(&starts, ConditionKind::Ready);
    assert_eq!(
        (ready.reason.as_str(), shown(&starts, ConditionKind::Reconciling).reason.as_str()),
        ("Restoring", "Restoring")
    );
    assert!(ready.message.ends_with("the server was started and is not ready yet"), "{}", ready.message);
    let over = up().restoring(Completed).decide();
    assert_eq!(shown(&over, ConditionKind::Reconciling).status, "False");
    let suspended = down().spec(json!({"suspend": true})).restoring(Unpacking).working(runs()).decide();
    assert_eq!(shown(&suspended, ConditionKind::Ready).reason, "Suspended");
    assert_eq!(shown(&suspended, ConditionKind::Reconciling).reason, "Restoring");
}

#[test]
fn edited_document_is_applied_once_the_data_is_in_place() {
    assert_eq!(up().differs().restoring(Unpacking).decide().action, Action::Recreate(changes()));
    for step in [Stopping, BackingUp, Swapping, Returning] {
        let action = down().differs().restoring(step).decide().action;
        assert!(matches!(action, Action::StartJob(_)), "{step}: {action}");
    }
    assert_eq!(down().differs().restoring(Starting).decide().action, Action::Recreate(changes()));
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

/// A new instance whose document names a backup.
fn new_instance() -> Scene {
    let mut scene = Scene::new(Presence::Absent);
    scene.instance.spec.restore_from = Some(restore_source());
    scene.instance.metadata.creation_timestamp = Some(Time(at(3)));
    scene
}

fn of_new_instance(step: RestoreStep) -> Scene {
    let mut scene = new_instance().restoring(step);
    scene.previous.observed_generation = Some(3);
    scene.restore_mut().cause = RestoreCause::NewInstance;
    scene
}

#[test]
fn new_instance_gets_its_data_before_its_first_start() {
    let first = new_instance().decide();
    let work = JobWork::Restore { restore: id(NEW), source: restore_source() };
    assert_eq!(
        first.action,
        Action::StartJob(JobRequest { name: NEW.into(), reason: format!("restore {NEW}, Unpacking"), work })
    );
    assert_eq!(record(&first).cause, RestoreCause::NewInstance);
    assert_eq!(shown(&first, ConditionKind::Ready).reason, "Restoring");
    // Also what cannot be worked on yet is remembered to be new.
    for scene in [new_instance().paused(), new_instance().blocked(), Scene { jobs_running: 1, ..new_instance() }] {
        assert_eq!(record(&scene.decide()).cause, RestoreCause::NewInstance);
    }
    let mut undeclared = new_instance();
    undeclared.instance.spec.restore_from = None;
    assert_eq!(undeclared.decide().action, Action::Start);
    let mut known = new_instance();
    known.previous.observed_generation = Some(3);
    assert_eq!(known.decide().action, Action::Start, "it was there before");
    let running = Scene { presence: up().presence, ..new_instance() };
    assert_eq!(running.decide().memory.restore, None, "it runs already");

    for (name, scene, action, step) in [
        ("unpacks", of_new_instance(Unpacking).working(runs()), Action::Wait, Unpacking),
        ("unpacked", of_new_instance(Unpacking).ended(unpacked(false)), remove(OLD), Swapping),
        ("over data that is there", of_new_instance(Unpacking).ended(unpacked(true)), remove(OLD), Stopping),
        ("its volumes", of_new_instance(Unpacking).differs_in_auxiliary(), Action::Update(auxiliary()), Unpacking),
        ("is to be discarded", of_new_instance(Discarding), swap(Discarding, SwapStep::Discard), Discarding),
        ("swapped", of_new_instance(Starting), Action::Start, Starting),
        ("over", of_new_instance(Completed), Action::Start, Completed),
    ] {
        let decision = scene.decide();
        assert_eq!((&decision.action, record(&decision).step), (&action, step), "{name}");
    }
}

#[test]
fn new_instance_without_its_data_waits_and_tries_again() {
    let failed = |ended_ago| {
        let mut scene = of_new_instance(Failed);
        scene.instance.metadata.creation_timestamp = Some(Time(at(ended_ago + 40)));
        let restore = scene.restore_mut();
        (restore.ended_at, restore.message) = (Some(at(ended_ago)), "Secret s3 is not there".into());
        scene
    };
    let decision = failed(10).decide();
    assert_eq!((decision.action.clone(), decision.requeue_after), (Action::Wait, Some(Duration::from_secs(30))));
    let stalled = shown(&decision, ConditionKind::Stalled);
    assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", "RestoreFailed"));
    assert!(stalled.message.contains("Secret s3 is not there") && stalled.message.contains("spec.restoreFrom"));
    let again = failed(40).decide();
    assert_eq!((record(&again).id.as_str(), record(&again).step), (NEW, Unpacking));
    assert_eq!(record(&again).cause, RestoreCause::NewInstance);
    // Another source is tried at once, none at all starts it without data.
    let mut corrected = failed(1);
    corrected.instance.spec.restore_from.as_mut().unwrap().backup = Some(OLD.into());
    assert_eq!(record(&corrected.decide()).source.backup.as_deref(), Some(OLD));
    let mut given_up = failed(1);
    given_up.instance.spec.restore_from = None;
    assert_eq!(given_up.decide().action, Action::Start);
    // It does not start empty either when a person asks for another one.
    let asked = failed(1).requests(BACKUP).decide();
    assert_eq!((record(&asked).id.as_str(), record(&asked).cause), (BACKUP, RestoreCause::NewInstance));
}
