//! Servers stop with an attached reconciler and outlive a detached one, without orphans or
//! duplicates.

use crate::fixtures::compose::{Workspace, document, is_ready, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

fn two_clients(workspace: &Workspace) -> [u16; 2] {
    let ports = [free_port(), free_port()];
    workspace.write("a.yaml", &document("alpha", ports[0], ""));
    workspace.write("b.yaml", &document("beta", ports[1], ""));
    ports
}

#[test]
fn detached_servers_are_adopted_without_restart() {
    let workspace = Workspace::new();
    let ports = two_clients(&workspace);
    let compose = workspace.compose(&["--detach"]);
    ports.into_iter().for_each(wait_ready);
    let before = workspace.servers();
    let is_outdated = || workspace.mai("status", &[]).1.contains("no reconciler runs");
    assert!(!is_outdated());
    compose.stop();
    assert!(is_outdated());
    assert!(ports.into_iter().all(is_ready), "a detached server ended with its reconciler");

    // One document changes while no reconciler runs.
    workspace.write("b.yaml", &document("beta", ports[1], "").replace("displayName: beta", "displayName: Beta"));
    let compose = workspace.compose(&["--detach"]);
    compose.wait_for_line(&["alpha", "ready"]);
    wait_until(
        || "another beta".into(),
        || workspace.pid("beta").filter(|pid| !before.contains(&("beta".into(), *pid))),
    );
    wait_ready(ports[1]);
    assert_eq!(workspace.pid("alpha"), before.iter().find(|(name, _)| name == "alpha").map(|(_, pid)| *pid));
    compose.stop();

    let (code, out, err) = workspace.mai("down", &[]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("alpha") && out.contains("beta"), "{out}");
    assert!(workspace.servers().is_empty());
}

#[test]
fn killed_reconciler_leaves_no_orphans_and_no_duplicates() {
    let workspace = Workspace::new();
    let ports = two_clients(&workspace);
    for _ in 0..3 {
        let mut compose = workspace.compose(&[]);
        // Those of the former reconciler may still answer.
        wait_until(|| "two servers".into(), || (workspace.servers().len() == 2).then_some(()));
        ports.into_iter().for_each(wait_ready);
        compose.kill();
    }
    wait_until(|| "the servers to follow their reconciler".into(), || workspace.servers().is_empty().then_some(()));
}

#[test]
fn reconciler_killed_during_start_starts_nothing_twice() {
    let workspace = Workspace::new();
    let ports = two_clients(&workspace);
    for delay in [0, 20, 40, 60, 80, 120, 200, 300] {
        let mut compose = workspace.compose(&["--detach"]);
        std::thread::sleep(std::time::Duration::from_millis(delay));
        compose.kill();
    }
    let compose = workspace.compose(&["--detach"]);
    ports.into_iter().for_each(wait_ready);
    workspace.wait_for_reason("alpha", "Ready", "Ready");
    workspace.wait_for_reason("beta", "Ready", "Ready");
    assert_eq!(workspace.servers().len(), 2, "{:?}", workspace.servers());
    compose.stop();
    assert_eq!(workspace.mai("down", &[]).0, 0);
    assert!(workspace.servers().is_empty());
}

#[test]
fn killed_detached_reconciler_is_resumed_by_the_next() {
    let workspace = Workspace::new();
    let ports = two_clients(&workspace);
    let mut compose = workspace.compose(&["--detach"]);
    ports.into_iter().for_each(wait_ready);
    let before = workspace.servers();
    compose.kill();
    let compose = workspace.compose(&[]);
    workspace.wait_for_reason("alpha", "Ready", "Ready");
    compose.wait_for_line(&["mai keeps"]);
    assert_eq!(workspace.servers(), before);
    compose.stop();
    assert!(workspace.servers().is_empty(), "Ctrl-C without --detach stops what was taken over as well");
}

#[test]
fn second_reconciler_on_one_state_is_refused() {
    let workspace = Workspace::new();
    two_clients(&workspace);
    let first = workspace.compose(&[]);
    first.wait_for_line(&["alpha", "ready"]);
    let mut second = workspace.compose(&[]);
    assert_eq!(second.wait_exit(), 1);
    assert!(second.output().contains(&first.pid().to_string()), "the holder is not named: {}", second.output());
    first.stop();
}

#[test]
fn ctrl_c_stops_compose_at_any_moment_of_its_start() {
    let workspace = Workspace::new();
    two_clients(&workspace);
    for delay in [10, 20, 30, 40, 50, 60, 80, 100, 150] {
        let mut compose = workspace.compose(&[]);
        std::thread::sleep(std::time::Duration::from_millis(delay));
        compose.interrupt();
        compose.wait_exit();
    }
    wait_until(|| "the servers to end".into(), || workspace.servers().is_empty().then_some(()));
}
