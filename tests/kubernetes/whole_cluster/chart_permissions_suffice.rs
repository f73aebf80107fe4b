//! The permissions of the chart suffice for all that the operator does.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::cluster;
use super::super::environment::Environment;
use super::super::images;
use super::super::operator::Operator;

pub const BACKUP: &str =
    "apiVersion: mai.dev/v1alpha1\nkind: MaiBackup\nmetadata: {name: first}\nspec: {instance: abc}\n";
const RESTORE: &str =
    "apiVersion: mai.dev/v1alpha1\nkind: MaiRestore\nmetadata: {name: first}\nspec: {instance: abc, from: {}}\n";

/// Returns the rules of a role of the chart with default values.
pub fn chart_rules(kind: &str, name: &str) -> Value {
    let rendered = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart/snapshots/default.yaml");
    let rendered = std::fs::read_to_string(rendered).unwrap();
    // Each file of the chart begins with a comment, each document with a separator.
    let documents = rendered.split("\n# ").flat_map(|file| file.split("---\n"));
    let documents = documents.filter_map(|text| {
        let from = text.find("apiVersion:")?;
        serde_saphyr::from_str::<Value>(&text[from..]).ok()
    });
    let mut found = documents.filter(|document| document["kind"] == kind && document["metadata"]["name"] == name);
    found.next().unwrap_or_else(|| panic!("the chart has no {kind} {name}"))["rules"].clone()
}

/// Creates a ServiceAccount with these rules in the namespace or everywhere, and those for its
/// Lease; returns its kubeconfig.
pub fn confined(env: &Environment, rules: &Value, everywhere: bool) -> (tempfile::TempDir, PathBuf) {
    let (name, namespace) = (&env.namespace, &env.namespace);
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
    env.apply(&documents.map(|document| document.to_string()).join("\n---\n"));
    let token = env.kubectl(&["create", "token", "operator"]);
    let config = env.kubectl(&["config", "view", "--raw", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["users"][0]["user"] = json!({"token": token});
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    (directory, path)
}

#[test]
fn chart_permissions_suffice_for_a_client_lifecycle() {
    // It reconciles every namespace.
    let _alone = cluster::alone();
    let env = Environment::new("rights");
    let (_place, kubeconfig) = confined(&env, &chart_rules("ClusterRole", "mai-operator"), true);
    let arguments = ["--lease-namespace", &env.namespace, "--resync", "2s", "--helper-image", images::own()];
    let operator = Operator::start(&kubeconfig, &arguments);
    operator.wait_ready();
    env.kubectl(&["create", "secret", "generic", "upstream", "--from-literal=key=sk-or-v1-a"]);
    env.apply(&env.fixture(
        "abc",
        "  deletionPolicy: Delete\n  openRouter: {apiKeySecretRef: {name: upstream, key: key}}\n  expose: {host: abc.example.com, ingress: {className: nginx}}\n",
    ));
    env.wait_ready(&operator, "abc");
    env.kubectl(&["delete", "service,networkpolicy,poddisruptionbudget,ingress", "mai-abc"]);
    env.kubectl(&["set", "env", "deployment/mai-abc", "ADDED=by hand"]);
    env.wait_until(&operator, || "all of it to come back".into(), || (env.children("abc").len() == 10).then_some(()));
    env.apply(BACKUP);
    env.kubectl(&["wait", "--for=condition=Ready", "maibackup/first", "--timeout=3m"]);
    env.apply(RESTORE);
    env.kubectl(&["wait", "--for=condition=Ready", "mairestore/first", "--timeout=3m"]);
    // Without the permission to list Secrets a rotation is noticed at the next pass.
    env.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: upstream}\nstringData: {key: sk-or-v1-b}\n");
    env.wait_until(
        &operator,
        || "the rotated key".into(),
        || env.read("abc", "/secret/OPENAI_API_KEY").filter(|key| key == "sk-or-v1-b"),
    );
    env.patch("abc", &json!({"server": {"env": [{"name": "FIXTURE_EXIT", "value": "3:0"}, {"name": "FIXTURE_READY", "value": "never"}]}}));
    let message = env.wait_for_reason(&operator, "abc", "Ready", "RolledBack");
    assert!(message.contains("its last line was: the fixture ends with 3"), "{message}");
    let events = env.event_reasons();
    assert!(events.contains("RolledBack"), "{events}");
    env.kubectl(&["delete", "mai/abc", "--timeout=3m"]);
    env.wait_until(&operator, || "nothing to be left".into(), || env.children("abc").is_empty().then_some(()));
    let output = operator.output();
    operator.stop();
    env.kubectl(&["delete", "clusterrole,clusterrolebinding", &env.namespace]);
    assert!(!output.contains("forbidden"), "{output}");
}

#[test]
fn secret_applied_later_is_noticed_without_a_watch() {
    let _alone = cluster::alone();
    let env = Environment::new("later-secret");
    let (_place, kubeconfig) = confined(&env, &chart_rules("ClusterRole", "mai-operator"), true);
    let operator = Operator::start(&kubeconfig, &["--lease-namespace", &env.namespace]);
    operator.wait_ready();
    let passes = || operator.passes();
    // Returns the passes until the message has a part, after the Secret was changed.
    let passes_until = |part: &str| {
        let before = passes();
        env.wait_until(
            &operator,
            || format!("{part} to be reported"),
            || env.condition("abc", "Stalled").filter(|(_, _, message)| message.contains(part)),
        );
        passes() - before
    };
    let (counted, since) = (passes(), std::time::Instant::now());
    env.apply(&env.fixture("abc", "  openRouter: {apiKeySecretRef: {name: upstream, key: key}}\n"));
    passes_until("is not in namespace");
    // The first come at once. Nothing else happens to the instance, so the others are checks of the
    // Secret, after 1, 2, 4 … s. At an interval of 15 s three of them would take 45 s.
    env.wait_until(&operator, || "some checks".into(), || (passes() >= counted + 6.0).then_some(()));
    assert!(since.elapsed().as_secs() < 40, "the checks took {:?}", since.elapsed());

    // A Secret without the key is not cached until the next resync either, 5 minutes later.
    env.kubectl(&["create", "secret", "generic", "upstream", "--from-literal=other=x"]);
    assert!(passes_until("has no key") <= 4.0);
    env.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: upstream}\nstringData: {key: sk-or-v1-a}\n");
    env.wait_ready(&operator, "abc");
    operator.stop();
    env.kubectl(&["delete", "clusterrole,clusterrolebinding", &env.namespace]);
}
