//! The engine is restarted under a running reconciler, also in the middle of a deployment.

use std::time::Duration;

use bollard::models::ContainerInspectResponse;

use super::engine;
use super::stage::Stage;

use crate::fixtures::compose::{wait_ready, wait_until};

#[test]
fn an_engine_that_is_restarted_or_killed_finds_every_server_running_again() {
    let _alone = engine::alone();
    let stage = Stage::new("survivor");
    let compose = stage.up("");
    for order in ["restart", "kill"] {
        let before = stage.run().unwrap();
        engine::order(order);
        stage.wait_for_another(&before);
        stage.wait_for("Ready");
    }
    // Events are followed again: what happens now is seen at once and not at the next resync.
    let before = stage.run().unwrap();
    let asked = std::time::Instant::now();
    engine::by_hand(async |docker| {
        docker.kill_container(&before.0, None::<bollard::query_parameters::KillContainerOptions>).await.unwrap();
    });
    stage.wait_for_another(&before);
    assert!(asked.elapsed() < Duration::from_secs(12), "{:?}", asked.elapsed());
    compose.stop();
}

#[test]
fn an_engine_that_is_restarted_in_the_middle_of_a_deployment_ends_it_with_what_is_declared() {
    let _alone = engine::alone();
    let stage = Stage::new("midway");
    let compose = stage.up("");
    let mut image = 1;
    for (order, delay) in [("restart", 0), ("kill", 150), ("restart", 300), ("kill", 500), ("restart", 800)] {
        image = 3 - image;
        stage.declare(&format!("fixture:{image}"), "");
        std::thread::sleep(Duration::from_millis(delay));
        engine::order(order);
        let wanted =
            engine::by_hand(async |docker| docker.inspect_image(&format!("fixture:{image}")).await.unwrap().id);
        let there = |container: &ContainerInspectResponse| {
            container.image == wanted && container.state.as_ref().is_some_and(|state| state.running == Some(true))
        };
        wait_until(
            || format!("fixture:{image} after {order} {delay} ms into its deployment; {}", compose.output()),
            || {
                let message =
                    stage.place.condition("midway", "Ready").map(|(_, _, message)| message).unwrap_or_default();
                // Docker 20.10, killed while it starts a container, holds its port until it is restarted properly. That is all a
                // reconciler can say about it.
                if message.contains("a restart of the engine cures") {
                    assert_eq!(order, "kill", "{message}");
                    engine::order("restart");
                }
                stage.inspect().filter(there)
            },
        );
        wait_ready(stage.port);
        wait_until(|| "one container".into(), || (stage.containers().len() == 1).then_some(()));
        stage.wait_for("Ready");
    }
    assert!(stage.starts() >= 6);
}
