//! The return of image and data after a failed upgrade, step by step.

use super::backup::runs;
use super::upgrade::another_image;
use super::*;
use crate::api::{RestoreCause, RestoreStatus, RestoreStep, UpgradeStep};

/// A new image that has just failed: its data is about to be returned.
fn failed() -> Scene {
    let mut scene = Scene::on_trial(starting(), 61, UpgradeStep::Replacing);
    let decision = scene.step();
    assert_eq!(decision.action, Action::Stop("not ready 60s after its start: connection refused".into()));
    scene
}

fn restore(scene: &mut Scene) -> &mut RestoreStatus {
    scene.memory.restore.as_mut().unwrap()
}

/// The failed server was stopped, and the restore is in this step.
fn in_step(step: RestoreStep) -> Scene {
    let mut scene = failed();
    scene.presence = stopped();
    restore(&mut scene).step = step;
    scene
}

#[test]
fn failed_image_is_stopped_and_its_backup_restored() {
    let scene = failed();
    let restore = scene.memory.restore.clone().unwrap();
    assert_eq!((restore.cause, restore.step), (RestoreCause::Upgrade, RestoreStep::Unpacking));
    assert_eq!(restore.source.backup, scene.upgrade().backup);
    assert_eq!((scene.upgrade().step, scene.upgrade().failures), (UpgradeStep::ReturningData, 1));

    // Neither image serves while the data is unpacked and replaced.
    for step in [RestoreStep::Unpacking, RestoreStep::Stopping, RestoreStep::Swapping] {
        let mut again = in_step(step);
        again.presence = Presence::Running { since: at(1), readiness: starting() };
        assert!(matches!(again.decide().action, Action::Stop(_)), "{step}");
        let action = in_step(step).decide().action;
        assert!(matches!(action, Action::StartJob(_)), "{step}: {action:?}");
    }
    let stopping = in_step(RestoreStep::Stopping).decide().memory.restore.unwrap().step;
    assert_eq!(stopping, RestoreStep::Swapping, "what is there is no backup of its own worth");
}

#[test]
fn former_image_returns_on_the_restored_data() {
    let mut scene = in_step(RestoreStep::Starting);
    assert!(matches!(scene.step().action, Action::RollBack(_)));
    assert_eq!(scene.upgrade().step, UpgradeStep::ReturningData);

    (scene.retained, scene.changes) = (None, another_image());
    scene.presence = Presence::Running { since: at(1), readiness: starting() };
    assert_eq!(scene.step().action, Action::Wait);
    scene.presence = Presence::Running { since: at(2), readiness: ready() };
    let back = scene.step();
    assert_eq!(back.action, Action::Wait);
    assert_eq!(scene.upgrade().step, UpgradeStep::RolledBack);
    let (message, id) = (scene.upgrade().message.clone(), restore(&mut scene).id.clone());
    assert!(message.contains(&format!(".mai-restore/{id}/former")), "{message}");
    assert!(message.contains("the data of backup 20261130-020000-1f2e3d is back"), "{message}");
    assert_eq!(condition(&back, "UpgradeHealthy"), ("False".to_owned(), "RolledBack".to_owned()));
    assert_eq!(condition(&scene.step(), "Ready"), ("False".to_owned(), "RolledBack".to_owned()));
    let shown = scene.memory.rejected.clone().unwrap().why;
    assert_eq!(shown, message);
}

#[test]
fn former_image_returns_although_its_data_cannot() {
    // What was unpacked is removed meanwhile.
    for step in [RestoreStep::Discarding, RestoreStep::Failed] {
        let mut scene = in_step(step);
        restore(&mut scene).message = "the archive is damaged".into();
        assert!(matches!(scene.step().action, Action::RollBack(_)), "{step}");
    }
    let mut scene = in_step(RestoreStep::Failed);
    restore(&mut scene).message = "the archive is damaged".into();
    (scene.retained, scene.changes) = (None, another_image());
    scene.presence = Presence::Running { since: at(2), readiness: ready() };
    scene.step();
    assert_eq!(scene.upgrade().step, UpgradeStep::RolledBack);
    let message = &scene.upgrade().message;
    assert!(message.contains("the archive is damaged") && message.contains("mai restore DIR abc --from"), "{message}");
}

#[test]
fn former_image_that_does_not_start_keeps_the_restored_data() {
    let mut scene = in_step(RestoreStep::Starting);
    (scene.retained, scene.changes) = (None, another_image());
    scene.presence = Presence::Running { since: at(61), readiness: starting() };
    scene.step();
    assert_eq!(restore(&mut scene).step, RestoreStep::Completed);
    assert_eq!(scene.upgrade().step, UpgradeStep::RolledBack);
}

#[test]
fn return_goes_on_whatever_is_declared_meanwhile() {
    // Another document has another hash than the one that was rejected.
    let mut edited = in_step(RestoreStep::Starting);
    edited.instance = instance(json!({"displayName": "B"}));
    assert!(matches!(edited.decide().action, Action::RollBack(_)));

    let mut suspended = in_step(RestoreStep::Starting);
    suspended.instance = instance(json!({"suspend": true}));
    suspended.step();
    assert_eq!(restore(&mut suspended).step, RestoreStep::Completed);
    assert_eq!(suspended.upgrade().step, UpgradeStep::ReturningData, "the former image has not returned");
    suspended.instance = instance(json!({}));
    assert!(matches!(suspended.step().action, Action::RollBack(_)));
}

#[test]
fn upgrade_and_restore_wait_for_each_other() {
    let mut restoring = super::upgrade::upgraded(Scene::running(ready(), 99));
    let known = in_step(RestoreStep::Unpacking).memory.restore;
    restoring.memory.restore = known.map(|known| RestoreStatus { cause: RestoreCause::Request, ..known });
    let decision = restoring.step();
    assert!(matches!(decision.action, Action::StartJob(_)), "of the restore: {:?}", decision.action);
    assert_eq!(restoring.memory.upgrade, None);

    let mut on_trial = Scene::on_trial(ready(), 9, UpgradeStep::Settling);
    let id = "20261130-030000-1f2e3d".parse().unwrap();
    let request = crate::core::RestoreRequest { id, source: Default::default(), reason: "asked".into() };
    on_trial.jobs.restore_request = Some(request);
    match on_trial.decide().action {
        Action::AnswerRestore(answer) => assert!(answer.message.contains("upgraded"), "{}", answer.message),
        other => panic!("{other:?}"),
    }
    // No other backup is made while a new image is on trial.
    let due = Scene::on_trial(ready(), 9, UpgradeStep::Settling).backed_up();
    assert_eq!(due.decide().action, Action::Wait);
    let running = Scene::on_trial(ready(), 9, UpgradeStep::Settling).started("20261130-010000-000001", 5);
    assert_eq!(running.job("20261130-010000-000001", runs()).decide().action, Action::Wait);
}
