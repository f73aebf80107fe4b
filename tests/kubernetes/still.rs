//! Promise: looking again at what is as declared writes nothing, anywhere.

use std::time::Duration;

use super::cluster;
use super::operator::Operator;
use super::stage::Stage;

/// Everything that could have been written to, with its resourceVersion.
fn versions(stage: &Stage, instances: &[&str]) -> Vec<(String, String)> {
    let of_instance = |name: &&str| {
        let mut all = stage.children(name);
        all.push((format!("MaiInstance/{name}"), stage.resource_version(&format!("mai/{name}"))));
        all
    };
    instances.iter().flat_map(of_instance).collect()
}

fn passes(operator: &Operator) -> f64 {
    operator.figure("mai_operator_reconcile_total{kind=\"MaiInstance\",outcome=\"ok\"}").unwrap_or_default()
}

#[test]
fn a_second_look_writes_nothing_and_neither_does_another_operator() {
    let _shared = cluster::shared();
    let stage = Stage::new("still");
    stage.kubectl(&["create", "secret", "generic", "upstream", "--from-literal=key=sk-or-v1-still"]);
    // Amounts in other forms than the API server's own, and everything that can be declared of a way in.
    stage.apply(&stage.fixture(
        "full",
        "  resources: {requests: {cpu: '0.05', memory: '33554432'}, limits: {cpu: '0.5', memory: 65536Ki}}\n  openRouter: {apiKeySecretRef: {name: upstream, key: key}, models: [a/b]}\n  expose: {host: full.example.com, labels: {team: sales}, ingress: {className: nginx, tlsSecretName: full-tls, clusterIssuer: letsencrypt, annotations: {a: b}}}\n  storage: {data: {size: 1024Mi}, backups: {size: 2Gi}}\n  server: {env: [{name: EMPTY, value: ''}, {name: DOLLAR, value: '$(HOME)'}]}\n",
    ));
    stage.apply(&stage.fixture("plain", "  server: {kind: Custom}\n"));
    let operator = stage.operator_with(&["--resync", "500ms"]);
    ["full", "plain"].iter().for_each(|name| stage.wait_ready(&operator, name));

    // Of its own accord the cluster is done a moment after its last pod is ready.
    std::thread::sleep(Duration::from_secs(1));
    let before = versions(&stage, &["full", "plain"]);
    assert_eq!(before.len(), 21, "{before:?}");
    let counted = passes(&operator);
    std::thread::sleep(Duration::from_secs(4));
    assert!(passes(&operator) >= counted + 8.0, "it did not look: {counted} passes, now {}", passes(&operator));
    assert_eq!(versions(&stage, &["full", "plain"]), before);

    // Another operator finds all as it should be.
    operator.stop();
    let another = stage.operator_with(&["--resync", "500ms"]);
    stage.wait_until(&another, || "some passes".into(), || (passes(&another) >= 8.0).then_some(()));
    assert_eq!(versions(&stage, &["full", "plain"]), before);
}
