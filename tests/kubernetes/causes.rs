//! Promise: whatever keeps a server from running is named by its cause, in the cluster's own words, and goes away with it.

use serde_json::json;

use super::cluster;
use super::stage::Stage;

#[test]
fn each_cause_has_a_reason_and_the_words_of_who_refuses() {
    let _shared = cluster::shared();
    let stage = Stage::new("causes");
    stage.kubectl(&["create", "secret", "generic", "upstream", "--from-literal=key=sk-or-v1-in-the-log"]);
    let key = "openRouter: {apiKeySecretRef: {name: upstream, key: key}}";
    let cases = [
        (
            "crash",
            format!(
                "  {key}\n  server: {{env: [{{name: FIXTURE_EXIT, value: '3:0.2'}}, {{name: FIXTURE_READY, value: never}}]}}\n"
            ),
        ),
        ("large", "  resources: {requests: {cpu: '900'}}\n".to_owned()),
        ("nowhere", "  storage: {data: {size: 1Gi, storageClassName: nowhere}}\n".to_owned()),
        ("never", "  server: {env: [{name: FIXTURE_READY, value: never}]}\n".to_owned()),
    ];
    let operator = stage.operator();
    for (name, more) in &cases {
        stage.apply(&stage.fixture(name, more).replace("startPeriod: 20s", "startPeriod: 300s"));
    }
    stage.apply(&stage.fixture("image", "").replace("mai-fixture:1", "mai-nothing:7"));
    let told = |name: &str, reason: &str, parts: &[&str]| {
        let message = stage.wait_for_reason(&operator, name, "Ready", reason);
        parts.iter().for_each(|part| assert!(message.contains(part), "{part} is not in {message}"));
        message
    };
    told("large", "Unschedulable", &["no node takes its pod", "Insufficient cpu"]);
    told("nowhere", "VolumePending", &["not bound: ", "mai-nowhere-data", "unbound immediate PersistentVolumeClaims"]);
    assert_eq!(stage.condition("nowhere", "StorageReady").unwrap().1, "VolumePending");
    told("image", "ImageUnavailable", &["its image cannot be had", "mai-nothing:7"]);
    told("never", "Starting", &["not ready yet"]);
    let crash = told(
        "crash",
        "CrashLoop",
        &["the server ended with exit code 3", "its last line was: the fixture ends with 3"],
    );
    assert!(crash.contains("its key is [secret]") && !crash.contains("sk-or"), "{crash}");
    for name in ["large", "nowhere", "image", "crash"] {
        assert_eq!(stage.condition(name, "Stalled").unwrap().0, "True", "{name}");
    }
    assert_eq!(stage.condition("never", "Reconciling").unwrap().0, "True");
    let events = stage.kubectl(&["get", "events", "-o", "yaml"]);
    assert!(!events.contains("sk-or-v1-in-the-log") && !operator.output().contains("sk-or-v1-in-the-log"));

    // Each goes on by itself once its cause is gone.
    stage.patch("large", &json!({"resources": {"requests": {"cpu": "10m"}}}));
    stage.patch("image", &json!({"image": "mai-fixture:1"}));
    stage.patch("crash", &json!({"server": {"env": []}}));
    ["large", "image", "crash"].iter().for_each(|name| stage.wait_ready(&operator, name));
}

#[test]
fn a_quota_that_refuses_the_pod_or_a_claim_is_told_in_its_words() {
    let _shared = cluster::shared();
    let stage = Stage::new("quota");
    let operator = stage.operator();
    let quota = |of: &str| {
        stage.apply(&format!(
            "apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: small}}\nspec: {{hard: {{{of}: '0'}}}}\n"
        ));
    };
    quota("pods");
    stage.apply(&stage.fixture("pod", ""));
    let message = stage.wait_for_reason(&operator, "pod", "Ready", "Refused");
    assert!(message.contains("its pod is refused") && message.contains("exceeded quota: small"), "{message}");
    stage.kubectl(&["delete", "resourcequota", "small"]);
    stage.wait_ready(&operator, "pod");

    quota("persistentvolumeclaims");
    stage.apply(&stage.fixture("claim", ""));
    let message = stage.wait_for_reason(&operator, "claim", "Ready", "ApplyFailed");
    assert!(message.contains("exceeded quota: small"), "{message}");
    stage.kubectl(&["delete", "resourcequota", "small"]);
    stage.wait_ready(&operator, "claim");
}
