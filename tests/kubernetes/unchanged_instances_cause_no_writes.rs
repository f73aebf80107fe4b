//! A pass over unchanged instances writes nothing.

use super::cluster;
use super::environment::Environment;

/// Changes each Deployment of a namespace as webhooks do: it adds beside what is declared, and
/// insists on a value of its own for a declared field.
const ADMISSION: &str = r#"
apiVersion: admissionregistration.k8s.io/v1beta1
kind: MutatingAdmissionPolicy
metadata: {name: NAMESPACE}
spec:
  failurePolicy: Fail
  reinvocationPolicy: IfNeeded
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
    resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: >-
        Object{
          spec: Object.spec{
            revisionHistoryLimit: 3,
            template: Object.spec.template{
              metadata: Object.spec.template.metadata{annotations: {"example.com/added": "yes"}},
              spec: Object.spec.template.spec{
                volumes: [Object.spec.template.spec.volumes{name: "added", emptyDir: Object.spec.template.spec.volumes.emptyDir{}}],
                containers: [Object.spec.template.spec.containers{
                  name: "server",
                  env: [Object.spec.template.spec.containers.env{name: "ADDED", value: "by admission"}]
                }]
              }
            }
          }
        }
---
apiVersion: admissionregistration.k8s.io/v1beta1
kind: MutatingAdmissionPolicyBinding
metadata: {name: NAMESPACE}
spec: {policyName: NAMESPACE}
"#;

/// Returns all objects that could have been written, with their resourceVersion.
fn versions(env: &Environment, instances: &[&str]) -> Vec<(String, String)> {
    let of_instance = |name: &&str| {
        let mut all = env.children(name);
        all.push((format!("MaiInstance/{name}"), env.resource_version(&format!("mai/{name}"))));
        all
    };
    instances.iter().flat_map(of_instance).collect()
}

/// Runs `mai kube plan abc`; returns its exit code and what it printed.
fn mai_plan(env: &Environment) -> (i32, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_mai"))
        .args(["kube", "plan", "abc", "--namespace", &env.namespace])
        .env("KUBECONFIG", cluster::cluster().kubeconfig())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn repeated_passes_write_nothing_across_operators() {
    let _shared = cluster::shared();
    let env = Environment::new("still");
    env.kubectl(&["create", "secret", "generic", "upstream", "--from-literal=key=sk-or-v1-still"]);
    // Quantities in forms other than the API server's, and all fields of `expose`.
    env.apply(&env.fixture(
        "full",
        "  resources: {requests: {cpu: '0.05', memory: '33554432'}, limits: {cpu: '0.5', memory: 65536Ki}}\n  openRouter: {apiKeySecretRef: {name: upstream, key: key}, models: [a/b]}\n  expose: {host: full.example.com, labels: {team: sales}, ingress: {className: nginx, tlsSecretName: full-tls, clusterIssuer: letsencrypt, annotations: {a: b}}}\n  storage: {data: {size: 1024Mi}, backups: {size: 2Gi}}\n  server: {env: [{name: EMPTY, value: ''}, {name: DOLLAR, value: '$(HOME)'}]}\n",
    ));
    env.apply(&env.fixture("plain", "  server: {kind: Custom}\n"));
    let operator = env.operator_with(&["--resync", "500ms"]);
    ["full", "plain"].iter().for_each(|name| env.wait_ready(&operator, name));

    // The cluster itself makes a few more changes after the last pod is ready.
    env.wait_settled(&operator, || versions(&env, &["full", "plain"]));
    let before = versions(&env, &["full", "plain"]);
    assert_eq!(before.len(), 21, "{before:?}");
    env.wait_passes(&operator, 12.0);
    assert_eq!(versions(&env, &["full", "plain"]), before);

    // Another operator finds no difference.
    operator.stop();
    let another = env.operator_with(&["--resync", "500ms"]);
    env.wait_passes(&another, 8.0);
    assert_eq!(versions(&env, &["full", "plain"]), before);
}

#[test]
fn changes_that_admission_insists_on_are_told_once() {
    let _shared = cluster::shared();
    let env = Environment::new("admission");
    env.apply(&ADMISSION.replace("NAMESPACE", &env.namespace));
    // A policy takes a moment to be in force.
    let pod = "spec: {replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: server, image: a}]}}}";
    let operator = env.operator_with(&["--resync", "500ms"]);
    let is_in_force = || {
        env.apply(&format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: probe}}\n{pod}\n"));
        let limit = env.get("deployment/probe").unwrap()["spec"]["revisionHistoryLimit"].clone();
        env.kubectl(&["delete", "deployment/probe"]);
        (limit == 3).then_some(())
    };
    env.wait_until(&operator, || "the policy to be in force".into(), is_in_force);

    env.apply(&env.fixture("abc", ""));
    env.wait_ready(&operator, "abc");
    env.wait_settled(&operator, || versions(&env, &["abc"]));
    let before = versions(&env, &["abc"]);
    env.wait_passes(&operator, 12.0);
    assert_eq!(versions(&env, &["abc"]), before, "{}", operator.output());
    let spec = env.get("deployment/mai-abc").unwrap()["spec"].clone();
    let server = &spec["template"]["spec"]["containers"][0];
    assert!(server["env"].as_array().unwrap().iter().any(|variable| variable["name"] == "ADDED"), "{server}");
    assert_eq!(
        (&spec["revisionHistoryLimit"], spec["template"]["spec"]["volumes"].as_array().unwrap().len() > 3),
        (&3.into(), true)
    );
    let events = ["get", "events", "--field-selector=reason=NotAsApplied", "-o", "jsonpath={.items[*].message}"];
    let told = env.kubectl(&events);
    assert!(told.contains("Deployment.spec.revisionHistoryLimit: 3 -> 10") && !told.contains("ADDED"), "{told}");
    let logged = operator.output();
    assert_eq!(logged.matches("is not as it was applied").count(), 1, "{logged}");

    // Another operator writes it once more, and nothing changes by it.
    operator.stop();
    let planned = mai_plan(&env);
    assert!(
        planned.0 == 0 && planned.1.contains("Deployment.spec.revisionHistoryLimit: 3 stays, instead of 10"),
        "{planned:?}"
    );
    assert_eq!(versions(&env, &["abc"]), before, "a plan wrote something");
    let generation = || env.get("deployment/mai-abc").unwrap()["metadata"]["generation"].clone();
    let before = generation();
    let another = env.operator_with(&["--resync", "500ms"]);
    env.wait_passes(&another, 8.0);
    assert_eq!(generation(), before);
    env.kubectl(&["delete", "mutatingadmissionpolicy,mutatingadmissionpolicybinding", &env.namespace]);
}
