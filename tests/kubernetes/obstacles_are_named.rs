//! Whatever keeps a server from running is reported with its reason and the original message until
//! it is resolved.

use serde_json::json;

use super::cluster;
use super::environment::Environment;

#[test]
fn every_obstacle_has_a_reason_and_the_original_message() {
    let _shared = cluster::shared();
    let env = Environment::new("causes");
    env.kubectl(&["create", "secret", "generic", "upstream", "--from-literal=key=sk-or-v1-in-the-log"]);
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
    let operator = env.operator();
    for (name, more) in &cases {
        env.apply(&env.fixture(name, more).replace("startPeriod: 20s", "startPeriod: 300s"));
    }
    env.apply(&env.fixture("image", "").replace("mai-fixture:1", "mai-nothing:7"));
    let expect = |name: &str, reason: &str, parts: &[&str]| {
        let message = env.wait_for_reason(&operator, name, "Ready", reason);
        parts.iter().for_each(|part| assert!(message.contains(part), "{part} is not in {message}"));
        message
    };
    expect("large", "Unschedulable", &["no node takes its pod", "Insufficient cpu"]);
    expect(
        "nowhere",
        "VolumePending",
        &["not bound: ", "mai-nowhere-data", "unbound immediate PersistentVolumeClaims"],
    );
    assert_eq!(env.condition("nowhere", "StorageReady").unwrap().1, "VolumePending");
    expect("image", "ImageUnavailable", &["its image could not be pulled", "mai-nothing:7"]);
    expect("never", "Starting", &["not ready yet"]);
    let crash = expect(
        "crash",
        "CrashLoop",
        &["the server ended with exit code 3", "its last line was: the fixture ends with 3"],
    );
    assert!(crash.contains("its key is [secret]") && !crash.contains("sk-or"), "{crash}");
    for name in ["large", "nowhere", "image", "crash"] {
        assert_eq!(env.condition(name, "Stalled").unwrap().0, "True", "{name}");
    }
    assert_eq!(env.condition("never", "Reconciling").unwrap().0, "True");
    let events = env.kubectl(&["get", "events", "-o", "yaml"]);
    assert!(!events.contains("sk-or-v1-in-the-log") && !operator.output().contains("sk-or-v1-in-the-log"));

    // Each recovers once its cause is resolved.
    env.patch("large", &json!({"resources": {"requests": {"cpu": "10m"}}}));
    env.patch("image", &json!({"image": "mai-fixture:1"}));
    env.patch("crash", &json!({"server": {"env": []}}));
    ["large", "image", "crash"].iter().for_each(|name| env.wait_ready(&operator, name));
}

/// Refuses each EndpointSlice of a namespace.
const NO_ENDPOINTS: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NAMESPACE}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
    resourceRules: [{apiGroups: [discovery.k8s.io], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [endpointslices]}]
  validations: [{expression: "false"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NAMESPACE}
spec: {policyName: NAMESPACE, validationActions: [Deny]}
"#;

#[test]
fn service_that_leads_to_no_pod_is_named() {
    let _shared = cluster::shared();
    let env = Environment::new("unreached");
    env.apply(&NO_ENDPOINTS.replace("NAMESPACE", &env.namespace));
    let operator = env.operator();
    // A policy takes a moment to be in force.
    let is_in_force = || {
        let slice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: probe}\naddressType: IPv4\nendpoints: []\n";
        let refused = env.try_kubectl(&["create", "-f", "-"], slice).is_err();
        if !refused {
            env.kubectl(&["delete", "endpointslice/probe"]);
        }
        refused.then_some(())
    };
    env.wait_until(&operator, || "the policy to be in force".into(), is_in_force);
    env.apply(&env.fixture("abc", "").replace("startPeriod: 20s", "startPeriod: 1s"));
    let message = env.wait_for_reason(&operator, "abc", "Ready", "NoEndpoints");
    assert!(message.contains("its pod is ready, and Service mai-abc has no endpoint"), "{message}");
    assert_eq!(env.condition("abc", "Stalled").unwrap().0, "True");
    env.kubectl(&["delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", &env.namespace]);
    // The controller tries again by itself, and at once when the Service changes.
    env.kubectl(&["annotate", "service/mai-abc", "example.com/again=1"]);
    env.wait_ready(&operator, "abc");
}

#[test]
fn quota_refusal_of_pod_or_claim_is_quoted() {
    let _shared = cluster::shared();
    let env = Environment::new("quota");
    let operator = env.operator();
    env.apply_quota(&operator, "small", "pods", 0);
    env.apply(&env.fixture("pod", ""));
    let message = env.wait_for_reason(&operator, "pod", "Ready", "Refused");
    assert!(message.contains("its pod is refused") && message.contains("exceeded quota: small"), "{message}");
    env.kubectl(&["delete", "resourcequota", "small"]);
    env.wait_ready(&operator, "pod");

    env.apply_quota(&operator, "small", "persistentvolumeclaims", 0);
    env.apply(&env.fixture("claim", ""));
    let message = env.wait_for_reason(&operator, "claim", "Ready", "ApplyFailed");
    assert!(message.contains("exceeded quota: small"), "{message}");
    env.kubectl(&["delete", "resourcequota", "small"]);
    env.wait_ready(&operator, "claim");
}
