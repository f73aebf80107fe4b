//! `MaiInstance` works with kubectl: explain, defaults, repeated apply, printed columns and
//! refusals.

use serde_json::{Value, json};

use super::cluster;
use super::environment::Environment;

use crate::fixtures::compose::wait_until;

#[test]
fn kubectl_explains_every_field() {
    let _shared = cluster::shared();
    let env = Environment::new("explain");
    let explained = wait_until(
        || "kubectl explain".into(),
        || env.try_kubectl(&["explain", "maiinstance.spec", "--recursive"], "").ok(),
    );
    for field in ["displayName\t<string> -required-", "apiKeySecretRef", "enum: FirstUserOnly", "deletionPolicy"] {
        assert!(explained.contains(field), "{field} is not in {explained}");
    }
    let field = env.kubectl(&["explain", "mai.spec.expose.port"]);
    assert!(field.contains("FIELD: port <integer>"), "{field}");
    assert!(
        field
            .lines()
            .skip_while(|line| !line.contains("DESCRIPTION"))
            .nth(1)
            .is_some_and(|text| text.trim().len() > 10)
    );
}

#[test]
fn applied_document_gets_defaults_and_reapplies_unchanged() {
    let _shared = cluster::shared();
    let env = Environment::new("round");
    let document = env.document(
        "abc",
        "  image: mai-production:1.4.0\n  access: {maxUsers: 20}\n  openRouter: {apiKeySecretRef: {name: upstream, key: key}}\n  storage: {data: {size: 10Gi}}\n  resources: {limits: {cpu: '2', memory: 4Gi}}\n",
    );
    env.apply(&document);
    let instance = env.get("maiinstance/abc").unwrap();
    for (pointer, expected) in [
        ("/spec/displayName", json!("abc")),
        ("/spec/access/maxUsers", json!(20)),
        ("/spec/access/signup", json!("FirstUserOnly")),
        ("/spec/openRouter/baseUrl", json!("https://openrouter.ai/api/v1")),
        ("/spec/resources/limits/memory", json!("4Gi")),
        ("/spec/deletionPolicy", json!("Retain")),
        ("/spec/suspend", json!(false)),
    ] {
        assert_eq!(instance.pointer(pointer), Some(&expected), "{pointer} in {instance:#}");
    }
    // Our types read the stored object without loss.
    let read: mai_operator::api::MaiInstance = serde_json::from_value(instance.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read.spec).unwrap(), instance["spec"]);

    let message = env.try_kubectl(&["apply", "-f", "-"], &document).unwrap();
    assert!(message.ends_with("unchanged"), "{message}");
    assert_eq!(
        env.get("maiinstance/abc").unwrap()["metadata"]["resourceVersion"],
        instance["metadata"]["resourceVersion"]
    );
}

#[test]
fn list_shows_the_main_columns() {
    let _shared = cluster::shared();
    let env = Environment::new("columns");
    env.apply(&env.document("abc", "  expose: {host: abc.example.com}\n"));
    let generation = &env.get("maiinstance/abc").unwrap()["metadata"]["generation"];
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Ready", "message": "answers",
        "observedGeneration": generation, "lastTransitionTime": "2026-11-24T10:00:00Z",
    });
    let status = json!({"status": {
        "conditions": [ready], "version": "1.4.0", "address": "https://abc.example.com",
        "backup": {"lastVerified": "2020-01-01T00:00:00Z"},
        "usage": {
            "accounts": 7, "activePeople": 5, "month": "2026-11", "costUsd": "12.34", "priceUsd": "16.04",
            "asOf": "2026-11-24T10:00:00Z",
        },
    }});
    env.kubectl(&["patch", "mai", "abc", "--subresource=status", "--type=merge", "--patch", &status.to_string()]);
    let listed = env.kubectl(&["get", "mai"]);
    let mut lines = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let (head, row) = (lines.next().unwrap(), lines.next().unwrap());
    assert_eq!(head, ["NAME", "READY", "REASON", "VERSION", "USERS", "SPEND", "ADDRESS", "BACKUP", "AGE"]);
    assert_eq!(row[..7], ["abc", "True", "Ready", "1.4.0", "7", "12.34", "https://abc.example.com"]);
    assert!(row[7].ends_with('y') || row[7].ends_with('d'), "the age of the newest verified backup: {row:?}");
    env.kubectl(&["wait", "--for=condition=Ready", "mai/abc", "--timeout=10s"]);
    assert_eq!(
        env.kubectl(&["get", "mai", "--field-selector=spec.expose.host=abc.example.com", "-o", "name"]),
        "maiinstance.mai.dev/abc"
    );
    assert_eq!(env.kubectl(&["get", "mai", "--field-selector=spec.expose.host=other.example.com", "-o", "name"]), "");

    // The status is a subresource.
    env.kubectl(&["patch", "mai", "abc", "--type=merge", "--patch", "{\"status\": {\"version\": \"9\"}}"]);
    assert_eq!(env.get("mai/abc").unwrap()["status"]["version"], "1.4.0");
}

#[test]
fn immutable_field_change_is_refused_with_its_cause() {
    let _shared = cluster::shared();
    let env = Environment::new("changes");
    let document = |size: &str, class: &str, kind: &str| {
        env.document(
            "abc",
            &format!("  storage: {{data: {{size: {size}, storageClassName: {class}}}}}\n  server: {{kind: {kind}}}\n"),
        )
    };
    env.apply(&document("10Gi", "fast", "Mai"));
    env.apply(&document("20Gi", "fast", "Mai"));
    for (document, message) in [
        (document("10Gi", "fast", "Mai"), "a volume's size may grow and never shrink"),
        (document("20Gi", "slow", "Mai"), "storageClassName cannot change after the claim was made"),
        (
            document("20Gi", "fast", "OpenWebUI"),
            "server.kind cannot change: each kind has its own database; create another instance",
        ),
    ] {
        let refusal = env.refusal(&document);
        assert!(refusal.contains(message), "{message} is not in {refusal}");
    }
}

#[test]
fn misspelt_field_is_refused_with_its_name() {
    let _shared = cluster::shared();
    let env = Environment::new("misspelt");
    let message = env.refusal(&env.document("abc", "  expose: {prot: 80}\n"));
    assert!(message.contains("unknown field \"spec.expose.prot\""), "{message}");
    let message = env.refusal("apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {name: abc}\nspec: {}\n");
    assert!(message.contains("spec.displayName: Required value"), "{message}");
    let instances: Value = serde_json::from_str(&env.kubectl(&["get", "mai", "-o", "json"])).unwrap();
    assert_eq!(instances["items"], json!([]));
}
