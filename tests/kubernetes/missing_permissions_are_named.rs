//! A missing permission is named and affects nothing else.

use std::process::Command;

use serde_json::{Value, json};

use super::cluster;
use super::environment::Environment;
use super::operator::Operator;
use super::whole_cluster::chart_permissions_suffice::{BACKUP, chart_rules, confined};

/// Starts an operator with the permissions of the chart in its namespace, without a verb for a
/// resource. Returns the place of its kubeconfig too.
fn start_without(env: &Environment, resource: &str, verb: &str) -> (tempfile::TempDir, Operator) {
    let rules = without(&chart_rules("ClusterRole", "mai-operator"), resource, verb);
    let (directory, kubeconfig) = confined(env, &rules, false);
    let arguments = ["--namespaces", &env.namespace, "--lease-namespace", &env.namespace, "--resync", "1s"];
    (directory, Operator::start(&kubeconfig, &arguments))
}

/// Returns the rules without a verb for a resource.
fn without(rules: &Value, resource: &str, verb: &str) -> Value {
    let mut rules = rules.clone();
    for rule in rules.as_array_mut().unwrap() {
        if rule["resources"].as_array().unwrap().iter().any(|found| found == resource) {
            rule["verbs"].as_array_mut().unwrap().retain(|found| found != verb);
        }
    }
    rules
}

#[test]
fn kind_that_may_not_be_watched_is_named_and_nothing_changed() {
    let _shared = cluster::shared();
    let env = Environment::new("unseen");
    let (_place, mut operator) = start_without(&env, "networkpolicies", "watch");
    env.apply(&env.fixture("abc", ""));
    let message = env.wait_for_reason(&operator, "abc", "Ready", "ObserveFailed");
    assert!(message.contains("NetworkPolicy") && message.contains("forbidden"), "{message}");
    let (status, output) = operator.get("/readyz").unwrap();
    assert!(status == 503 && output.contains("NetworkPolicy"), "{status} {output}");
    assert_eq!(operator.get("/livez").map(|(status, _)| status), Some(200));
    assert!(env.pod("abc").is_none());
    assert_eq!(operator.exit_code(), None);
    // It recovers once it has the permission.
    let all = chart_rules("ClusterRole", "mai-operator");
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": env.namespace}, "rules": all});
    env.apply(&role.to_string());
    env.wait_ready(&operator, "abc");
    operator.wait_ready();
}

#[test]
fn kind_that_may_not_be_created_is_named_by_each_instance() {
    let _shared = cluster::shared();
    let env = Environment::new("unmade");
    let (_place, mut operator) = start_without(&env, "poddisruptionbudgets", "patch");
    env.apply(&env.fixture("abc", ""));
    let message = env.wait_for_reason(&operator, "abc", "Ready", "ApplyFailed");
    assert!(message.contains("poddisruptionbudgets") && message.contains("forbidden"), "{message}");
    assert_eq!(operator.exit_code(), None);
}

#[test]
fn without_the_permission_for_jobs_backups_alone_fail() {
    let _shared = cluster::shared();
    let env = Environment::new("unsaved");
    let (_place, operator) = start_without(&env, "jobs", "watch");
    env.apply(&env.fixture("abc", ""));
    env.wait_ready(&operator, "abc");
    env.apply(BACKUP);
    let message = env.wait_until(
        &operator,
        || "the request to be answered".into(),
        || {
            let status = env.get("maibackup/first")?["status"].clone();
            (status["phase"] == "Failed").then(|| status["message"].as_str().unwrap_or_default().to_owned())
        },
    );
    assert!(message.contains("jobs") && message.contains("forbidden"), "{message}");
    assert_eq!(env.condition("abc", "Ready").unwrap().0, "True");
}

#[test]
fn reader_of_instances_alone_sees_their_state() {
    let _shared = cluster::shared();
    let env = Environment::new("reader");
    let rules = json!([{"apiGroups": ["mai.dev"], "resources": ["maiinstances"], "verbs": ["get", "list", "watch"]}]);
    let (_place, kubeconfig) = confined(&env, &rules, false);
    env.apply(&env.fixture("abc", ""));
    let status = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mai"))
            .args(["kube", "status", "--namespace", &env.namespace])
            .args(arguments)
            .env("KUBECONFIG", &kubeconfig)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let one = status(&["abc"]);
    assert!(one.contains("abc") && one.contains("events are left out") && one.contains("forbidden"), "{one}");
    assert!(status(&["-o", "wide"]).contains("unknown"));
}
