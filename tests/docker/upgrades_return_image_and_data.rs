//! Another image gets the data after a verified backup, and is completed once it has been ready for
//! a while; if it fails before, the former image serves again with the data that it had.

use std::path::PathBuf;

use serde_json::Value;

use super::engine;
use super::environment::Environment;
use super::proxy::{Cut, Proxy};

use crate::fixtures::compose::{Compose, read_file, wait_ready, wait_until};

/// The fixture makes no backups: an image with our program does it.
const HELPER: [&str; 4] = ["--helper-image", "mai-own:test", "--resync", "500ms"];

/// A client whose program is the fixture, and the words that change from one version to the next.
struct Client {
    env: Environment,
}

impl Client {
    /// Starts a client with the first version.
    fn new(name: &str) -> (Self, Compose) {
        engine::build_own_image();
        let client = Self { env: Environment::new(name) };
        client.declare("fixture:1", "first", "", "2s");
        let compose = client.compose(&engine::host());
        client.env.wait_for("Ready");
        wait_ready(client.env.port);
        (client, compose)
    }

    fn compose(&self, host: &str) -> Compose {
        self.env.compose_with(host, &HELPER)
    }

    /// Declares a version, which writes its name into the data when it starts.
    fn declare(&self, image: &str, version: &str, variables: &str, settle: &str) {
        let more = format!(
            "  server: {{kind: Custom, env: [{variables}]}}\n  health: {{path: /ready, interval: 1s, timeout: 1s, startPeriod: 8s}}\n  upgrade: {{settle: {settle}}}\n"
        );
        self.env.workspace.write_secret("upstream", "key", "sk-or-v1-fixture");
        let document = self.env.document(image, &more);
        let name = format!("displayName: {}", self.env.name);
        self.env.workspace.write("instance.yaml", &document.replace(&name, &format!("displayName: {version}")));
    }

    fn upgrade(&self) -> Value {
        self.env.workspace.status()[0]["status"]["upgrade"].clone()
    }

    fn wait_step(&self, step: &str, compose: &Compose) -> Value {
        wait_until(
            || format!("step {step}; it is {}; {}", self.upgrade(), compose.output()),
            || Some(self.upgrade()).filter(|upgrade| upgrade["step"] == step),
        )
    }

    /// Waits for the reason of `UpgradeHealthy`, and returns its message.
    fn wait_health(&self, reason: &str) -> String {
        self.env.workspace.wait_for_reason(&self.env.name, "UpgradeHealthy", reason)
    }

    /// Returns the versions that were started on the data.
    fn versions(&self) -> Vec<String> {
        self.env.get("/starts").lines().map(str::to_owned).collect()
    }

    /// Returns the data that restores replaced.
    fn kept(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.env.volume("data").join(".mai-restore")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().path().join("former")).filter(|former| former.exists()).collect()
    }

    /// Returns whether a backup is verified in the backups volume.
    fn is_verified(&self, backup: &Value) -> bool {
        let name = format!("{}.verified.json", backup.as_str().unwrap());
        self.env.volume("backups").join(name).exists()
    }

    fn assert_one_container(&self, compose: &Compose) {
        wait_until(
            || format!("one container; {}", compose.output()),
            || (self.env.containers().len() == 1).then_some(()),
        );
    }
}

#[test]
fn upgrade_is_backed_up_first_and_completed_once_settled() {
    let _shared = engine::shared();
    let (client, compose) = Client::new("upgraded");
    let before = client.env.run().unwrap();
    client.declare("fixture:2", "second", "", "5s");
    let settling = client.wait_step("Settling", &compose);
    assert!(client.is_verified(&settling["backup"]), "{settling}");
    assert_ne!(client.env.run().unwrap().0, before.0);
    assert_eq!(client.env.containers().len(), 2, "the former one is kept");
    assert_eq!(client.env.workspace.condition("upgraded", "Ready").unwrap().0, "True");
    let message = client.wait_health("Upgraded");
    assert!(message.contains("fixture:1") && message.contains("fixture:2"), "{message}");
    client.assert_one_container(&compose);
    assert_eq!(client.versions(), ["first", "second"]);
    assert!(client.upgrade()["completed"]["backup"] == settling["backup"], "{}", client.upgrade());

    // Another field is no upgrade.
    let run = client.env.run().unwrap();
    client.declare("fixture:2", "third", "", "1h");
    client.env.wait_for_another(&run);
    client.assert_one_container(&compose);
    assert_eq!(client.upgrade()["to"].as_str().unwrap().split(' ').next(), Some("fixture:2"));
    compose.stop();
}

#[test]
fn image_that_dies_after_a_while_returns_with_its_data() {
    let _shared = engine::shared();
    let (client, compose) = Client::new("late-death");
    let before = client.env.run().unwrap();
    client.declare("fixture:2", "second", "{name: FIXTURE_EXIT, value: \"3:4\"}", "1h");
    client.wait_step("Settling", &compose);
    let message = client.wait_health("RolledBack");
    assert!(message.contains("the fixture ends with 3") && message.contains("/former"), "{message}");
    client.env.wait_for("RolledBack");
    wait_ready(client.env.port);
    let back = client.env.run().unwrap();
    assert_eq!(back.0, before.0, "the very container that was replaced serves again");
    assert_eq!(client.versions(), ["first", "first"]);
    let [former] = client.kept().try_into().unwrap();
    // The engine may have started it again before it was stopped.
    let kept = read_file(&former.join("starts"));
    assert!(kept.starts_with("first\nsecond\n"), "what was written meanwhile is kept aside: {kept}");
    client.assert_one_container(&compose);
    client.env.assert_unchanged(&back);
    let (_, shown, _) = client.env.workspace.mai("status", &[&client.env.name]);
    assert!(shown.contains("UpgradeRolledBack"), "{shown}");
    compose.stop();
}

#[test]
fn image_that_changes_the_data_and_never_gets_ready_returns() {
    let _shared = engine::shared();
    let (client, compose) = Client::new("half-changed");
    client.declare(
        "fixture:2",
        "second",
        "{name: FIXTURE_SCHEMA, value: \"2\"}, {name: FIXTURE_READY, value: never}",
        "2s",
    );
    let message = client.wait_health("RolledBack");
    assert!(message.contains("not ready 8s after its start"), "{message}");
    client.env.wait_for("RolledBack");
    assert_eq!(client.versions(), ["first", "first"]);
    assert!(!client.env.volume("data").join("schema").exists());

    // Two failures open the breaker, whatever else is edited.
    for (version, reason) in [("third", "RolledBack"), ("fourth", "BreakerOpen")] {
        let failures = client.upgrade()["failures"].clone();
        client.declare(
            "fixture:2",
            version,
            "{name: FIXTURE_SCHEMA, value: \"2\"}, {name: FIXTURE_READY, value: never}",
            "2s",
        );
        wait_until(
            || format!("{version} to be {reason}; {}", compose.output()),
            || {
                let upgrade = client.upgrade();
                let failed = upgrade["failures"] == 2 && (failures == 2 || upgrade["step"] == "RolledBack");
                let condition = client.env.workspace.condition(&client.env.name, "UpgradeHealthy")?;
                (failed && condition.1 == reason).then_some(())
            },
        );
    }
    client.declare("fixture:1", "first", "", "2s");
    client.wait_health("UpToDate");
    compose.stop();
}

#[test]
fn older_image_on_newer_data_returns_without_touching_it() {
    let _shared = engine::shared();
    let (client, compose) = Client::new("downgraded");
    client.declare("fixture:2", "second", "{name: FIXTURE_SCHEMA, value: \"2\"}", "1s");
    client.wait_health("Upgraded");
    let backup = client.upgrade()["completed"]["backup"].as_str().unwrap().to_owned();
    client.declare("fixture:1", "third", "", "1s");
    let message = client.wait_health("RolledBack");
    assert!(message.contains("exit code 65") && message.contains(&backup), "{message}");
    client.env.wait_for("RolledBack");
    assert_eq!(client.versions(), ["first", "second", "second"]);
    assert_eq!(client.kept(), Vec::<PathBuf>::new());
    compose.stop();
}

#[test]
fn upgrade_without_a_program_for_backups_says_so_and_waits() {
    let _shared = engine::shared();
    engine::build_own_image();
    let client = Client { env: Environment::new("no-helper") };
    client.declare("fixture:1", "first", "", "1s");
    let compose = client.env.compose();
    client.env.wait_for("Ready");
    let run = client.env.run().unwrap();
    client.declare("fixture:2", "second", "", "1s");
    let message = client.wait_health("UpgradeBackupFailed");
    assert!(message.contains("--helper-image") && message.contains("upgrade.backupFirst: false"), "{message}");
    client.env.assert_unchanged(&run);
    assert_eq!(client.env.workspace.condition("no-helper", "Ready").unwrap().0, "True");
    compose.stop();
    // It goes on where one is named.
    let compose = client.compose(&engine::host());
    client.wait_health("Upgraded");
    assert_eq!(client.versions(), ["first", "second"]);
    compose.stop();
}

#[test]
fn upgrade_killed_at_any_call_is_completed() {
    let _shared = engine::shared();
    let (client, compose) = Client::new("cut-upgrade");
    compose.stop();
    let mut number = 1;
    let mut upgrade_through = |cut: Cut, at: usize| {
        number += 1;
        let image = format!("fixture:{}", 1 + (number + 1) % 2);
        let proxy = Proxy::start(cut);
        client.declare(&image, &format!("v{number}"), "", "1s");
        let mut compose = client.compose(&proxy.host());
        if cut != Cut::Never {
            proxy.kill_at(at, compose);
            compose = client.compose(&engine::host());
        }
        let done = |upgrade: &Value| {
            upgrade["step"] == "Completed" && upgrade["to"].as_str().is_some_and(|to| to.starts_with(&image))
        };
        let upgrade = wait_until(
            || format!("{image} after {cut:?}; {}; {}", client.upgrade(), compose.output()),
            || Some(client.upgrade()).filter(done),
        );
        assert!(client.is_verified(&upgrade["backup"]), "{upgrade}");
        client.assert_one_container(&compose);
        let versions = client.versions();
        assert_eq!(versions.last(), Some(&format!("v{number}")), "{versions:?}");
        compose.stop();
        proxy.changes()
    };
    let calls = upgrade_through(Cut::Never, 0);
    assert!(calls.len() >= 9, "{calls:?}");
    for at in 1..=calls.len() {
        upgrade_through(Cut::After(at), at);
    }
}

#[test]
fn return_killed_at_any_step_is_carried_on() {
    let _shared = engine::shared();
    let (client, compose) = Client::new("cut-return");
    compose.stop();
    let fails = "{name: FIXTURE_SCHEMA, value: \"2\"}, {name: FIXTURE_EXIT, value: \"3:3\"}";
    // The calls of a whole failure are recorded first, so that the test does not assume them.
    let mut number = 1;
    let mut fail_through = |cut: Cut, at: usize| {
        number += 1;
        let proxy = Proxy::start(cut);
        // A breaker would open after the second failure.
        client.declare("fixture:1", "first", "", "1s");
        let compose = client.compose(&engine::host());
        client.env.wait_for("Ready");
        compose.stop();
        let image = format!("fixture:fails-{number}");
        engine::tag("fixture:2", &image);
        client.declare(&image, &format!("v{number}"), fails, "1h");
        let mut compose = client.compose(&proxy.host());
        if cut != Cut::Never {
            proxy.kill_at(at, compose);
            compose = client.compose(&engine::host());
        }
        client.wait_health("RolledBack");
        client.env.wait_for("RolledBack");
        let versions = client.versions();
        assert!(versions.iter().all(|version| version == "first"), "{versions:?}");
        assert!(!client.env.volume("data").join("schema").exists(), "{cut:?}");
        client.assert_one_container(&compose);
        compose.stop();
        proxy.changes()
    };
    let calls = fail_through(Cut::Never, 0);
    assert!(calls.len() >= 16, "{calls:?}");
    for at in (1..=calls.len()).skip(calls.len() / 3) {
        fail_through(Cut::After(at), at);
    }
}
