//! Ends of a server: counted once, delayed restarts, and commands that stop it on purpose.

use super::*;

#[test]
fn failures_are_forgotten_after_a_minute_of_readiness() {
    let mut scene = Scene::running(ready(), 99);
    scene.memory = Memory { failures: 2, counted_exit: Some(at(99)), ready_since: Some(at(59)), ..Memory::default() };
    let decision = scene.decide();
    assert_eq!((decision.memory.failures, decision.requeue_after), (2, Some(Duration::from_secs(1))));
    scene.memory.ready_since = Some(at(60));
    let decision = scene.decide();
    assert_eq!((decision.memory.failures, decision.requeue_after, decision.status.restarts), (0, None, 0));
}

#[test]
fn clock_set_back_does_not_prolong_a_restart_delay() {
    let scene = Scene::new(Presence::Absent).failures(3, -3600).exited(-3600, 1);
    let decision = scene.decide();
    assert!(decision.requeue_after.unwrap() <= Duration::from_secs(1), "{:?}", decision.requeue_after);

    // Ends after the jump are counted although they are earlier than the last one before it.
    let scene = Scene::new(Presence::Absent).failures(3, -3600).exited(0, 1);
    let decision = scene.decide();
    assert_eq!(decision.memory.failures, 4);
    assert_eq!(Scene { memory: decision.memory.clone(), ..scene }.decide().memory.failures, 4);
}

#[test]
fn exit_is_described_with_the_last_line_of_the_log() {
    let decision = Scene::new(Presence::Absent).failures(2, 50).exited(0, 3).decide();
    let ready = decision.status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
    assert_eq!(ready.message, "3 failures in a row; the server ended with exit code 3; its last line was: boom");
}

#[test]
fn maintenance_leaves_the_server_alone_and_counts_no_exit() {
    let ready = || Readiness::Ready { version: None };
    for scene in [
        Scene::new(Presence::Absent).exited(0, 0),
        Scene::running(ready(), 99).differs(),
        Scene::running(ready(), 99).spec(json!({"suspend": true})),
        Scene::new(Presence::Absent).deleted(),
    ] {
        let scene = Scene { maintenance: Some("mai reset (process 7)".into()), ..scene };
        let decision = scene.decide();
        assert_eq!(decision.action, Action::Wait);
        assert!(decision.requeue_after.unwrap() <= Duration::from_secs(1));
        let ready = decision.status.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
        assert_eq!(ready.reason, "Held");
        assert!(ready.message.starts_with("mai reset (process 7)"), "{}", ready.message);
        // Once it is let go of, the end that was asked for holds up nothing.
        let after = Scene { maintenance: None, memory: decision.memory, ..scene };
        assert_eq!(after.decide().memory.failures, 0);
    }
    let after =
        Scene { maintenance: Some("mai reset (process 7)".into()), ..Scene::new(Presence::Absent).exited(0, 0) };
    let memory = after.decide().memory;
    assert_eq!(Scene { maintenance: None, memory, ..after }.decide().action, Action::Start);
}
