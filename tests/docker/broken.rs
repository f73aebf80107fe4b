//! What cannot run is told, rolled back and not tried again and again.

use std::time::Duration;

use super::engine;
use super::stage::{Stage, json as shown};

use crate::fixtures::compose::{wait_ready, wait_until};

fn never_ready() -> &'static str {
    "  server: {env: [{name: FIXTURE_READY, value: never}]}\n  health: {startPeriod: 3s, interval: 1s, timeout: 1s}\n"
}

#[test]
fn an_image_that_is_not_there_is_told_in_the_engines_words_and_used_once_it_is() {
    let _shared = engine::shared();
    let stage = Stage::new("imageless");
    stage.place.write_secret("upstream", "key", "sk-or-v1-fixture");
    let document = stage.document("fixture:later", "").replace("  imagePullPolicy: Never\n", "");
    stage.place.write("instance.yaml", &document.replace("fixture:later", "127.0.0.1:1/fixture:later"));
    let _compose = stage.compose();
    let message = stage.wait_for("ImageUnavailable");
    assert!(message.contains("127.0.0.1:1/fixture:later") && message.contains("connection refused"), "{message}");

    engine::by_hand(async |docker| {
        let options: bollard::query_parameters::TagImageOptions =
            bollard::query_parameters::TagImageOptionsBuilder::new().repo("127.0.0.1:1/fixture").tag("later").build();
        docker.tag_image("fixture:1", Some(options)).await.unwrap();
    });
    wait_ready(stage.port);
}

#[test]
fn a_missing_image_stops_nothing_that_runs() {
    let _shared = engine::shared();
    let stage = Stage::new("careful");
    let _compose = stage.up("");
    let run = stage.run().unwrap();
    stage.declare("fixture:missing", "");
    let message = stage.wait_for("ImageUnavailable");
    assert!(message.contains("imagePullPolicy is Never"), "{message}");
    stage.assert_calm(&run);
}

#[test]
fn an_image_that_never_becomes_ready_is_rolled_back_and_not_tried_again() {
    let _shared = engine::shared();
    let stage = Stage::new("rolledback");
    let _compose = stage.up("");
    let before = stage.run().unwrap();
    stage.declare("fixture:2", never_ready());
    let message = stage.wait_for("RolledBack");
    assert!(message.contains("not ready 3s after its start"), "{message}");
    wait_ready(stage.port);
    let back = stage.run().unwrap();
    assert_eq!(back.0, before.0, "the very container that was replaced serves again");
    stage.assert_calm(&back);
    assert_eq!(stage.containers().len(), 1);

    // A mended document is tried.
    stage.declare("fixture:2", "");
    stage.wait_for_another(&back);
    stage.wait_for("Ready");
}

#[test]
fn a_replacement_that_ends_at_once_is_rolled_back_though_the_engine_keeps_starting_it() {
    let _shared = engine::shared();
    let stage = Stage::new("crashing");
    let _compose = stage.up("");
    let before = stage.run().unwrap();
    stage.declare(
        "fixture:2",
        "  server: {env: [{name: FIXTURE_EXIT, value: \"3:0.2\"}, {name: FIXTURE_READY, value: never}]}\n",
    );
    let message = stage.wait_for("RolledBack");
    assert!(message.contains("the fixture ends with 3"), "{message}");
    wait_ready(stage.port);
    assert_eq!(stage.run().unwrap().0, before.0);
}

#[test]
fn a_replacement_that_cannot_be_started_is_rolled_back() {
    let _shared = engine::shared();
    let stage = Stage::new("unstartable");
    let _compose = stage.up("");
    let before = stage.run().unwrap();
    stage.declare("fixture:broken", "");
    let message = stage.wait_for("RolledBack");
    assert!(message.contains("/nothing"), "{message}");
    wait_ready(stage.port);
    assert_eq!(stage.run().unwrap().0, before.0);
}

#[test]
fn a_crash_loop_shows_with_the_last_line_of_the_log_and_without_secrets() {
    let _shared = engine::shared();
    let stage = Stage::new("looping");
    stage.declare("fixture:1", "  server: {env: [{name: FIXTURE_EXIT, value: \"4:0.1\"}]}\n");
    let _compose = stage.compose();
    let message = stage.wait_for("CrashLoop");
    assert!(message.contains("the fixture ends with 4, its key is [secret]"), "{message}");
}

#[test]
fn a_mended_document_ends_a_crash_loop_at_once() {
    let _shared = engine::shared();
    let stage = Stage::new("mended");
    stage.declare("fixture:1", "  server: {env: [{name: FIXTURE_EXIT, value: \"4:0.1\"}]}\n");
    let compose = stage.compose();
    // The engine waits for seconds by then, and would refuse to rename the container.
    wait_until(
        || "the engine to wait before it starts it again".to_owned(),
        || {
            let container = shown(&stage.inspect()?);
            let often = container["RestartCount"].as_u64() >= Some(5);
            (often && container["State"]["Status"] == "restarting").then_some(())
        },
    );
    stage.declare("fixture:1", "");
    wait_ready(stage.port);
    stage.wait_for("Ready");
    assert!(!compose.output().contains("ApplyFailed"), "{}", compose.output());
}

#[test]
fn a_server_that_ignores_sigterm_is_killed_after_its_grace_period() {
    let _shared = engine::shared();
    let stage = Stage::new("deaf");
    let _compose = stage.up("  server: {env: [{name: FIXTURE_IGNORE_TERM, value: \"true\"}]}\n");
    assert_eq!(shown(&stage.inspect().unwrap())["Config"]["StopTimeout"], 15);
    let begun = std::time::Instant::now();
    stage.declare("fixture:1", "  suspend: true\n");
    stage.wait_for("Suspended");
    assert!(stage.run().is_none());
    assert!(begun.elapsed() < Duration::from_secs(40));
}
