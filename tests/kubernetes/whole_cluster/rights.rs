//! Promise: the rights that the chart gives are enough, and one that is missing is named and keeps nothing else from going on.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::cluster::{self, cluster};
use super::super::operator::Operator;
use super::super::stage::Stage;

/// The rules of the chart's roles, as they are rendered by default.
fn chart_rules(kind: &str, name: &str) -> Value {
    let rendered = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart/snapshots/default.yaml");
    let rendered = std::fs::read_to_string(rendered).unwrap();
    // Files of the chart begin with a comment, documents with a line.
    let documents = rendered.split("\n# ").flat_map(|file| file.split("---\n"));
    let documents = documents.filter_map(|text| {
        let from = text.find("apiVersion:")?;
        serde_saphyr::from_str::<Value>(&text[from..]).ok()
    });
    let mut found = documents.filter(|document| document["kind"] == kind && document["metadata"]["name"] == name);
    found.next().unwrap_or_else(|| panic!("the chart has no {kind} {name}"))["rules"].clone()
}

/// A ServiceAccount of the namespace with these rules there, or everywhere, and the rules for its Lease. Returns its kubeconfig.
fn confined(stage: &Stage, rules: &Value, everywhere: bool) -> (tempfile::TempDir, PathBuf) {
    let (name, namespace) = (&stage.namespace, &stage.namespace);
    let role = |kind: &str, name: &str, rules: &Value| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "rules": rules});
    let binding = |kind: &str, of: &str, name: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": of, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}],
        })
    };
    let documents = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator"}}),
        role("Role", "lease", &chart_rules("Role", "mai-operator-lease")),
        binding("RoleBinding", "Role", "lease"),
        role(if everywhere { "ClusterRole" } else { "Role" }, name, rules),
        if everywhere {
            binding("ClusterRoleBinding", "ClusterRole", name)
        } else {
            binding("RoleBinding", "Role", name)
        },
    ];
    stage.apply(&documents.map(|document| document.to_string()).join("\n---\n"));
    let token = stage.kubectl(&["create", "token", "operator"]);
    let config = stage.kubectl(&["config", "view", "--raw", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["users"][0]["user"] = json!({"token": token});
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    (place, path)
}

/// The rules without a verb for a resource.
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
fn the_rights_of_the_chart_are_enough_for_the_whole_life_of_a_client() {
    // It looks after every namespace.
    let _alone = cluster::alone();
    let stage = Stage::new("rights");
    let (_place, kubeconfig) = confined(&stage, &chart_rules("ClusterRole", "mai-operator"), true);
    let operator = Operator::start(&kubeconfig, &["--lease-namespace", &stage.namespace, "--resync", "2s"]);
    operator.wait_ready();
    stage.kubectl(&["create", "secret", "generic", "upstream", "--from-literal=key=sk-or-v1-a"]);
    stage.apply(&stage.fixture(
        "abc",
        "  deletionPolicy: Delete\n  openRouter: {apiKeySecretRef: {name: upstream, key: key}}\n  expose: {host: abc.example.com, ingress: {className: nginx}}\n",
    ));
    stage.wait_ready(&operator, "abc");
    stage.kubectl(&["delete", "service,networkpolicy,poddisruptionbudget,ingress", "mai-abc"]);
    stage.kubectl(&["set", "env", "deployment/mai-abc", "ADDED=by hand"]);
    stage.wait_until(
        &operator,
        || "all of it to come back".into(),
        || (stage.children("abc").len() == 10).then_some(()),
    );
    // Without the right to list Secrets a rotated one is seen at the next look.
    stage.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: upstream}\nstringData: {key: sk-or-v1-b}\n");
    stage.wait_until(
        &operator,
        || "the rotated key".into(),
        || stage.read("abc", "/secret/OPENAI_API_KEY").filter(|key| key == "sk-or-v1-b"),
    );
    stage.patch("abc", &json!({"server": {"env": [{"name": "FIXTURE_EXIT", "value": "3:0"}, {"name": "FIXTURE_READY", "value": "never"}]}}));
    let message = stage.wait_for_reason(&operator, "abc", "Ready", "RolledBack");
    assert!(message.contains("its last line was: the fixture ends with 3"), "{message}");
    let events = stage.event_reasons();
    assert!(events.contains("RolledBack"), "{events}");
    stage.kubectl(&["delete", "mai/abc", "--timeout=60s"]);
    stage.wait_until(&operator, || "nothing to be left".into(), || stage.children("abc").is_empty().then_some(()));
    let said = operator.output();
    operator.stop();
    stage.kubectl(&["delete", "clusterrole,clusterrolebinding", &stage.namespace]);
    assert!(!said.contains("forbidden"), "{said}");
}

#[test]
fn a_right_that_is_missing_is_named_and_nothing_else_is_kept_from_going_on() {
    let _shared = cluster::shared();
    let all = chart_rules("ClusterRole", "mai-operator");
    let start = |stage: &Stage, rules: &Value| {
        let (place, kubeconfig) = confined(stage, rules, false);
        let arguments = ["--namespaces", &stage.namespace, "--lease-namespace", &stage.namespace, "--resync", "1s"];
        (place, Operator::start(&kubeconfig, &arguments))
    };

    // Without seeing a kind nothing can be known: that is said, and nothing is touched.
    let unseen = Stage::new("unseen");
    let (_place, mut blind) = start(&unseen, &without(&all, "networkpolicies", "watch"));
    unseen.apply(&unseen.fixture("abc", ""));
    let message = unseen.wait_for_reason(&blind, "abc", "Ready", "ObserveFailed");
    assert!(message.contains("NetworkPolicy") && message.contains("forbidden"), "{message}");
    let (status, said) = blind.get("/readyz").unwrap();
    assert!(status == 503 && said.contains("NetworkPolicy"), "{status} {said}");
    assert_eq!(blind.get("/livez").map(|(status, _)| status), Some(200));
    assert!(unseen.pod("abc").is_none());
    assert_eq!(blind.exit_code(), None);
    // It goes on by itself once it has the right.
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": unseen.namespace}, "rules": all});
    unseen.apply(&role.to_string());
    unseen.wait_ready(&blind, "abc");
    blind.wait_ready();

    // Without a right to make something, each instance says what was refused.
    let unmade = Stage::new("unmade");
    let (_place, mut bound) = start(&unmade, &without(&all, "poddisruptionbudgets", "patch"));
    unmade.apply(&unmade.fixture("abc", ""));
    let message = unmade.wait_for_reason(&bound, "abc", "Ready", "ApplyFailed");
    assert!(message.contains("poddisruptionbudgets") && message.contains("forbidden"), "{message}");
    assert_eq!(bound.exit_code(), None);
    assert!(cluster().kubeconfig().exists());
}
