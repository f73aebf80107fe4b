//! Events while a restore is in progress, and restores of new instances.

use mai_contract::job::{Outcome as JobOutcome, SwapStep};

use super::backup::{NEW, OLD, remove, runs, verified};
use super::restore::{
    BACKUP, RESTORE, down, id, record, restore, restore_source, shown, stop, swap, unpack, unpacked, up,
};
use super::*;
use crate::api::{ConditionKind, KeptData, RestoreCause, RestoreStep};
use crate::core::{JobRequest, JobState, JobWork};

use RestoreStep::{
    BackingUp, Completed, Discarding, Failed, Returning, Skipped, Starting, Stopping, StoppingAgain, Swapping,
    Unpacking,
};

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
            fleet: FleetTurn::Free,
            counts: None,
            backup_problem: None,
            backup_corrected: false,
            random: 42,
            key: scene.key.clone(),
        });
        assert_eq!((unknown.action, unknown.memory), (Action::Wait, scene.memory), "{step}");
    }
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
    // One that was asked for before it could not be taken back.
    let mut stale = up().restoring(Completed).requests(BACKUP);
    stale.restore_mut().kept_until = Some(at(-99));
    let Action::AnswerRestore(answer) = stale.decide().action else { panic!() };
    assert!(answer.message.contains("ask again"), "{}", answer.message);
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
    let work = JobWork::Restore { restore: id(NEW), source: Box::new(restore_source()), keeps_data: true };
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
        ("kept data", of_new_instance(Unpacking).ended(JobOutcome::DataKept), remove(OLD), Skipped),
        ("kept", of_new_instance(Skipped), Action::Start, Skipped),
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
fn request_replaces_data_that_a_new_instance_kept() {
    let running = Scene { presence: up().presence, ..of_new_instance(Skipped) };
    let asked = running.requests(BACKUP).decide();
    assert_eq!((record(&asked).id.as_str(), record(&asked).cause), (BACKUP, RestoreCause::Request));
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
