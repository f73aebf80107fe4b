//! A volume grows with its document; where it cannot, that is reported and the client keeps
//! running.

use std::time::Duration;

use serde_json::json;

use super::cluster;
use super::environment::Environment;
use super::operator::Operator;

fn wait_storage(env: &Environment, operator: &Operator, name: &str, status: &str) {
    let condition = || env.condition(name, "StorageReady");
    env.wait_until(
        operator,
        || format!("StorageReady of {name} to be {status}; it is {:?}", condition()),
        || condition().filter(|(found, ..)| found == status),
    );
}

#[test]
fn volume_grows_if_its_class_permits() {
    let _shared = cluster::shared();
    let env = Environment::new("volumes");
    let storage = |class: &str| {
        format!("  storage: {{data: {{size: 1Gi, storageClassName: {class}}}, backups: {{size: 1Gi}}}}\n")
    };
    env.apply(&env.fixture("grows", &storage("standard")));
    env.apply(&env.fixture("stays", &storage("fixed")));
    let operator = env.operator();
    let names = ["grows", "stays"];
    names.iter().for_each(|name| env.wait_ready(&operator, name));
    let pods = names.map(|name| env.pod(name));
    wait_storage(&env, &operator, "stays", "True");

    names.iter().for_each(|name| env.patch(name, &json!({"storage": {"data": {"size": "2Gi"}}})));
    env.wait_until(
        &operator,
        || "the volume to grow".into(),
        || (env.get("pvc/mai-grows-data")?["status"]["capacity"]["storage"] == "2Gi").then_some(()),
    );
    let message = env.wait_for_reason(&operator, "stays", "StorageReady", "ResizeFailed");
    assert!(message.contains("mai-stays-data stays at 1Gi"), "{message}");
    names.iter().for_each(|name| env.wait_ready(&operator, name));
    wait_storage(&env, &operator, "grows", "True");
    assert_eq!(names.map(|name| env.pod(name)), pods, "a server was replaced for it");

    // Other changes are still applied, and another operator reports the same.
    operator.stop();
    let operator = env.operator();
    env.patch("stays", &json!({"displayName": "next"}));
    env.wait_ready(&operator, "stays");
    env.wait_served(&operator, "stays", "/name", "next");
    env.wait_for_reason(&operator, "stays", "StorageReady", "ResizeFailed");
    wait_storage(&env, &operator, "stays", "False");
}

#[test]
fn two_fixed_volumes_are_reported_and_requested_once() {
    let _shared = cluster::shared();
    let env = Environment::new("both-volumes");
    let class = "size: 1Gi, storageClassName: fixed";
    env.apply(&env.fixture("stays", &format!("  storage: {{data: {{{class}}}, backups: {{{class}}}}}\n")));
    let operator = env.operator();
    env.wait_ready(&operator, "stays");
    env.patch("stays", &json!({"storage": {"data": {"size": "2Gi"}, "backups": {"size": "3Gi"}}}));
    env.wait_until(
        &operator,
        || "both volumes to be told".into(),
        || {
            let (_, _, message) = env.condition("stays", "StorageReady")?;
            ["mai-stays-data stays at 1Gi", "mai-stays-backups stays at 1Gi"]
                .iter()
                .all(|sentence| message.contains(sentence))
                .then_some(())
        },
    );
    env.wait_ready(&operator, "stays");
    let settled = operator.passes();
    std::thread::sleep(Duration::from_secs(5));
    let passes = operator.passes() - settled;
    assert!(passes < 5.0, "it is asked for again and again; it said:\n{}", operator.output());
}

/// Makes every change of a claim of the namespace fail with an error of the API server.
fn fail_claim_updates(env: &Environment) {
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": env.namespace},
        "webhooks": [{
            "name": "unavailable.mai.test", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Fail", "timeoutSeconds": 1,
            // Nothing listens there.
            "clientConfig": {"url": "https://127.0.0.1:1/"},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": env.namespace}},
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"],
                "resources": ["persistentvolumeclaims"],
            }],
        }],
    });
    env.apply(&webhook.to_string());
}

#[test]
fn failure_of_the_api_server_is_no_lasting_refusal() {
    let _shared = cluster::shared();
    let env = Environment::new("webhook");
    env.apply(&env.fixture("abc", "  storage: {data: {size: 1Gi}, backups: {size: 1Gi}}\n"));
    let operator = env.operator();
    env.wait_ready(&operator, "abc");
    fail_claim_updates(&env);
    // The API server takes a moment to call a new webhook.
    env.wait_until(
        &operator,
        || "the webhook to fail".into(),
        || env.try_kubectl(&["annotate", "pvc/mai-abc-backups", "a=b", "--overwrite"], "").err(),
    );
    env.patch("abc", &json!({"storage": {"data": {"size": "2Gi"}}}));
    env.wait_until(
        &operator,
        || "an attempt".into(),
        || operator.output().contains("failed calling webhook").then_some(()),
    );
    assert_eq!(env.condition("abc", "StorageReady").unwrap().0, "True", "it is no refusal");

    // It is repeated within the minute of the longest back-off; a resync comes after five.
    env.kubectl(&["delete", "validatingwebhookconfiguration", &env.namespace]);
    env.wait_until(
        &operator,
        || "the volume to grow".into(),
        || (env.get("pvc/mai-abc-data")?["status"]["capacity"]["storage"] == "2Gi").then_some(()),
    );
    env.wait_ready(&operator, "abc");
    wait_storage(&env, &operator, "abc", "True");
}

#[test]
fn existing_claim_is_used_and_never_deleted() {
    let _shared = cluster::shared();
    let env = Environment::new("existing");
    env.apply("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: archive}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n");
    let operator = env.operator();
    env.apply(&env.fixture("abc", "  storage: {data: {size: 1Gi, volumeName: archive}}\n  deletionPolicy: Delete\n"));
    env.wait_ready(&operator, "abc");
    assert!(env.get("pvc/mai-abc-data").is_none());
    let archive = env.get("pvc/archive").unwrap();
    assert_eq!(archive["status"]["phase"], "Bound");
    env.kubectl(&["delete", "mai/abc", "--timeout=3m"]);
    env.wait_until(&operator, || "all else to be gone".into(), || env.children("abc").is_empty().then_some(()));
    assert!(env.get("pvc/archive").unwrap()["metadata"]["deletionTimestamp"].is_null());
}
