//! Promise: an object that this version does not understand is told so and stops no other; without the CRD the operator says what is missing.

use serde_json::{Value, json};

use super::super::cluster::{self, cluster};
use super::super::stage::Stage;

const DEFINITION: &str = "crd/maiinstances.mai.dev";

/// Whatever comes of a test, the next one finds the definition as it is committed.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        cluster().install_definitions();
    }
}

/// The definition that takes anything, as an older one may.
fn loosened(stage: &Stage) -> String {
    let mut definition = stage.get(DEFINITION).unwrap();
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
fn an_object_that_is_not_understood_is_told_and_stops_no_other() {
    let _alone = cluster::alone();
    let _restored = Restored;
    let stage = Stage::new("misunderstood");
    let operator = stage.operator();
    stage.apply(&stage.fixture("good", ""));
    stage.wait_ready(&operator, "good");
    stage.try_kubectl(&["replace", "-f", "-"], &loosened(&stage)).unwrap();
    let broken = [
        ("wrong-type", "spec: {displayName: [a, list]}"),
        ("against-a-rule", "spec: {displayName: A, expose: {port: 99999}}"),
    ];
    let applied = broken.map(|(name, spec)| {
        let document = format!("apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {{name: {name}}}\n{spec}\n");
        // The API server takes a moment to take up a definition.
        stage.wait_until(
            &operator,
            || format!("{name} to be taken"),
            || stage.try_kubectl(&["create", "-f", "-"], &document).ok(),
        )
    });
    cluster().install_definitions();
    assert_eq!(applied.len(), 2);

    for (name, part) in [("wrong-type", "displayName"), ("against-a-rule", "port")] {
        let message = stage.wait_for_reason(&operator, name, "Stalled", "InvalidDocument");
        assert!(message.contains(part), "{message}");
        assert_eq!(stage.condition(name, "DocumentValid").unwrap().0, "False");
    }
    // Nothing is made of what cannot be read. A rule that came later than its object stops no client.
    assert!(stage.get("deployment/mai-wrong-type").is_none());
    // The others are looked after as before, also by an operator that finds all of it at its start.
    operator.stop();
    let operator = stage.operator();
    stage.patch("good", &json!({"displayName": "next"}));
    stage.wait_ready(&operator, "good");
    assert_eq!(stage.read("good", "/name").as_deref(), Some("next"));
}

#[test]
fn a_missing_definition_is_named_and_waited_for() {
    let _alone = cluster::alone();
    let _restored = Restored;
    let stage = Stage::new("no-crd");
    stage.kubectl(&["delete", DEFINITION, "--timeout=60s"]);
    let operator = stage.start_operator(&[]);
    let told = stage.wait_until(
        &operator,
        || "it to say what is missing".into(),
        || {
            operator
                .get("/readyz")
                .filter(|(status, _)| *status == 503)
                .map(|(_, said)| said)
                .filter(|said| said.contains("maiinstances"))
        },
    );
    assert!(told.contains("does not serve maiinstances.mai.dev; apply crds/maiinstances.yaml"), "{told}");
    assert_eq!(operator.get("/livez").map(|(status, _)| status), Some(200));
    assert_eq!(operator.figure("mai_operator_crd_missing{kind=\"MaiInstance\"}"), Some(1.0));
    cluster().install_definitions();
    operator.wait_ready();
    assert_eq!(operator.figure("mai_operator_crd_missing{kind=\"MaiInstance\"}"), Some(0.0));
    stage.apply(&stage.fixture("abc", ""));
    stage.wait_ready(&operator, "abc");
}
