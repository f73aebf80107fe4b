//! Promise: when the API server or its database goes away and comes back, the operator goes on by itself and nobody is told nonsense.
//! Without a Lease; one that leads by a Lease ends when it could not renew it, and is started again.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::cluster::{self, cluster};
use super::super::images;
use super::super::stage::Stage;

fn ready_since(stage: &Stage) -> Value {
    let instance = stage.get("mai/abc").unwrap();
    let conditions = instance["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == "Ready").unwrap().clone()
}

#[test]
fn the_operator_outlives_its_api_server_and_the_database_behind_it() {
    let _alone = cluster::alone();
    let stage = Stage::new("outage");
    // After an outage it takes the kubelet a while to tell how a pod stands; within its start period that is nobody's fault.
    let health = "health: {interval: 1s, timeout: 1s, startPeriod: 2m}";
    stage.apply(&stage.document("abc", &format!("  image: {}\n  {health}\n", images::fixture())));
    let mut operator = stage.operator_with(&["--resync", "1s", "--leader-election", "false"]);
    stage.wait_ready(&operator, "abc");
    let (ready, pod) = (ready_since(&stage), stage.pod("abc"));

    cluster().order("kill", "kube-apiserver");
    stage.wait_until(&operator, || "the API server".into(), || stage.try_kubectl(&["get", "mai"], "").ok());
    cluster().order("stop", "kube-apiserver");
    std::thread::sleep(Duration::from_secs(5));
    let alive = operator.get("/livez");
    // First of all, or the next test finds none.
    cluster().order("start", "kube-apiserver");
    assert_eq!(alive.map(|(status, _)| status), Some(200), "{}", operator.output());
    stage.wait_until(&operator, || "the API server".into(), || stage.try_kubectl(&["get", "mai"], "").ok());
    cluster().order("restart", "etcd");
    stage.wait_until(&operator, || "the database".into(), || stage.try_kubectl(&["get", "mai"], "").ok());

    // It was ready all the time, and nobody was told otherwise.
    assert_eq!(ready_since(&stage), ready);
    stage.patch("abc", &json!({"displayName": "next"}));
    stage.wait_until(
        &operator,
        || "the edit to be served".into(),
        || stage.read("abc", "/name").filter(|name| name == "next"),
    );
    stage.wait_ready(&operator, "abc");
    assert_eq!(operator.exit_code(), None, "it ended; it said:\n{}", operator.output());
    assert_ne!(stage.pod("abc"), pod);
    let events = stage.event_reasons();
    for reason in ["ObserveFailed", "ApplyFailed", "Unhealthy"] {
        assert!(!events.contains(reason), "{reason} in {events}");
    }
}
