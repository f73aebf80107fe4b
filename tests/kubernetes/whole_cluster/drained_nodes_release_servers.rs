//! A node can be drained; its clients return with their data.

use super::super::cluster;
use super::super::environment::Environment;

#[test]
fn drained_node_releases_the_server_and_keeps_its_data() {
    let _alone = cluster::alone();
    let env = Environment::new("drained");
    let operator = env.operator();
    env.apply(&env.fixture("abc", ""));
    env.wait_ready(&operator, "abc");
    let node = env.kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]);
    env.wait_until(
        &operator,
        || "its disruption budget to allow one".into(),
        || (env.get("pdb/mai-abc")?["status"]["disruptionsAllowed"] == 1).then_some(()),
    );
    let drained = env.try_kubectl(
        &[
            "drain",
            &node,
            "--pod-selector=mai.dev/instance=abc",
            "--delete-emptydir-data",
            "--ignore-daemonsets",
            "--timeout=3m",
        ],
        "",
    );
    let message = drained.as_ref().map(|_| env.wait_for_reason(&operator, "abc", "Ready", "Unschedulable"));
    env.kubectl(&["uncordon", &node]);
    let message = message.unwrap();
    assert!(drained.unwrap().contains("evicted") && message.contains("unschedulable"), "{message}");
    env.wait_ready(&operator, "abc");
    env.wait_served(&operator, "abc", "/starts", "abc\nabc\n");
}
