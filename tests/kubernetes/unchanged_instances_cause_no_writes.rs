//! A pass over unchanged instances writes nothing.

use super::cluster;
use super::environment::Environment;

/// Returns all objects that could have been written, with their resourceVersion.
fn versions(env: &Environment, instances: &[&str]) -> Vec<(String, String)> {
    let of_instance = |name: &&str| {
        let mut all = env.children(name);
        all.push((format!("MaiInstance/{name}"), env.resource_version(&format!("mai/{name}"))));
        all
    };
    instances.iter().flat_map(of_instance).collect()
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
