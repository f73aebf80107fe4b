//! A change that cannot run is reported, rolled back and not retried until the document changes.

use super::engine;
use super::environment::{Environment, json as shown};

use crate::fixtures::compose::{wait_ready, wait_until};

fn never_ready() -> &'static str {
    "  server: {env: [{name: FIXTURE_READY, value: never}]}\n  health: {startPeriod: 3s, interval: 1s, timeout: 1s}\n"
}

#[test]
fn missing_image_is_reported_and_used_once_present() {
    let _shared = engine::shared();
    let env = Environment::new("unpulled");
    env.workspace.write_secret("upstream", "key", "sk-or-v1-fixture");
    let document = env.document("fixture:later", "").replace("  imagePullPolicy: Never\n", "");
    env.workspace.write("instance.yaml", &document.replace("fixture:later", "127.0.0.1:1/fixture:later"));
    let _compose = env.compose();
    let message = env.wait_for("ImageUnavailable");
    assert!(message.contains("127.0.0.1:1/fixture:later") && message.contains("connection refused"), "{message}");

    engine::tag("fixture:1", "127.0.0.1:1/fixture:later");
    wait_ready(env.port);
}

#[test]
fn missing_image_keeps_the_running_container() {
    let _shared = engine::shared();
    let env = Environment::new("careful");
    let _compose = env.up("");
    let run = env.run().unwrap();
    env.declare("fixture:missing", "");
    let message = env.wait_for("ImageUnavailable");
    assert!(message.contains("imagePullPolicy is Never"), "{message}");
    env.assert_unchanged(&run);
}

#[test]
fn image_never_ready_is_rolled_back_and_not_retried() {
    let _shared = engine::shared();
    let env = Environment::new("rolledback");
    let _compose = env.up("");
    let before = env.run().unwrap();
    env.declare("fixture:2", never_ready());
    let message = env.wait_for("RolledBack");
    assert!(message.contains("not ready 3s after its start"), "{message}");
    wait_ready(env.port);
    let back = env.run().unwrap();
    assert_eq!(back.0, before.0, "the very container that was replaced serves again");
    env.assert_unchanged(&back);
    wait_until(|| "the removal of what was tried".into(), || (env.containers().len() == 1).then_some(()));

    // A corrected document is applied.
    env.declare("fixture:2", "");
    env.wait_for_another(&back);
    env.wait_for("Ready");
}

#[test]
fn replacement_exiting_at_once_is_rolled_back() {
    let _shared = engine::shared();
    let env = Environment::new("crashing");
    let _compose = env.up("");
    let before = env.run().unwrap();
    env.declare(
        "fixture:2",
        "  server: {env: [{name: FIXTURE_EXIT, value: \"3:0.2\"}, {name: FIXTURE_READY, value: never}]}\n",
    );
    let message = env.wait_for("RolledBack");
    assert!(message.contains("the fixture ends with 3"), "{message}");
    wait_ready(env.port);
    assert_eq!(env.run().unwrap().0, before.0);
}

#[test]
fn replacement_failing_to_start_is_rolled_back() {
    let _shared = engine::shared();
    let env = Environment::new("unstartable");
    let _compose = env.up("");
    let before = env.run().unwrap();
    env.declare("fixture:broken", "");
    let message = env.wait_for("RolledBack");
    assert!(message.contains("/nothing"), "{message}");
    wait_ready(env.port);
    assert_eq!(env.run().unwrap().0, before.0);
}

#[test]
fn crash_loop_shows_the_last_log_line_without_secrets() {
    let _shared = engine::shared();
    let env = Environment::new("looping");
    env.declare("fixture:1", "  server: {env: [{name: FIXTURE_EXIT, value: \"4:0.1\"}]}\n");
    let _compose = env.compose();
    let message = env.wait_for("CrashLoop");
    assert!(message.contains("the fixture ends with 4, its key is [secret]"), "{message}");
}

#[test]
fn corrected_document_ends_a_crash_loop_promptly() {
    let _shared = engine::shared();
    let env = Environment::new("mended");
    env.declare("fixture:1", "  server: {env: [{name: FIXTURE_EXIT, value: \"4:0.1\"}]}\n");
    let compose = env.compose();
    // By then the engine delays restarts by seconds, during which it refuses to rename the
    // container.
    wait_until(
        || "the engine to wait before it starts it again".to_owned(),
        || {
            let container = shown(&env.inspect()?);
            let often = container["RestartCount"].as_u64() >= Some(5);
            (often && container["State"]["Status"] == "restarting").then_some(())
        },
    );
    env.declare("fixture:1", "");
    wait_ready(env.port);
    env.wait_for("Ready");
    assert!(!compose.output().contains("ApplyFailed"), "{}", compose.output());
}

#[test]
fn container_ignoring_sigterm_is_killed_after_its_grace() {
    let _shared = engine::shared();
    let env = Environment::new("deaf");
    let _compose = env.up("  server: {env: [{name: FIXTURE_IGNORE_TERM, value: \"true\"}]}\n");
    assert_eq!(shown(&env.inspect().unwrap())["Config"]["StopTimeout"], 15);
    env.declare("fixture:1", "  suspend: true\n");
    env.wait_for("Suspended");
    assert!(env.run().is_none());
}
