//! The key at the upstream as one more fact.

use super::*;
use crate::api::ConditionKind;
use crate::fleet::keys::KeyVerdict;

fn deleted(seconds_ago: i64, left: Option<&str>) -> Scene {
    let mut scene = Scene::new(Presence::Absent);
    scene.instance.metadata.deletion_timestamp = Some(Time(at(seconds_ago)));
    scene.memory.removed = true;
    scene.key.left = left.map(str::to_owned);
    scene
}

#[test]
fn document_waits_for_the_end_of_its_key_and_not_for_ever() {
    for (seconds_ago, left, action) in [
        (1, None, Action::RemoveFinalizer),
        (599, Some("the key (hash a) could not be deleted: 403"), Action::Wait),
        (600, Some("the key (hash a) could not be deleted: 403"), Action::RemoveFinalizer),
    ] {
        let decision = deleted(seconds_ago, left).decide();
        assert_eq!(decision.action, action, "{seconds_ago}");
        if action == Action::Wait {
            let ready = decision.status.condition(ConditionKind::Ready).unwrap();
            assert!(ready.message.contains("(hash a)"), "{}", ready.message);
        }
    }
    assert!(
        matches!(
            Scene { presence: Presence::Running { since: at(9), readiness: ready() }, ..deleted(1, Some("a")) }
                .decide()
                .action,
            Action::Stop(_)
        ),
        "the server is not waited for"
    );
}

#[test]
fn key_that_is_being_made_is_progress_and_a_refusal_is_not() {
    for (reason, holder) in [(Reason::KeyPending, "Reconciling"), (Reason::ManagementKeyRejected, "Stalled")] {
        let scene = Scene { blocked: Some(Blocked::new(reason, "why")), ..Scene::new(Presence::Absent) };
        let decision = scene.decide();
        assert_eq!(decision.action, Action::Wait);
        assert_eq!(condition(&decision, holder), ("True".to_owned(), reason.as_ref().to_owned()));
    }
}

#[test]
fn condition_of_the_key_stands_until_the_upstream_was_asked() {
    let verdict = |holds, reason| Some(KeyVerdict { holds: Some(holds), reason, message: String::new() });
    let scene = |key: KeyState, previous: &MaiInstanceStatus| Scene {
        key,
        previous: previous.clone(),
        ..Scene::running(ready(), 99)
    };
    let refused = KeyState { verdict: verdict(false, Reason::ManagementKeyRejected), ..KeyState::default() };
    let known = scene(refused, &MaiInstanceStatus::default()).decide();
    assert_eq!(condition(&known, "KeyHealthy"), ("False".to_owned(), "ManagementKeyRejected".to_owned()));
    assert_eq!(condition(&known, "Ready").0, "True", "it keeps its key");
    for (is_unverified, reason) in [(true, "ManagementKeyRejected"), (false, "KeyReady")] {
        let key = KeyState { verdict: verdict(true, Reason::KeyReady), is_unverified, ..KeyState::default() };
        assert_eq!(condition(&scene(key, &known.status).decide(), "KeyHealthy").1, reason);
    }
    let none = scene(KeyState::default(), &known.status).decide();
    assert!(none.status.condition(ConditionKind::KeyHealthy).is_none());
}
