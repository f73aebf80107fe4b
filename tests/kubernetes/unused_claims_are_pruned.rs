//! `kubectl mai prune` removes the claims of instances that are gone, and no others.

use serde_json::Value;

use super::cluster;
use super::environment::Environment;
use super::requests::kube;

/// Runs `mai kube prune --json`; returns whether it succeeded, and each claim that it removed.
fn prune(env: &Environment, arguments: &[&str]) -> (bool, Vec<String>) {
    let output = kube(env, &[&["prune", "--json"], arguments].concat());
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let items = printed["items"].as_array().unwrap().iter().filter(|item| item["removed"] == true);
    (output.status.success(), items.map(|item| item["claim"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn only_claims_without_an_instance_are_removed() {
    let _shared = cluster::shared();
    let env = Environment::new("prune");
    let operator = env.operator();
    env.apply(&env.fixture("gone", ""));
    env.apply(&env.fixture("abc", ""));
    env.wait_ready(&operator, "gone");
    env.wait_ready(&operator, "abc");
    env.kubectl(&["delete", "mai/gone", "--timeout=60s"]);
    let left = || env.children("gone").into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ");
    let all = "PersistentVolumeClaim/mai-gone-backups PersistentVolumeClaim/mai-gone-data Secret/mai-gone-session";
    env.wait_until(&operator, || format!("{} to go", left()), || (left() == all).then_some(()));

    assert_eq!(prune(&env, &["--dry-run"]), (true, Vec::new()));
    assert_eq!(prune(&env, &[]), (false, Vec::new()), "nobody confirmed it");
    assert_eq!(prune(&env, &["--yes"]), (true, vec!["mai-gone-data".to_owned()]));
    let data = || env.get("pvc/mai-gone-data");
    env.wait_until(&operator, || "the claim of the data to go".into(), || data().is_none().then_some(()));
    let output = kube(&env, &["prune", "--yes", "--with-backups"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.ends_with("removed persistentvolumeclaim/mai-gone-backups\n"), "{output:?}");
    env.wait_until(&operator, || format!("{} to go", left()), || left().is_empty().then_some(()));
    assert!(env.get("pvc/mai-abc-data").is_some() && env.get("pvc/mai-abc-backups").is_some());
}
