//! The trial of a new image as scenes: what ends it, and what returns.

use super::cluster::annotated_with;
use super::upgrade::{SETTLE, another_image, job_of, upgraded};
use super::*;
use crate::api::{CompletedUpgrade, UPGRADE_NOW, UpgradeStatus, UpgradeStep};

#[test]
fn new_image_that_fails_at_a_gate_is_rolled_back() {
    let fault = |cause| Readiness::Waiting(Fault { cause, detail: "the cluster's words".into() });
    let failing = |probes| Readiness::Failing { probes, detail: "503".into() };
    let late = "not ready 60s after its start: connection refused";
    let ended = "the server ended with exit code 1; its last line was: boom";
    use UpgradeStep::{Replacing, Settling};
    for (name, scene, cause) in [
        ("starts", Scene::on_trial(starting(), 59, Replacing), None),
        ("never ready", Scene::on_trial(starting(), 61, Replacing), Some(late)),
        ("ended", Scene::on_trial(starting(), 1, Replacing).exited(0, 1), Some(ended)),
        ("ended and was started again", Scene::on_trial(ready(), 1, Settling).exited(3, 1), Some(ended)),
        ("a probe fails", Scene::on_trial(failing(1), 9, Settling), None),
        ("probes fail", Scene::on_trial(failing(3), 9, Settling), Some("3 probes in a row failed: 503")),
        ("pod starts", Scene::on_trial(fault(Cause::Starting), 59, Replacing), None),
        (
            "pod is late",
            Scene::on_trial(fault(Cause::Starting), 61, Replacing),
            Some("not ready 60s after it was declared: the cluster's words"),
        ),
        ("pod ended", Scene::on_trial(fault(Cause::Restarting), 9, Settling), Some("the cluster's words")),
        (
            "pod ends again and again",
            Scene::on_trial(fault(Cause::CrashLoop), 9, Replacing),
            Some("the cluster's words"),
        ),
        ("not pulled", Scene::on_trial(fault(Cause::ImageUnavailable), 9, Replacing), Some("the cluster's words")),
    ] {
        let decision = scene.decide();
        let upgrade = decision.memory.upgrade.clone().unwrap();
        match cause {
            Some(cause) => {
                // One that never ran has changed no data.
                let (action, step) = match name {
                    "not pulled" => (Action::RollBack(cause.to_owned()), UpgradeStep::RolledBack),
                    _ => (Action::Stop(cause.to_owned()), UpgradeStep::ReturningData),
                };
                assert_eq!(decision.action, action, "{name}");
                assert_eq!((upgrade.step, upgrade.failures), (step, 1), "{name}");
                assert_eq!(decision.memory.rejected.map(|rejected| rejected.why).as_deref(), Some(cause), "{name}");
            }
            None => {
                assert_eq!((decision.action, upgrade.failures), (Action::Wait, 0), "{name}");
                assert!(decision.memory.ready_since.is_none(), "{name}: it begins to settle anew");
            }
        }
    }
}

impl Scene {
    /// The server on trial ended so many times in a row, the last time as on record.
    fn failures_of_trial(mut self, failures: u32) -> Self {
        self.memory.failures = failures;
        self.memory.counted_exit = self.last_exit.as_ref().map(|exit| exit.at);
        self
    }
}

#[test]
fn stopped_server_on_trial_is_judged_by_its_own_end() {
    let stopped = || {
        let mut scene = Scene::new(stopped()).replaced().with_upgrade(|known| known.step = UpgradeStep::Settling);
        scene.platform = Platform::DOCKER;
        scene
    };
    let failed = stopped().exited(0, 1).decide();
    assert!(matches!(failed.action, Action::Stop(_)), "{:?}", failed.action);
    // It was restarted by hand; a server that ends so again and again fails as well.
    for (failures, restarts) in [(0, true), (1, true), (2, false)] {
        let mut ended = stopped().exited(0, 0);
        ended.memory.failures = failures;
        let action = ended.decide().action;
        assert_eq!(matches!(action, Action::Resume | Action::Wait), restarts, "{failures}: {action:?}");
    }
    // Nor is it taken for a failure while it starts again.
    let again = Scene::on_trial(starting(), 1, UpgradeStep::Settling).exited(0, 0).failures_of_trial(1).decide();
    assert_eq!(again.action, Action::Wait);
    let again = Scene::on_trial(starting(), 1, UpgradeStep::Settling).exited(0, 0).failures_of_trial(3).decide();
    assert!(matches!(again.action, Action::Stop(_) | Action::RollBack(_)), "{:?}", again.action);
    assert_ne!(again.memory.upgrade.unwrap().step, UpgradeStep::Settling);
    // Its end was asked for by spec.suspend.
    let mut resumed = stopped().exited(9, 0);
    resumed.memory.counted_exit = Some(at(8));
    assert_eq!(resumed.decide().action, Action::Resume);
}

#[test]
fn new_image_that_is_never_ready_for_long_is_rolled_back() {
    let flapping = |since| {
        let scene = Scene::on_trial(ready(), 9, UpgradeStep::Settling);
        scene.with_upgrade(|known| (known.step, known.step_since) = (UpgradeStep::Settling, at(since)))
    };
    let longest = 10 * SETTLE + 60;
    assert_eq!(flapping(longest).decide().action, Action::Wait);
    let why = "it was not ready for 2m without a break within 10 times as long";
    assert_eq!(flapping(longest + 1).decide().action, Action::Stop(why.to_owned()));
}

#[test]
fn new_image_stays_where_nothing_is_to_return() {
    let declared = json!({"upgrade": {"rollback": false}});
    let not_retained = |mut scene: Scene| {
        scene.retained = None;
        scene
    };
    for (name, scene, says) in [
        (
            "declared so",
            Scene::on_trial(starting(), 61, UpgradeStep::Replacing).spec(declared),
            "upgrade.rollback is false",
        ),
        ("not retained", not_retained(Scene::on_trial(starting(), 61, UpgradeStep::Replacing)), "was not retained"),
    ] {
        let mut scene = scene;
        let failed = scene.step();
        let cause = "not ready 60s after its start: connection refused".to_owned();
        assert_eq!(failed.action, Action::Stop(cause), "{name}: it is restarted like any other");
        assert_eq!(condition(&failed, "UpgradeHealthy"), ("False".to_owned(), "UpgradeFailed".to_owned()), "{name}");
        let message = &scene.upgrade().message;
        assert!(message.contains(says) && message.contains("20261130-020000-1f2e3d"), "{name}: {message}");
        assert_eq!((scene.upgrade().step, scene.upgrade().failures), (UpgradeStep::Failed, 1), "{name}");
        // It may still prove itself.
        scene.presence = Presence::Running { since: at(9), readiness: ready() };
        scene.step();
        scene.memory.ready_since = Some(at(SETTLE));
        let proved = scene.step();
        let action = if scene.retained.is_some() { Action::Commit } else { Action::Wait };
        assert_eq!((proved.action, scene.upgrade().step), (action, UpgradeStep::Completed), "{name}");
    }
}

#[test]
fn third_image_keeps_what_the_second_may_return_to() {
    let mut third = another_image();
    third[0].from = "a:2".into();
    third[0].to = "a:3".into();
    let mut scene = Scene::on_trial(ready(), 9, UpgradeStep::Settling);
    scene.changes = third.clone();
    assert_eq!(scene.step().action, Action::Recreate(third));
    let upgrade = scene.upgrade();
    assert_eq!((upgrade.from.as_str(), upgrade.to.as_str(), upgrade.step), ("a:1", "a:3", UpgradeStep::Replacing));
    assert!(upgrade.backup.is_some());
}

#[test]
fn former_image_that_is_declared_again_on_trial_returns_at_once() {
    let mut back = another_image();
    (back[0].from, back[0].to) = ("a:2".into(), "a:1".into());
    for step in [UpgradeStep::Replacing, UpgradeStep::Settling] {
        let mut scene = Scene::on_trial(ready(), 9, step);
        (scene.changes, scene.image, scene.memory.image) = (back.clone(), Some("a:1".into()), Some("a:1".into()));
        let decision = scene.decide();
        assert_eq!(decision.action, Action::Stop("its former image is declared again".into()), "{step:?}");
    }
}

#[test]
fn image_too_old_for_the_data_names_the_backup_to_restore() {
    let completed = CompletedUpgrade { from: "a:2".into(), to: "a:1".into(), backup: Some("B".into()), at: at(99) };
    let known = |scene: Scene| {
        scene.with_upgrade(|known| (known.step, known.completed) = (UpgradeStep::Replacing, Some(completed.clone())))
    };
    let fault = Fault { cause: Cause::DataTooNew, detail: "the cluster's words".into() };
    let mut pod = known(Scene::running(Readiness::Waiting(fault), 9).replaced());
    pod.platform = crate::runtime::kubernetes::PLATFORM;
    let mut container = known(Scene::new(stopped()).replaced().exited(0, 65));
    container.platform = Platform::DOCKER;
    for (scene, command) in [(pod, "kubectl mai restore abc --backup B"), (container, "mai restore DIR abc --from B")] {
        let decision = scene.decide();
        assert!(matches!(decision.action, Action::RollBack(_)), "{:?}", decision.action);
        let message = decision.memory.upgrade.unwrap().message;
        assert!(message.contains(command) && message.contains("suspend"), "{message}");
    }
}

#[test]
fn another_field_on_trial_begins_the_trial_again() {
    let mut scene = Scene::on_trial(ready(), 9, UpgradeStep::Settling).differs();
    scene.memory.ready_since = Some(at(SETTLE));
    assert_eq!(scene.step().action, Action::Recreate(changes()));
    assert_eq!((scene.upgrade().step, scene.memory.ready_since), (UpgradeStep::Replacing, None));
}

#[test]
fn rejected_image_is_tried_again_once_moved_or_forced() {
    let rejected = || {
        let scene = upgraded(Scene::running(ready(), 99)).rejected();
        scene.with_upgrade(|known| (known.step, known.failures) = (UpgradeStep::RolledBack, 1))
    };
    let decision = rejected().decide();
    assert_eq!(decision.action, Action::Wait);
    assert_eq!(condition(&decision, "UpgradeHealthy"), ("False".to_owned(), "RolledBack".to_owned()));

    let mut moved = rejected();
    moved.changes[0].to = "a:2 (another)".into();
    job_of(&moved.step());
    assert_eq!(moved.upgrade().failures, 0);

    let mut forced = annotated_with(rejected(), UPGRADE_NOW, "true");
    job_of(&forced.step());
    assert!(forced.upgrade().forced && forced.upgrade().failures == 1);
    let mut backed_up = forced.clone();
    let known = backed_up.memory.upgrade.as_mut().unwrap();
    (known.job, known.backup) = (None, Some("19700112-120000-000001".into()));
    assert_eq!(backed_up.step().action, Action::Recreate(backed_up.changes.clone()), "it goes on after its backup");
    let failed = |known: &mut UpgradeStatus| known.step = UpgradeStep::RolledBack;
    failed(forced.memory.upgrade.as_mut().unwrap());
    forced.memory.upgrade.as_mut().unwrap().job = None;
    assert_eq!(forced.step().action, Action::Wait, "it counts for one attempt");
    forced.instance.metadata.annotations = None;
    forced.step();
    assert!(!forced.upgrade().forced);

    // The document went back to the image that runs.
    let mut reverted = rejected();
    reverted.changes.clear();
    assert_eq!(condition(&reverted.decide(), "UpgradeHealthy"), ("True".to_owned(), "UpToDate".to_owned()));
}
