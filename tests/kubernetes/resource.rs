//! Promise: `MaiInstance` is a resource like any other: explained, defaulted, kept as written, listed with what a provider asks first.

use serde_json::{Value, json};

use super::cluster;
use super::stage::Stage;

use crate::fixtures::compose::wait_until;

#[test]
fn kubectl_explains_every_field() {
    let _shared = cluster::shared();
    let stage = Stage::new("explain");
    let explained = wait_until(
        || "kubectl explain".into(),
        || stage.try_kubectl(&["explain", "maiinstance.spec", "--recursive"], "").ok(),
    );
    for field in ["displayName\t<string> -required-", "apiKeySecretRef", "enum: FirstUserOnly", "deletionPolicy"] {
        assert!(explained.contains(field), "{field} is not in {explained}");
    }
    let field = stage.kubectl(&["explain", "mai.spec.expose.port"]);
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
fn what_was_applied_comes_back_with_its_defaults_and_a_second_time_changes_nothing() {
    let _shared = cluster::shared();
    let stage = Stage::new("round");
    let document = stage.document(
        "abc",
        "  image: mai-production:1.4.0\n  access: {maxUsers: 20}\n  openRouter: {monthlyLimitUsd: 500, markup: '1.3', apiKeySecretRef: {name: upstream, key: key}}\n  storage: {data: {size: 10Gi}}\n  resources: {limits: {cpu: '2', memory: 4Gi}}\n",
    );
    stage.apply(&document);
    let instance = stage.get("maiinstance/abc").unwrap();
    for (pointer, expected) in [
        ("/spec/displayName", json!("abc")),
        ("/spec/access/maxUsers", json!(20)),
        ("/spec/access/signup", json!("FirstUserOnly")),
        ("/spec/openRouter/markup", json!("1.3")),
        ("/spec/resources/limits/memory", json!("4Gi")),
        ("/spec/deletionPolicy", json!("Retain")),
        ("/spec/suspend", json!(false)),
    ] {
        assert_eq!(instance.pointer(pointer), Some(&expected), "{pointer} in {instance:#}");
    }
    // The types read what the API server made of it, and lose nothing.
    let read: mai_operator::api::MaiInstance = serde_json::from_value(instance.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read.spec).unwrap(), instance["spec"]);

    let said = stage.try_kubectl(&["apply", "-f", "-"], &document).unwrap();
    assert!(said.ends_with("unchanged"), "{said}");
    assert_eq!(
        stage.get("maiinstance/abc").unwrap()["metadata"]["resourceVersion"],
        instance["metadata"]["resourceVersion"]
    );
}

#[test]
fn a_list_shows_what_a_provider_asks_first() {
    let _shared = cluster::shared();
    let stage = Stage::new("columns");
    stage.apply(&stage.document("abc", "  expose: {host: abc.example.com}\n"));
    let generation = &stage.get("maiinstance/abc").unwrap()["metadata"]["generation"];
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Ready", "message": "answers",
        "observedGeneration": generation, "lastTransitionTime": "2026-11-24T10:00:00Z",
    });
    let status = json!({"status": {
        "conditions": [ready], "version": "1.4.0", "address": "https://abc.example.com",
        "usage": {"users": 7, "monthSpendUsd": "12.50"},
    }});
    stage.kubectl(&["patch", "mai", "abc", "--subresource=status", "--type=merge", "--patch", &status.to_string()]);
    let listed = stage.kubectl(&["get", "mai"]);
    let mut lines = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let (head, row) = (lines.next().unwrap(), lines.next().unwrap());
    assert_eq!(head, ["NAME", "READY", "REASON", "VERSION", "USERS", "SPEND", "BACKUP", "ADDRESS", "AGE"]);
    // Nothing was backed up, and kubectl leaves that column empty.
    assert_eq!(row[..7], ["abc", "True", "Ready", "1.4.0", "7", "12.50", "https://abc.example.com"]);
    stage.kubectl(&["wait", "--for=condition=Ready", "mai/abc", "--timeout=10s"]);
    assert_eq!(
        stage.kubectl(&["get", "mai", "--field-selector=spec.expose.host=abc.example.com", "-o", "name"]),
        "maiinstance.mai.dev/abc"
    );
    assert_eq!(stage.kubectl(&["get", "mai", "--field-selector=spec.expose.host=other.example.com", "-o", "name"]), "");

    // Status is written beside the spec and not with it.
    stage.kubectl(&["patch", "mai", "abc", "--type=merge", "--patch", "{\"status\": {\"version\": \"9\"}}"]);
    assert_eq!(stage.get("mai/abc").unwrap()["status"]["version"], "1.4.0");
}

#[test]
fn what_cannot_change_later_is_refused_then_and_says_why() {
    let _shared = cluster::shared();
    let stage = Stage::new("changes");
    let document = |size: &str, class: &str, kind: &str| {
        stage.document(
            "abc",
            &format!("  storage: {{data: {{size: {size}, storageClassName: {class}}}}}\n  server: {{kind: {kind}}}\n"),
        )
    };
    stage.apply(&document("10Gi", "fast", "Mai"));
    stage.apply(&document("20Gi", "fast", "Mai"));
    for (document, message) in [
        (document("10Gi", "fast", "Mai"), "a volume's size may grow and never shrink"),
        (document("20Gi", "slow", "Mai"), "storageClassName cannot change after the claim was made"),
        (
            document("20Gi", "fast", "OpenWebUI"),
            "server.kind cannot change: each kind keeps its own database; create another instance",
        ),
    ] {
        let said = stage.refused(&document);
        assert!(said.contains(message), "{message} is not in {said}");
    }
}

#[test]
fn a_misspelt_field_is_refused_with_its_name() {
    let _shared = cluster::shared();
    let stage = Stage::new("misspelt");
    let said = stage.refused(&stage.document("abc", "  expose: {prot: 80}\n"));
    assert!(said.contains("unknown field \"spec.expose.prot\""), "{said}");
    let said = stage.refused("apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {name: abc}\nspec: {}\n");
    assert!(said.contains("spec.displayName: Required value"), "{said}");
    let instances: Value = serde_json::from_str(&stage.kubectl(&["get", "mai", "-o", "json"])).unwrap();
    assert_eq!(instances["items"], json!([]));
}
