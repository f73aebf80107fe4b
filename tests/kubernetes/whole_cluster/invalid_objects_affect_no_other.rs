//! An object that this version cannot parse is reported and affects no other; a missing CRD is
//! named.

use serde_json::{Value, json};

use super::super::cluster::{self, cluster};
use super::super::environment::Environment;

const DEFINITION: &str = "crd/maiinstances.mai.dev";

/// Restores the committed CRD at the end of a test.
struct RestoredDefinition;

impl Drop for RestoredDefinition {
    fn drop(&mut self) {
        cluster().install_definitions();
    }
}

/// Returns a CRD that accepts anything, as an older one may.
fn permissive_definition(env: &Environment) -> String {
    let mut definition = env.get(DEFINITION).unwrap();
    for version in definition["spec"]["versions"].as_array_mut().unwrap() {
        version["schema"] =
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        version["selectableFields"] = Value::Null;
    }
    definition["metadata"] = json!({"name": "maiinstances.mai.dev"});
    definition["status"].take();
    definition.to_string()
}

#[test]
fn invalid_object_is_reported_and_affects_no_other() {
    let _alone = cluster::alone();
    let _restored = RestoredDefinition;
    let env = Environment::new("misunderstood");
    let operator = env.operator();
    env.apply(&env.fixture("good", ""));
    env.wait_ready(&operator, "good");
    env.try_kubectl(&["replace", "-f", "-"], &permissive_definition(&env)).unwrap();
    let broken = [
        ("wrong-type", "spec: {displayName: [a, list]}"),
        ("against-a-rule", "spec: {displayName: A, expose: {port: 99999}}"),
    ];
    let applied = broken.map(|(name, spec)| {
        let document = format!("apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {{name: {name}}}\n{spec}\n");
        // The API server applies a changed CRD with a delay.
        env.wait_until(
            &operator,
            || format!("{name} to be taken"),
            || env.try_kubectl(&["create", "-f", "-"], &document).ok(),
        )
    });
    cluster().install_definitions();
    assert_eq!(applied.len(), 2);

    for (name, part) in [("wrong-type", "displayName"), ("against-a-rule", "port")] {
        let message = env.wait_for_reason(&operator, name, "Stalled", "InvalidDocument");
        assert!(message.contains(part), "{message}");
        assert_eq!(env.condition(name, "DocumentValid").unwrap().0, "False");
    }
    // No objects are created for what cannot be parsed. A rule that is newer than its object stops
    // no client.
    assert!(env.get("deployment/mai-wrong-type").is_none());
    // The others are reconciled, also by an operator that finds the invalid object at its start.
    operator.stop();
    let operator = env.operator();
    env.patch("good", &json!({"displayName": "next"}));
    env.wait_ready(&operator, "good");
    env.wait_served(&operator, "good", "/name", "next");
}

#[test]
fn older_crd_is_named_until_it_is_replaced() {
    let _alone = cluster::alone();
    let _restored = RestoredDefinition;
    let env = Environment::new("older-crd");
    let mut definition = env.get(DEFINITION).unwrap();
    for version in definition["spec"]["versions"].as_array_mut().unwrap() {
        let status = version.pointer_mut("/schema/openAPIV3Schema/properties/status/properties").unwrap();
        status.as_object_mut().unwrap().remove("backup");
    }
    definition["metadata"] = json!({"name": "maiinstances.mai.dev"});
    definition["status"].take();
    env.try_kubectl(&["replace", "-f", "-"], &definition.to_string()).unwrap();
    // The API server shows a changed definition with a delay.
    env.wait_quietly("the older definition", || {
        let explained = env.try_kubectl(&["explain", "maiinstance.status"], "").ok()?;
        (!explained.contains("backup")).then_some(())
    });
    let operator = env.start_operator(&[]);
    let message = env.wait_until(
        &operator,
        || "it to say what is missing".into(),
        || {
            operator
                .get("/readyz")
                .filter(|(status, _)| *status == 503)
                .map(|(_, body)| body)
                .filter(|body| body.contains("older"))
        },
    );
    assert!(message.contains("has no status.backup; apply crds/maiinstances.yaml"), "{message}");
    assert!(operator.output().contains("status.backup"), "{}", operator.output());
    cluster().install_definitions();
    operator.wait_ready();
}

#[test]
fn missing_crd_is_named_and_awaited() {
    let _alone = cluster::alone();
    let _restored = RestoredDefinition;
    let env = Environment::new("no-crd");
    env.kubectl(&["delete", DEFINITION, "--timeout=3m"]);
    let operator = env.start_operator(&[]);
    let message = env.wait_until(
        &operator,
        || "it to say what is missing".into(),
        || {
            operator
                .get("/readyz")
                .filter(|(status, _)| *status == 503)
                .map(|(_, body)| body)
                .filter(|body| body.contains("maiinstances"))
        },
    );
    assert!(message.contains("does not serve maiinstances.mai.dev; apply crds/maiinstances.yaml"), "{message}");
    assert_eq!(operator.get("/livez").map(|(status, _)| status), Some(200));
    assert_eq!(operator.figure("mai_operator_crd_missing{kind=\"MaiInstance\"}"), Some(1.0));
    cluster().install_definitions();
    operator.wait_ready();
    assert_eq!(operator.figure("mai_operator_crd_missing{kind=\"MaiInstance\"}"), Some(0.0));
    env.apply(&env.fixture("abc", ""));
    env.wait_ready(&operator, "abc");
}
