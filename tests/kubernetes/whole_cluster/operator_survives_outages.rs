//! The operator recovers from an outage of the API server or etcd and reports nothing wrong. This
//! is an operator without a Lease; one with a Lease exits when it cannot renew it, and is
//! restarted.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::cluster::{self, cluster};
use super::super::environment::Environment;
use super::super::images;

fn ready_since(env: &Environment) -> Value {
    let instance = env.get("mai/abc").unwrap();
    let conditions = instance["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == "Ready").unwrap().clone()
}

#[test]
fn operator_survives_outages_of_api_server_and_etcd() {
    let _alone = cluster::alone();
    let env = Environment::new("outage");
    // After an outage the kubelet reports a pod's state with a delay; within the start period that
    // is no failure.
    let health = "health: {interval: 1s, timeout: 1s, startPeriod: 2m}";
    env.apply(&env.document("abc", &format!("  image: {}\n  {health}\n", images::fixture())));
    let mut operator = env.operator_with(&["--resync", "1s", "--leader-election", "false"]);
    env.wait_ready(&operator, "abc");
    let (ready, pod) = (ready_since(&env), env.pod("abc"));

    cluster().send("kill", "kube-apiserver");
    env.wait_until(&operator, || "the API server".into(), || env.try_kubectl(&["get", "mai"], "").ok());
    cluster().send("stop", "kube-apiserver");
    std::thread::sleep(Duration::from_secs(5));
    let alive = operator.get("/livez");
    // First, or the next test has no API server.
    cluster().send("start", "kube-apiserver");
    assert_eq!(alive.map(|(status, _)| status), Some(200), "{}", operator.output());
    env.wait_until(&operator, || "the API server".into(), || env.try_kubectl(&["get", "mai"], "").ok());
    cluster().send("restart", "etcd");
    env.wait_until(&operator, || "the database".into(), || env.try_kubectl(&["get", "mai"], "").ok());

    // It was ready all the time, and was reported so.
    assert_eq!(ready_since(&env), ready);
    env.patch("abc", &json!({"displayName": "next"}));
    env.wait_until(
        &operator,
        || "the edit to be served".into(),
        || env.read("abc", "/name").filter(|name| name == "next"),
    );
    env.wait_ready(&operator, "abc");
    assert_eq!(operator.exit_code(), None, "it ended; it said:\n{}", operator.output());
    assert_ne!(env.pod("abc"), pod);
    let events = env.event_reasons();
    for reason in ["ObserveFailed", "ApplyFailed", "Unhealthy"] {
        assert!(!events.contains(reason), "{reason} in {events}");
    }
}
