//! The turn of an instance to get another image, as a table.

use super::cluster::annotated_with;
use super::upgrade::upgraded;
use super::*;
use crate::api::{UPGRADE_NOW, UpgradeStatus, UpgradeStep};

/// 1970-01-12 13:46:40 UTC, a Monday.
const NIGHT: &str = r#"{"start": "22:00", "duration": "4h"}"#;
const DAY: &str = r#"{"start": "12:00", "duration": "4h", "days": ["Monday"]}"#;

fn waiting() -> Scene {
    upgraded(Scene::running(ready(), 99))
}

fn with_window(scene: Scene, window: &str) -> Scene {
    let window: Value = serde_json::from_str(window).unwrap();
    let scene = scene.spec(json!({"upgrade": {"window": window}}));
    upgraded(scene)
}

fn with_fleet(mut scene: Scene, fleet: FleetTurn) -> Scene {
    scene.fleet = fleet;
    scene
}

fn busy(is_proved: bool) -> FleetTurn {
    FleetTurn::Busy { instance: "b".into(), is_proved }
}

fn failed_twice(scene: Scene) -> Scene {
    scene.with_upgrade(|known| (known.step, known.failures) = (UpgradeStep::RolledBack, 2))
}

fn halted_at(scene: Scene, generation: i64) -> Scene {
    let halted = move |known: &mut UpgradeStatus| {
        (known.step, known.halted_generation) = (UpgradeStep::Halted, Some(generation));
    };
    with_fleet(scene.with_upgrade(halted), FleetTurn::Failed("b".into()))
}

#[test]
fn upgrade_waits_for_its_turn() {
    let crashing = |mut scene: Scene| {
        scene.memory.failures = 3;
        scene
    };
    let failed = || FleetTurn::Failed("b".into());
    let now = |scene| annotated_with(scene, UPGRADE_NOW, "true");
    for (name, scene, waits) in [
        ("alone", waiting(), None),
        ("window closed", with_window(waiting(), NIGHT), Some(("WaitingForWindow", "opens at 1970-01-12 22:00 UTC"))),
        ("window open", with_window(waiting(), DAY), None),
        (
            "first of the fleet elsewhere",
            with_fleet(waiting(), busy(false)),
            Some(("WaitingForCanary", "waits for that of b")),
        ),
        ("wave full", with_fleet(waiting(), busy(true)), Some(("WaitingForCanary", "those of other instances"))),
        ("just started", with_fleet(waiting(), FleetTurn::Unknown), Some(("WaitingForCanary", "were observed"))),
        ("failed elsewhere", with_fleet(waiting(), failed()), Some(("UpgradeHalted", "it failed on b"))),
        ("held up, document unchanged", halted_at(waiting(), 3), Some(("UpgradeHalted", "it failed on b"))),
        ("held up, document changed", halted_at(waiting(), 2), None),
        (
            "held up, changed, window closed",
            halted_at(with_window(waiting(), NIGHT), 2),
            Some(("WaitingForWindow", "opens")),
        ),
        ("failed twice", failed_twice(waiting()), Some(("BreakerOpen", "failed 2 times"))),
        ("down, window closed", crashing(with_window(waiting(), NIGHT)), None),
        ("down, failed elsewhere", crashing(with_fleet(waiting(), failed())), None),
        ("down, failed twice", crashing(failed_twice(waiting())), Some(("BreakerOpen", "failed 2 times"))),
        ("forced, window closed", now(with_window(waiting(), NIGHT)), None),
        ("forced, failed elsewhere", now(with_fleet(waiting(), failed())), None),
        ("forced, failed twice", now(failed_twice(waiting())), None),
    ] {
        let decision = scene.decide();
        let Some((reason, says)) = waits else {
            assert!(matches!(decision.action, Action::StartJob(_)), "{name}: {:?}", decision.action);
            continue;
        };
        assert_eq!(decision.action, Action::Wait, "{name}");
        let shown = decision.status.conditions.iter().find(|one| one.type_ == "UpgradeHealthy").unwrap();
        assert!(shown.reason == reason && shown.message.contains(says), "{name}: {} {}", shown.reason, shown.message);
        let stalled = matches!(reason, "UpgradeHalted" | "BreakerOpen");
        assert_eq!(condition(&decision, "Stalled").0, if stalled { "True" } else { "False" }, "{name}");
        assert_eq!(condition(&decision, "Reconciling").0, if stalled { "False" } else { "True" }, "{name}");
        assert_eq!(shown.status, if stalled { "False" } else { "Unknown" }, "{name}");
        let serves = scene.memory.failures == 0;
        assert!(!serves || condition(&decision, "Ready") == ("True".to_owned(), "Ready".to_owned()), "{name}");
        assert!(reason == "BreakerOpen" || decision.requeue_after.is_some(), "{name} would be forgotten");

        let mut again = scene;
        (again.memory, again.previous) = (decision.memory.clone(), decision.status.clone());
        let second = again.decide();
        assert_eq!((second.memory, second.status), (decision.memory, decision.status), "{name}");
    }
}

#[test]
fn changes_that_need_no_other_server_are_applied_while_it_waits() {
    let mut scene = with_window(waiting(), NIGHT).differs_in_auxiliary();
    let limit = Change { field: Field::Memory, effect: Effect::InPlace, from: "1".into(), to: "2".into() };
    scene.auxiliary.push(limit);
    let meanwhile = scene.auxiliary.clone();
    let decision = scene.decide();
    assert_eq!(decision.action, Action::Update(meanwhile));
    assert_eq!(condition(&decision, "UpgradeHealthy").1, "WaitingForWindow");
}

#[test]
fn image_is_pulled_before_the_wait_and_not_during_it() {
    let mut scene = with_window(waiting(), NIGHT).missing();
    assert!(matches!(scene.decide().action, Action::Prepare(_)));
    scene = scene.with_upgrade(|known| known.step = UpgradeStep::WaitingForWindow);
    assert_eq!(scene.decide().action, Action::Wait);
}

#[test]
fn suspended_server_is_held_up_by_failures_alone() {
    let was_suspended = |mut scene: Scene| {
        let mut conditions = crate::api::Conditions::from_previous(&[], Some(3), at(9));
        conditions.set(crate::api::ConditionKind::Ready, Some(false), Reason::Suspended, "");
        scene.previous.conditions = conditions.into_vec();
        scene
    };
    let stopped = || was_suspended(upgraded(Scene::new(stopped())));
    for (name, scene, starts) in [
        ("window closed", with_window(stopped(), NIGHT), true),
        ("wave full", with_fleet(stopped(), busy(true)), true),
        ("failed elsewhere", with_fleet(stopped(), FleetTurn::Failed("b".into())), false),
        ("failed twice", failed_twice(stopped()), false),
    ] {
        let action = scene.decide().action;
        match starts {
            true => assert!(matches!(action, Action::StartJob(_)), "{name}: {action:?}"),
            false => assert_eq!(action, Action::Resume, "{name}: with its former image"),
        }
    }
    // One that ended by itself is started as it is, and waits like any other then.
    let mut ended = with_window(upgraded(Scene::new(super::stopped())), NIGHT);
    ended.memory.failures = 1;
    assert_eq!(ended.decide().action, Action::Resume);
}

#[test]
fn start_that_does_not_serve_waits_for_its_turn_as_well() {
    let mut scene = with_window(waiting(), NIGHT);
    scene.presence = Presence::Running { since: at(1), readiness: starting() };
    let decision = scene.decide();
    assert_eq!(decision.action, Action::Wait);
    assert_eq!(condition(&decision, "Ready"), ("False".to_owned(), "Starting".to_owned()));
}
