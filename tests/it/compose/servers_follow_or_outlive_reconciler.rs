//! What happens to servers when the reconciler ends, however it ends: never an orphan, never two for one instance.

use crate::fixtures::compose::{Place, document, ready, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

fn two_clients(place: &Place) -> [u16; 2] {
    let ports = [free_port(), free_port()];
    place.write("a.yaml", &document("alpha", ports[0], ""));
    place.write("b.yaml", &document("beta", ports[1], ""));
    ports
}

#[test]
fn detached_servers_are_taken_over_and_nothing_unchanged_is_restarted() {
    let place = Place::new();
    let ports = two_clients(&place);
    let compose = place.compose(&["--detach"]);
    ports.into_iter().for_each(wait_ready);
    let before = place.servers();
    compose.stop();
    assert!(ports.into_iter().all(ready), "a detached server ended with its reconciler");

    // One document changes while nobody looks.
    place.write("b.yaml", &document("beta", ports[1], "").replace("displayName: beta", "displayName: Beta"));
    let compose = place.compose(&["--detach"]);
    compose.wait_for(&["alpha", "ready"]);
    wait_until(|| "another beta".into(), || place.pid("beta").filter(|pid| !before.contains(&("beta".into(), *pid))));
    wait_ready(ports[1]);
    assert_eq!(place.pid("alpha"), before.iter().find(|(name, _)| name == "alpha").map(|(_, pid)| *pid));
    compose.stop();

    let (code, out, err) = place.mai("down", &[]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("alpha") && out.contains("beta"), "{out}");
    assert!(place.servers().is_empty());
}

#[test]
fn a_killed_reconciler_leaves_no_orphan_and_its_successor_starts_each_server_once() {
    let place = Place::new();
    let ports = two_clients(&place);
    for _ in 0..3 {
        let mut compose = place.compose(&[]);
        ports.into_iter().for_each(wait_ready);
        assert_eq!(place.servers().len(), 2);
        compose.kill();
    }
    wait_until(|| "the servers to follow their reconciler".into(), || place.servers().is_empty().then_some(()));
}

#[test]
fn a_reconciler_killed_at_any_moment_of_a_start_starts_nothing_twice() {
    let place = Place::new();
    let ports = two_clients(&place);
    for delay in [0, 20, 40, 60, 80, 120, 200, 300] {
        let mut compose = place.compose(&["--detach"]);
        std::thread::sleep(std::time::Duration::from_millis(delay));
        compose.kill();
    }
    let compose = place.compose(&["--detach"]);
    ports.into_iter().for_each(wait_ready);
    place.wait_for_reason("alpha", "Ready", "Ready");
    place.wait_for_reason("beta", "Ready", "Ready");
    assert_eq!(place.servers().len(), 2, "{:?}", place.servers());
    compose.stop();
    assert_eq!(place.mai("down", &[]).0, 0);
    assert!(place.servers().is_empty());
}

#[test]
fn a_detached_reconciler_that_is_killed_is_picked_up_where_it_stood() {
    let place = Place::new();
    let ports = two_clients(&place);
    let mut compose = place.compose(&["--detach"]);
    ports.into_iter().for_each(wait_ready);
    let before = place.servers();
    compose.kill();
    let compose = place.compose(&[]);
    place.wait_for_reason("alpha", "Ready", "Ready");
    compose.wait_for(&["mai keeps"]);
    assert_eq!(place.servers(), before);
    compose.stop();
    assert!(place.servers().is_empty(), "Ctrl-C without --detach stops what was taken over as well");
}

#[test]
fn a_second_reconciler_on_one_state_is_refused() {
    let place = Place::new();
    two_clients(&place);
    let first = place.compose(&[]);
    first.wait_for(&["alpha", "ready"]);
    let mut second = place.compose(&[]);
    assert_eq!(second.ended(), 1);
    assert!(second.said().contains(&first.pid().to_string()), "the holder is not named: {}", second.said());
    first.stop();
}

#[test]
fn ctrl_c_ends_it_at_any_moment_of_its_start() {
    let place = Place::new();
    two_clients(&place);
    for delay in [10, 20, 30, 40, 50, 60, 80, 100, 150] {
        let mut compose = place.compose(&[]);
        std::thread::sleep(std::time::Duration::from_millis(delay));
        compose.interrupt();
        compose.ended();
    }
    wait_until(|| "the servers to end".into(), || place.servers().is_empty().then_some(()));
}
