//! Decisions as a table, on a cluster that keeps pods running by itself.

use super::*;
use crate::api::SKIP_TEARDOWN;
use crate::core::ComponentKind;

impl Scene {
    fn in_a_cluster(mut self) -> Self {
        self.platform = crate::runtime::kubernetes::PLATFORM;
        self
    }
}

fn waits(cause: Cause, started_ago: i64) -> Scene {
    let fault = Fault { cause, detail: "the cluster's words".into() };
    Scene::running(Readiness::Waiting(fault), started_ago).in_a_cluster()
}

pub(super) fn annotated_with(mut scene: Scene, annotation: &str, value: &str) -> Scene {
    scene.instance.metadata.annotations = Some(BTreeMap::from([(annotation.to_owned(), value.to_owned())]));
    scene
}

fn deleted_ago(mut scene: Scene, seconds: i64) -> Scene {
    scene.instance.metadata.deletion_timestamp = Some(Time(at(seconds)));
    scene
}

#[test]
fn fault_that_a_cluster_retries_is_shown_by_its_cause() {
    for (cause, condition_true, reason) in [
        (Cause::Starting, "Reconciling", "Starting"),
        (Cause::CrashLoop, "Stalled", "CrashLoop"),
        (Cause::DataTooNew, "Stalled", "DataTooNew"),
        (Cause::ImageUnavailable, "Stalled", "ImageUnavailable"),
        (Cause::Unschedulable, "Stalled", "Unschedulable"),
        (Cause::Refused, "Stalled", "Refused"),
        (Cause::VolumePending, "Stalled", "VolumePending"),
    ] {
        // However long it takes: there is nothing to go back to.
        for started_ago in [1, 61, 6000] {
            let decision = waits(cause, started_ago).decide();
            assert_eq!(decision.action, Action::Wait, "{cause:?}");
            assert_eq!(condition(&decision, "Ready"), ("False".to_owned(), reason.to_owned()), "{cause:?}");
            assert_eq!(condition(&decision, condition_true), ("True".to_owned(), reason.to_owned()), "{cause:?}");
            // Of all else the cluster tells by itself.
            assert_eq!(decision.requeue_after.is_some(), cause == Cause::Starting, "{cause:?}");
        }
    }
}

#[test]
fn checks_of_a_starting_pod_back_off() {
    for (started_ago, wake) in [(0, 20), (19, 20), (45, 45), (600, 600)] {
        assert_eq!(waits(Cause::Starting, started_ago).decide().requeue_after, Some(Duration::from_secs(wake)));
    }
}

#[test]
fn silent_server_is_unhealthy_after_its_start_period() {
    for (started_ago, reason, wake) in [(1, "Starting", Some(59)), (59, "Starting", Some(1)), (60, "Unhealthy", None)] {
        let in_place = Change { effect: Effect::InPlace, ..changes().remove(0) };
        for differences in [vec![], vec![in_place]] {
            let unchanged = differences.is_empty();
            let scene = Scene { changes: differences, ..waits(Cause::Unhealthy, started_ago) };
            let decision = scene.decide();
            assert_eq!(condition(&decision, "Ready"), ("False".to_owned(), reason.to_owned()), "after {started_ago} s");
            if unchanged {
                assert_eq!((decision.action, decision.requeue_after), (Action::Wait, wake.map(Duration::from_secs)));
            }
        }
    }
}

#[test]
fn replacement_has_its_start_period_unless_it_has_failed() {
    let late = "not ready 60s after it was declared: the cluster's words";
    for (cause, started_ago, rolled_back) in [
        (Cause::Starting, 59, None),
        (Cause::Starting, 60, Some(late)),
        (Cause::Unhealthy, 59, None),
        (Cause::Unhealthy, 60, Some(late)),
        (Cause::Unschedulable, 59, None),
        (Cause::Unschedulable, 60, Some(late)),
        (Cause::VolumePending, 59, None),
        (Cause::CrashLoop, 1, Some("the cluster's words")),
        (Cause::DataTooNew, 1, Some("the cluster's words")),
        (Cause::ImageUnavailable, 1, Some("the cluster's words")),
        (Cause::Refused, 1, Some("the cluster's words")),
    ] {
        let scene = waits(cause, started_ago).replaced();
        let decision = scene.decide();
        match rolled_back {
            Some(why) => {
                assert_eq!(decision.action, Action::RollBack(why.to_owned()), "{cause:?} after {started_ago} s");
                assert_eq!(condition(&decision, "Ready").1, "RolledBack");
                assert_eq!(decision.status.rejected.as_ref().map(|rejected| rejected.why.as_str()), Some(why));
            }
            None => {
                assert_eq!(decision.action, Action::Wait, "{cause:?} after {started_ago} s");
                assert!(
                    decision.requeue_after.is_some_and(|wake| wake <= Duration::from_secs(60 - started_ago as u64))
                );
            }
        }
    }
}

#[test]
fn rejected_workload_is_not_retried_until_it_changes() {
    let rolled_back = |spec: Value| {
        let mut scene = Scene::running(ready(), 99).differs().rejected().in_a_cluster();
        scene.instance = instance(spec);
        scene.decide().action
    };
    assert_eq!(rolled_back(json!({})), Action::Wait);
    assert_eq!(rolled_back(json!({"deletionPolicy": "Delete"})), Action::Wait, "it would fail in the same way");
    for change in [
        json!({"displayName": "B"}),
        json!({"image": "mai-production:9"}),
        json!({"health": {"startPeriod": "5m"}}),
        json!({"health": {"path": "/health"}}),
        json!({"health": {"retries": 9}}),
    ] {
        assert_eq!(rolled_back(change.clone()), Action::Recreate(changes()), "{change}");
    }
}

#[test]
fn auxiliary_objects_are_repaired_in_every_state() {
    let suspended = |presence| Scene::new(presence).spec(json!({"suspend": true}));
    let both = || [changes(), auxiliary()].concat();
    for (name, scene, step, reason) in [
        ("as declared", Scene::running(ready(), 99), Action::Update(auxiliary()), "Ready"),
        ("starting", waits(Cause::Starting, 9), Action::Update(auxiliary()), "Starting"),
        ("replaced, and ready", Scene::running(ready(), 9).replaced(), Action::Update(auxiliary()), "Ready"),
        ("another one is declared", Scene::running(ready(), 99).differs(), Action::Recreate(both()), "Replacing"),
        ("rolled back", Scene::running(ready(), 99).differs().rejected(), Action::Update(auxiliary()), "RolledBack"),
        (
            "rolled back, starting",
            waits(Cause::Starting, 9).differs().rejected(),
            Action::Update(auxiliary()),
            "RolledBack",
        ),
        ("rolled back, stopped", Scene::new(stopped()).differs().rejected(), Action::Resume, "Starting"),
        ("stopped, changed", Scene::new(stopped()).differs(), Action::Recreate(both()), "Starting"),
        ("nothing there", Scene::new(Presence::Absent), Action::Start, "Starting"),
        ("suspended", suspended(stopped()), Action::Update(auxiliary()), "Suspended"),
        ("suspended from the start", suspended(Presence::Absent), Action::Update(auxiliary()), "Suspended"),
        ("suspended, ending", suspended(Presence::Stopping), Action::Wait, "Stopping"),
        ("ending", Scene::new(Presence::Stopping), Action::Wait, "Stopping"),
        ("deleted", Scene::running(ready(), 9).deleted(), Action::Stop("the document was removed".into()), "Deleting"),
    ] {
        let scene = scene.in_a_cluster().differs_in_auxiliary();
        let decision = scene.decide();
        assert_eq!(decision.action, step, "{name}");
        assert_eq!(condition(&decision, "Ready").1, reason, "{name}");
        assert_eq!(decision.memory.rejected, scene.memory.rejected, "{name}");
    }
}

#[test]
fn paused_instance_is_left_alone_and_keeps_its_readiness() {
    for scene in [
        Scene::running(ready(), 9).differs(),
        Scene::new(Presence::Absent),
        Scene::running(ready(), 9).spec(json!({"suspend": true})),
        waits(Cause::CrashLoop, 9).replaced(),
    ] {
        for (previous, stays) in [(Some(true), "True"), (Some(false), "False"), (None, "Unknown")] {
            let mut conditions = crate::api::Conditions::from_previous(&[], Some(2), at(9));
            conditions.set(crate::api::ConditionKind::Ready, previous, Reason::Ready, "");
            let mut scene = annotated_with(scene.clone(), PAUSED, "true");
            scene.previous.conditions = conditions.into_vec();
            let decision = scene.decide();
            assert_eq!((decision.action.clone(), decision.requeue_after), (Action::Wait, None));
            assert_eq!(condition(&decision, "Ready"), (stays.to_owned(), "Paused".to_owned()));
            assert_eq!(condition(&decision, "Stalled").0, "False");
        }
        // Only "true" pauses.
        assert_ne!(condition(&annotated_with(scene.clone(), PAUSED, "false").decide(), "Ready").1, "Paused");
    }
    // A deletion goes its way.
    let deleted = annotated_with(Scene::running(ready(), 9).deleted(), PAUSED, "true");
    assert_eq!(deleted.decide().action, Action::Stop("the document was removed".into()));
}

#[test]
fn overdue_teardown_lets_a_document_go_in_a_cluster_only() {
    let stop = || Action::Stop("the document was removed".into());
    let hanging = || Scene::running(ready(), 9);
    let skip = |scene| annotated_with(scene, SKIP_TEARDOWN, "true");
    for (name, scene, step) in [
        ("in a cluster, in time", deleted_ago(hanging().in_a_cluster(), 600), stop()),
        ("in a cluster, too long", deleted_ago(hanging().in_a_cluster(), 601), Action::RemoveFinalizer),
        ("on a server, too long", deleted_ago(hanging(), 601), stop()),
        ("in a cluster, asked", skip(deleted_ago(hanging().in_a_cluster(), 1)), Action::RemoveFinalizer),
        ("on a server, asked", skip(deleted_ago(hanging(), 1)), stop()),
        ("asked, and not deleted", skip(hanging().in_a_cluster()), Action::Wait),
    ] {
        assert_eq!(scene.decide().action, step, "{name}");
    }
    // Also when nothing can be seen.
    let scene = skip(deleted_ago(hanging().in_a_cluster(), 1));
    let blind = decide(&Facts {
        instance: &scene.instance,
        desired: Ok(&workload(&scene.instance)),
        observed: Err("the API server does not answer"),
        memory: &scene.memory,
        previous: &scene.previous,
        platform: crate::runtime::kubernetes::PLATFORM,
        now: at(0),
        jobs_running: 0,
        fleet: FleetTurn::Free,
        counts: None,
        backup_problem: None,
        backup_corrected: false,
        random: 0,
        key: scene.key.clone(),
    });
    assert_eq!(blind.action, Action::RemoveFinalizer);
}

#[test]
fn each_component_has_a_condition_while_it_is_known() {
    let component = |kind, fault: Option<Cause>| Component {
        kind,
        fault: fault.map(|cause| Fault { cause, detail: "the cluster's words".into() }),
    };
    for (kind, name, cause, reason) in [
        (ComponentKind::Storage, "StorageReady", Cause::VolumePending, "VolumePending"),
        (ComponentKind::Storage, "StorageReady", Cause::ResizeFailed, "ResizeFailed"),
        (ComponentKind::Exposure, "Exposed", Cause::NotAccepted, "NotAccepted"),
    ] {
        let mut scene = Scene::running(ready(), 9).in_a_cluster();
        scene.components = vec![component(kind, Some(cause))];
        let faulty = scene.decide();
        assert_eq!(condition(&faulty, name), ("False".to_owned(), reason.to_owned()));
        let shown = faulty.status.conditions.iter().find(|condition| condition.type_ == name).unwrap();
        assert_eq!(shown.message, "the cluster's words");
        // A running server keeps running.
        assert_eq!(condition(&faulty, "Ready").0, "True");

        scene.previous = faulty.status;
        scene.components = vec![component(kind, None)];
        let sound = scene.decide();
        assert_eq!(condition(&sound, name), ("True".to_owned(), "Ready".to_owned()));

        // One that the document does not declare any more is not spoken of.
        scene.previous = sound.status;
        scene.components.clear();
        assert!(!scene.decide().status.conditions.iter().any(|condition| condition.type_ == name));
    }
}
