//! Promise: whatever is edited or removed by hand comes back as declared, and what is not ours is left alone.

use std::cell::Cell;

use serde_json::{Value, json};

use super::cluster;
use super::operator::Operator;
use super::stage::Stage;

const INGRESS: &str = "  expose: {host: abc.example.com, ingress: {className: nginx}}\n";

/// Everything that is made for an instance, without what the cluster counts and remembers.
fn shape(stage: &Stage) -> Vec<Value> {
    const KINDS: &str = "deployments,services,serviceaccounts,networkpolicies,poddisruptionbudgets,persistentvolumeclaims,ingresses,secrets";
    let list = stage.kubectl(&["get", KINDS, "--selector=mai.dev/instance=abc", "-o", "json"]);
    let mut list: Value = serde_json::from_str(&list).unwrap();
    let mut items = std::mem::take(list["items"].as_array_mut().unwrap());
    for item in &mut items {
        item["status"].take();
        for field in ["resourceVersion", "generation", "uid", "creationTimestamp", "annotations", "finalizers"] {
            item["metadata"][field].take();
        }
        // Another Service gets another address.
        for field in ["clusterIP", "clusterIPs"] {
            item["spec"][field].take();
        }
    }
    items.sort_by_key(|item| format!("{}/{}", item["kind"], item["metadata"]["name"]));
    items
}

/// Edits of what is beside the server.
const BESIDE: &[&[&str]] = &[
    &[
        "patch",
        "service/mai-abc",
        "--type=json",
        "-p",
        r#"[{"op": "replace", "path": "/spec/ports/0/port", "value": 9090}]"#,
    ],
    &["patch", "service/mai-abc", "--type=merge", "-p", r#"{"spec": {"selector": {"mai.dev/instance": "other"}}}"#],
    &["patch", "service/mai-abc", "--type=merge", "-p", r#"{"spec": {"type": "NodePort"}}"#],
    &["patch", "networkpolicy/mai-abc", "--type=merge", "-p", r#"{"spec": {"egress": [{}]}}"#],
    &["patch", "networkpolicy/mai-abc", "--type=merge", "-p", r#"{"spec": {"policyTypes": ["Ingress"]}}"#],
    &["patch", "poddisruptionbudget/mai-abc", "--type=merge", "-p", r#"{"spec": {"maxUnavailable": 0}}"#],
    &["patch", "serviceaccount/mai-abc", "--type=merge", "-p", r#"{"automountServiceAccountToken": true}"#],
    &[
        "patch",
        "ingress/mai-abc",
        "--type=json",
        "-p",
        r#"[{"op": "replace", "path": "/spec/rules/0/host", "value": "x.example.com"}]"#,
    ],
    &["label", "pvc/mai-abc-data", "app.kubernetes.io/name=other", "--overwrite"],
    &["label", "pvc/mai-abc-backups", "mai.dev/instance-"],
    &["label", "service/mai-abc", "app.kubernetes.io/managed-by-", "mai.dev/instance-"],
    &["delete", "service,networkpolicy,poddisruptionbudget,serviceaccount,ingress", "mai-abc"],
];

/// Edits of the server.
const SERVER: &[&[&str]] = &[
    &["scale", "deployment/mai-abc", "--replicas=0"],
    &["scale", "deployment/mai-abc", "--replicas=2"],
    &["set", "env", "deployment/mai-abc", "WEBUI_NAME=other"],
    &["set", "env", "deployment/mai-abc", "ADDED=by hand"],
    &["set", "image", "deployment/mai-abc", "server=mai-fixture:2"],
    &[
        "patch",
        "deployment/mai-abc",
        "--type=merge",
        "-p",
        r#"{"spec": {"template": {"spec": {"automountServiceAccountToken": true}}}}"#,
    ],
    &["label", "deployment/mai-abc", "mai.dev/instance-"],
    &["delete", "deployment/mai-abc"],
];

/// Makes each edit and waits until nothing of it is left; returns what is declared.
fn all_come_back(stage: &Stage, operator: &Operator, edits: &[&[&str]]) -> Vec<Value> {
    stage.apply(&stage.fixture("abc", INGRESS));
    stage.wait_ready(operator, "abc");
    let declared = shape(stage);
    assert_eq!(declared.len(), 10, "{declared:#?}");
    for edit in edits {
        stage.kubectl(edit);
        let last = Cell::default();
        let what = || format!("{edit:?} to be undone; it differs in {:#?}", last.take());
        stage.wait_until(operator, what, || {
            let now = shape(stage);
            let differing = now.iter().zip(&declared).filter(|(now, declared)| now != declared);
            last.set(differing.map(|(now, declared)| format!("{now}\n{declared}")).collect::<Vec<_>>());
            (now == declared).then_some(())
        });
    }
    stage.wait_ready(operator, "abc");
    declared
}

#[test]
fn what_is_edited_or_removed_beside_a_server_comes_back_and_the_server_goes_on() {
    let _shared = cluster::shared();
    let stage = Stage::new("beside");
    let operator = stage.operator();
    all_come_back(&stage, &operator, &[]);
    let pod = stage.pod("abc");
    all_come_back(&stage, &operator, BESIDE);
    assert_eq!(stage.pod("abc"), pod);
}

#[test]
fn a_server_that_is_edited_or_removed_by_hand_comes_back_on_its_data() {
    let _shared = cluster::shared();
    let stage = Stage::new("by-hand");
    let operator = stage.operator();
    let declared = all_come_back(&stage, &operator, SERVER);

    // Secrets are not watched. One that is gone is made again when a pod cannot start without it.
    let secret = declared.iter().find(|item| item["kind"] == "Secret" && item["immutable"] == true).unwrap();
    stage.patch("abc", &json!({"suspend": true}));
    stage.wait_for_reason(&operator, "abc", "Ready", "Suspended");
    stage.kubectl(&["delete", "secret", secret["metadata"]["name"].as_str().unwrap()]);
    stage.patch("abc", &json!({"suspend": false}));
    stage.wait_until(&operator, || "the Secret to be made again".into(), || (shape(&stage) == declared).then_some(()));
    stage.wait_ready(&operator, "abc");
    let starts = stage.wait_until(&operator, || "its answer".into(), || stage.read("abc", "/starts"));
    assert!(starts.lines().count() >= 3 && starts.lines().last() == Some("abc"), "{starts}");
}

#[test]
fn what_somebody_else_keeps_changing_is_put_back_and_told() {
    let _shared = cluster::shared();
    let stage = Stage::new("conflict");
    stage.apply(&stage.fixture("abc", ""));
    let operator = stage.operator();
    stage.wait_ready(&operator, "abc");
    let theirs = r#"{"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "mai-abc"}, "spec": {"maxUnavailable": 0}}"#;
    let arguments = ["apply", "--server-side", "--force-conflicts", "--field-manager=somebody", "-f", "-"];
    stage.try_kubectl(&arguments, theirs).unwrap();
    stage.wait_until(
        &operator,
        || "the budget to be put back".into(),
        || (stage.get("pdb/mai-abc")?["spec"]["maxUnavailable"] == 1).then_some(()),
    );
    let told = stage.wait_until(
        &operator,
        || "an event".into(),
        || {
            let events = stage.kubectl(&[
                "get",
                "events",
                "--field-selector=reason=FieldConflict",
                "-o",
                "jsonpath={.items[*].message}",
            ]);
            (!events.is_empty()).then_some(events)
        },
    );
    for part in ["PodDisruptionBudget mai-abc is changed by somebody else as well", "somebody", ".spec.maxUnavailable"]
    {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[test]
fn an_object_of_somebody_else_with_our_name_is_not_touched() {
    let _shared = cluster::shared();
    let stage = Stage::new("foreign");
    let pod = "{containers: [{name: server, image: mai-nothing:1}]}";
    let claim = "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}";
    let foreign: &[(&str, &str, &str, String)] = &[
        ("account", "ServiceAccount", "v1", "automountServiceAccountToken: true".into()),
        ("data", "PersistentVolumeClaim", "v1", format!("spec: {claim}")),
        ("service", "Service", "v1", "spec: {ports: [{port: 80}]}".into()),
        ("policy", "NetworkPolicy", "networking.k8s.io/v1", "spec: {podSelector: {}}".into()),
        ("budget", "PodDisruptionBudget", "policy/v1", "spec: {minAvailable: 1}".into()),
        (
            "way-in",
            "Ingress",
            "networking.k8s.io/v1",
            "spec: {defaultBackend: {service: {name: x, port: {number: 1}}}}".into(),
        ),
        (
            "server",
            "Deployment",
            "apps/v1",
            format!(
                "spec: {{replicas: 0, selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: b}}}}, spec: {pod}}}}}"
            ),
        ),
    ];
    let name = |instance: &str, kind: &str| match kind {
        "PersistentVolumeClaim" => format!("mai-{instance}-data"),
        _ => format!("mai-{instance}"),
    };
    let mut documents = Vec::new();
    for (instance, kind, version, rest) in foreign {
        documents.push(format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {}}}\n{rest}\n",
            name(instance, kind)
        ));
    }
    stage.apply(&documents.join("---\n"));
    let instances: Vec<String> =
        foreign.iter().map(|(instance, ..)| stage.fixture(instance, &INGRESS.replace("abc", instance))).collect();
    let object = |(instance, kind, ..): &(&str, &str, &str, String)| format!("{kind}/{}", name(instance, kind));
    let found = |of| {
        stage
            .get(&object(of))
            .map(|found| (found["metadata"]["uid"].clone(), found["metadata"]["labels"].clone(), found["spec"].clone()))
    };
    let before: Vec<_> = foreign.iter().map(found).collect();
    // Often, since nobody tells when a stranger leaves.
    let operator = stage.operator_with(&["--resync", "1s"]);
    stage.apply(&instances.join("---\n"));
    for (of, before) in foreign.iter().zip(before) {
        let message = stage.wait_for_reason(&operator, of.0, "Stalled", "NameTaken");
        assert!(message.contains(&format!("{} {}", of.1, name(of.0, of.1))), "{message}");
        assert_eq!(found(of), before);
    }

    // Once it is gone the instance goes on by itself.
    for of in foreign {
        stage.kubectl(&["delete", &object(of), "--wait=false"]);
    }
    foreign.iter().for_each(|(instance, ..)| stage.wait_ready(&operator, instance));
}
