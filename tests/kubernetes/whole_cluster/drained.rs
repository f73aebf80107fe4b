//! Promise: a node can be drained of its clients, and they come back with their data.

use super::super::cluster;
use super::super::stage::Stage;

#[test]
fn a_drain_moves_the_server_off_and_it_comes_back_on_its_data() {
    let _alone = cluster::alone();
    let stage = Stage::new("drained");
    let operator = stage.operator();
    stage.apply(&stage.fixture("abc", ""));
    stage.wait_ready(&operator, "abc");
    let node = stage.kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]);
    let budget = stage.get("pdb/mai-abc").unwrap();
    assert_eq!(budget["status"]["disruptionsAllowed"], 1, "{budget}");
    let drained = stage.try_kubectl(
        &[
            "drain",
            &node,
            "--pod-selector=mai.dev/instance=abc",
            "--delete-emptydir-data",
            "--ignore-daemonsets",
            "--timeout=60s",
        ],
        "",
    );
    let said = drained.as_ref().map(|_| stage.wait_for_reason(&operator, "abc", "Ready", "Unschedulable"));
    stage.kubectl(&["uncordon", &node]);
    let message = said.unwrap();
    assert!(drained.unwrap().contains("evicted") && message.contains("unschedulable"), "{message}");
    stage.wait_ready(&operator, "abc");
    assert_eq!(stage.read("abc", "/starts").as_deref(), Some("abc\nabc\n"));
}
