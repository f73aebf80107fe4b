//! Manual changes of our objects are reverted; foreign objects are not touched.

use std::cell::Cell;

use serde_json::{Value, json};

use super::cluster;
use super::environment::Environment;
use super::operator::Operator;

const INGRESS: &str = "  expose: {host: abc.example.com, ingress: {className: nginx}}\n";

/// Returns all objects of an instance, without fields that the cluster maintains.
fn shape(env: &Environment) -> Vec<Value> {
    const KINDS: [&str; 8] = [
        "deployments",
        "services",
        "serviceaccounts",
        "networkpolicies",
        "poddisruptionbudgets",
        "persistentvolumeclaims",
        "ingresses",
        "secrets",
    ];
    let mut items = env.list(&KINDS, "mai.dev/instance=abc");
    for item in &mut items {
        item["status"].take();
        for field in ["resourceVersion", "generation", "uid", "creationTimestamp", "annotations", "finalizers"] {
            item["metadata"][field].take();
        }
        // A recreated Service gets another address.
        for field in ["clusterIP", "clusterIPs"] {
            item["spec"][field].take();
        }
    }
    items.sort_by_key(|item| format!("{}/{}", item["kind"], item["metadata"]["name"]));
    items
}

/// Edits of auxiliary objects.
const AUXILIARY: &[&[&str]] = &[
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
    // What somebody adds beside what is declared.
    &[
        "patch",
        "service/mai-abc",
        "--type=merge",
        "-p",
        r#"{"spec": {"selector": {"team": "x"}, "externalIPs": ["192.0.2.1"], "publishNotReadyAddresses": true, "sessionAffinity": "ClientIP"}}"#,
    ],
    &[
        "patch",
        "networkpolicy/mai-abc",
        "--type=merge",
        "-p",
        r#"{"spec": {"podSelector": {"matchLabels": {"team": "x"}}}}"#,
    ],
    &[
        "patch",
        "poddisruptionbudget/mai-abc",
        "--type=merge",
        "-p",
        r#"{"spec": {"selector": {"matchLabels": {"team": "x"}}}}"#,
    ],
    &["patch", "serviceaccount/mai-abc", "--type=merge", "-p", r#"{"imagePullSecrets": [{"name": "x"}]}"#],
    &[
        "patch",
        "ingress/mai-abc",
        "--type=merge",
        "-p",
        r#"{"spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 1}}}}}"#,
    ],
    &["patch", "deployment/mai-abc", "--type=merge", "-p", r#"{"spec": {"paused": true, "minReadySeconds": 5}}"#],
    &[
        "patch",
        "deployment/mai-abc",
        "--type=merge",
        "-p",
        r#"{"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}"#,
    ],
    &["label", "pvc/mai-abc-data", "app.kubernetes.io/name=other", "--overwrite"],
    &["label", "pvc/mai-abc-backups", "mai.dev/instance-"],
    &["label", "service/mai-abc", "app.kubernetes.io/managed-by-", "mai.dev/instance-"],
    &["delete", "service,networkpolicy,poddisruptionbudget,serviceaccount,ingress", "mai-abc"],
];

/// Additions to the pod: what it runs, what confines it, and where its answers and keys go.
const ADDED: &str = r#"{"spec": {"template": {"spec": {
    "hostPID": true,
    "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["openrouter.ai"]}],
    "dnsConfig": {"nameservers": ["192.0.2.53"]},
    "securityContext": {"supplementalGroups": [0]},
    "initContainers": [{"name": "before", "image": "mai-fixture:1"}],
    "containers": [
        {
            "name": "server",
            "command": ["/elsewhere"],
            "envFrom": [{"secretRef": {"name": "x", "optional": true}}],
            "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
            "securityContext": {"capabilities": {"add": ["NET_RAW"]}}
        },
        {"name": "beside", "image": "mai-fixture:1"}
    ]
}}}}"#;

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
    &["patch", "deployment/mai-abc", "-p", ADDED],
    &["label", "deployment/mai-abc", "mai.dev/instance-"],
    &["delete", "deployment/mai-abc"],
];

/// Makes each edit and waits until it is reverted; returns the declared objects.
fn assert_edits_are_reverted(env: &Environment, operator: &Operator, edits: &[&[&str]]) -> Vec<Value> {
    env.apply(&env.fixture("abc", INGRESS));
    env.wait_ready(operator, "abc");
    let declared = shape(env);
    assert_eq!(declared.len(), 10, "{declared:#?}");
    for edit in edits {
        env.kubectl(edit);
        let last = Cell::default();
        let what = || format!("{edit:?} to be undone; it differs in {:#?}", last.take());
        env.wait_until(operator, what, || {
            let now = shape(env);
            let differing = now.iter().zip(&declared).filter(|(now, declared)| now != declared);
            last.set(differing.map(|(now, declared)| format!("{now}\n{declared}")).collect::<Vec<_>>());
            (now == declared).then_some(())
        });
    }
    env.wait_ready(operator, "abc");
    declared
}

#[test]
fn changed_auxiliary_objects_are_restored_without_restart() {
    let _shared = cluster::shared();
    let env = Environment::new("beside");
    let operator = env.operator();
    assert_edits_are_reverted(&env, &operator, &[]);
    let pod = env.pod("abc");
    assert_edits_are_reverted(&env, &operator, AUXILIARY);
    assert_eq!(env.pod("abc"), pod);
}

#[test]
fn changed_or_removed_server_is_restored_on_its_data() {
    let _shared = cluster::shared();
    let env = Environment::new("by-hand");
    let operator = env.operator();
    let declared = assert_edits_are_reverted(&env, &operator, SERVER);

    // Secrets are not watched. A deleted one is recreated when a pod cannot start without it.
    let secret = declared.iter().find(|item| item["kind"] == "Secret" && item["immutable"] == true).unwrap();
    env.patch("abc", &json!({"suspend": true}));
    env.wait_for_reason(&operator, "abc", "Ready", "Suspended");
    env.kubectl(&["delete", "secret", secret["metadata"]["name"].as_str().unwrap()]);
    env.patch("abc", &json!({"suspend": false}));
    env.wait_until(&operator, || "the Secret to be made again".into(), || (shape(&env) == declared).then_some(()));
    env.wait_ready(&operator, "abc");
    let starts = env.wait_until(&operator, || "its answer".into(), || env.read("abc", "/starts"));
    assert!(starts.lines().count() >= 3 && starts.lines().last() == Some("abc"), "{starts}");
}

#[test]
fn rollout_restart_gets_another_pod_and_is_left_alone() {
    const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
    let _shared = cluster::shared();
    let env = Environment::new("rollout");
    let operator = env.operator_with(&["--resync", "500ms"]);
    env.apply(&env.fixture("abc", ""));
    env.wait_ready(&operator, "abc");
    let former = env.pod("abc").unwrap();
    env.kubectl(&["rollout", "restart", "deployment/mai-abc"]);
    env.wait_until(
        &operator,
        || "another pod".into(),
        || {
            env.pod("abc")
                .filter(|pod| *pod != former && env.condition("abc", "Ready").is_some_and(|ready| ready.1 == "Ready"))
        },
    );
    env.wait_ready(&operator, "abc");
    let deployment = || env.get("deployment/mai-abc").unwrap();
    let before = env.wait_settled(&operator, || deployment()["metadata"]["generation"].clone());
    env.wait_passes(&operator, 3.0);
    assert_eq!(deployment()["metadata"]["generation"], before, "it was reverted or repeated");
    assert!(deployment()["spec"]["template"]["metadata"]["annotations"][RESTARTED].is_string());
}

#[test]
fn repeated_foreign_changes_are_reverted_and_reported() {
    let _shared = cluster::shared();
    let env = Environment::new("conflict");
    env.apply(&env.fixture("abc", ""));
    let operator = env.operator();
    env.wait_ready(&operator, "abc");
    let theirs = r#"{"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "mai-abc"}, "spec": {"maxUnavailable": 0}}"#;
    let arguments = ["apply", "--server-side", "--force-conflicts", "--field-manager=somebody", "-f", "-"];
    env.try_kubectl(&arguments, theirs).unwrap();
    env.wait_until(
        &operator,
        || "the budget to be put back".into(),
        || (env.get("pdb/mai-abc")?["spec"]["maxUnavailable"] == 1).then_some(()),
    );
    let message = env.wait_until(
        &operator,
        || "an event".into(),
        || {
            let events = env.kubectl(&[
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
        assert!(message.contains(part), "{part} is not in {message}");
    }
}

#[test]
fn foreign_object_with_our_name_is_not_touched() {
    let _shared = cluster::shared();
    let env = Environment::new("foreign");
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
    env.apply(&documents.join("---\n"));
    let instances: Vec<String> =
        foreign.iter().map(|(instance, ..)| env.fixture(instance, &INGRESS.replace("abc", instance))).collect();
    let object = |(instance, kind, ..): &(&str, &str, &str, String)| format!("{kind}/{}", name(instance, kind));
    let found = |of| {
        env.get(&object(of))
            .map(|found| (found["metadata"]["uid"].clone(), found["metadata"]["labels"].clone(), found["spec"].clone()))
    };
    let before: Vec<_> = foreign.iter().map(found).collect();
    // The checks are frequent, since no watch covers foreign objects.
    let operator = env.operator_with(&["--resync", "1s"]);
    env.apply(&instances.join("---\n"));
    for (of, before) in foreign.iter().zip(before) {
        let message = env.wait_for_reason(&operator, of.0, "Stalled", "NameTaken");
        assert!(message.contains(&format!("{} {}", of.1, name(of.0, of.1))), "{message}");
        assert_eq!(found(of), before);
    }

    // After its removal the instance recovers.
    for of in foreign {
        env.kubectl(&["delete", &object(of), "--wait=false"]);
    }
    foreign.iter().for_each(|(instance, ..)| env.wait_ready(&operator, instance));
}
