//! Another image gets the data after a verified backup; if it fails while it settles, image and data
//! return.

use serde_json::{Value, json};

use super::cluster;
use super::environment::Environment;
use super::images;
use super::requests::{self, claim_directory};

/// Returns the spec of a version, which writes its name into the data when it starts.
fn version(image: &str, name: &str, env: &[(&str, &str)], settle: &str) -> Value {
    let env: Vec<Value> = env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({"image": image, "displayName": name, "server": {"env": env}, "upgrade": {"settle": settle}})
}

#[test]
fn image_that_dies_while_it_settles_returns_with_its_data() {
    let _shared = cluster::shared();
    let env = Environment::new("upgrade");
    images::own();
    let operator = requests::operator(&env);
    env.apply(&env.fixture("abc", "  upgrade: {settle: 3s}\n"));
    env.wait_ready(&operator, "abc");

    let dies = [("FIXTURE_SCHEMA", "2"), ("FIXTURE_EXIT", "3:6")];
    env.patch("abc", &version(images::FIXTURE_NEXT, "next", &dies, "1h"));
    let message = env.wait_for_reason(&operator, "abc", "UpgradeHealthy", "RolledBack");
    assert!(message.contains("/former") && message.contains("is back"), "{message}");
    let starts = env.wait_until(&operator, || "the former server".into(), || env.read("abc", "/starts"));
    assert!(!starts.contains("next"), "{starts}");
    let status = env.get("mai/abc").unwrap()["status"].clone();
    let (restore, backup) = (&status["restore"]["id"], &status["upgrade"]["backup"]);
    let data = claim_directory(&env, "mai-abc-data");
    let former = data.join(".mai-restore").join(restore.as_str().unwrap()).join("former/starts");
    assert!(std::fs::read_to_string(&former).unwrap().contains("next"), "{}", former.display());
    let verified = claim_directory(&env, "mai-abc-backups").join(format!("{}.verified.json", backup.as_str().unwrap()));
    assert!(verified.exists(), "{}", verified.display());
    assert!(env.event_reasons().contains("UpgradeRolledBack"), "{}", env.event_reasons());

    // One that stays ready is completed, and what was retained for it is released.
    env.patch("abc", &version(images::FIXTURE_NEXT, "next", &[], "3s"));
    env.wait_for_reason(&operator, "abc", "UpgradeHealthy", "Upgraded");
    env.wait_ready(&operator, "abc");
    let starts = env.wait_until(&operator, || "the new server".into(), || env.read("abc", "/starts"));
    assert!(starts.contains("next"), "{starts}");
    assert_eq!(former_label(&env), Value::Null);
}

fn former_label(env: &Environment) -> Value {
    env.get("deployment/mai-abc").unwrap()["metadata"]["labels"]["mai.dev/former"].clone()
}

#[test]
fn failed_upgrade_is_undone_after_its_operator_was_killed() {
    let _shared = cluster::shared();
    let env = Environment::new("upgrade-killed");
    images::own();
    let operator = requests::operator(&env);
    env.apply(&env.fixture("abc", "  upgrade: {settle: 3s}\n"));
    env.wait_ready(&operator, "abc");

    let dies = [("FIXTURE_SCHEMA", "2"), ("FIXTURE_EXIT", "3:4")];
    env.patch("abc", &version(images::FIXTURE_NEXT, "next", &dies, "1h"));
    let step = |status: &Value| {
        let upgrade = status["upgrade"]["step"].as_str().unwrap_or("declared");
        let restore = status["restore"]["step"].as_str().unwrap_or_default();
        (upgrade != "RolledBack").then(|| format!("{upgrade} {restore}").trim_end().to_owned())
    };
    let (operator, steps) = requests::kill_at_each_step(&env, "abc", operator, step);
    for step in ["BackingUp", "ReturningData Unpacking", "ReturningData Swapping"] {
        assert!(steps.iter().any(|known| known == step), "{step} is not among {steps:?}");
    }
    env.wait_for_reason(&operator, "abc", "UpgradeHealthy", "RolledBack");
    let starts = env.wait_until(&operator, || "the former server".into(), || env.read("abc", "/starts"));
    assert!(!starts.contains("next"), "{steps:?}: {starts}");
    requests::wait_no_job(&env, &operator, "abc");
    env.wait_until(&operator, || "one server".into(), || former_label(&env).is_null().then_some(()));
}
