//! The engine is restarted under a running reconciler, also during a deployment.

use std::time::Duration;

use bollard::models::ContainerInspectResponse;

use super::engine;
use super::environment::Environment;

use crate::fixtures::compose::{wait_ready, wait_until};

#[test]
fn restarted_or_killed_engine_runs_every_server_again() {
    let _alone = engine::alone();
    let env = Environment::new("survivor");
    env.declare("fixture:1", "");
    // Events are followed again after each restart: nothing else names what has changed.
    let compose = env.compose_by_events();
    env.wait_up();
    for order in ["restart", "kill"] {
        let before = env.run().unwrap();
        engine::send(order);
        env.wait_for_another(&before);
        env.wait_for("Ready");
    }
    let before = env.run().unwrap();
    engine::with_docker(async |docker| {
        docker.kill_container(&before.0, None::<bollard::query_parameters::KillContainerOptions>).await.unwrap();
    });
    env.wait_for_another(&before);
    compose.stop();
}

/// Ends what killed engines left running when a test is over, however it ends. An engine that was
/// killed in the middle of a start may forget a container, which would keep its address.
struct CleanEngine;

impl Drop for CleanEngine {
    fn drop(&mut self) {
        engine::send("clean");
    }
}

#[test]
fn engine_restart_during_deployment_reaches_declared_state() {
    let _alone = engine::alone();
    let _clean = CleanEngine;
    let env = Environment::new("midway");
    let compose = env.up("");
    let mut image = 1;
    for (order, delay) in [("restart", 0), ("kill", 150), ("restart", 300), ("kill", 500), ("restart", 800)] {
        image = 3 - image;
        env.declare(&format!("fixture:{image}"), "");
        std::thread::sleep(Duration::from_millis(delay));
        engine::send(order);
        let wanted =
            engine::with_docker(async |docker| docker.inspect_image(&format!("fixture:{image}")).await.unwrap().id);
        let there = |container: &ContainerInspectResponse| {
            container.image == wanted && container.state.as_ref().is_some_and(|state| state.running == Some(true))
        };
        wait_until(
            || format!("fixture:{image} after {order} {delay} ms into its deployment; {}", compose.output()),
            || {
                let message =
                    env.workspace.condition("midway", "Ready").map(|(_, _, message)| message).unwrap_or_default();
                // Docker 20.10, killed while it starts a container, keeps the port allocated until
                // its next regular restart. A reconciler can only report that.
                if message.contains("no longer exists; restart the engine") {
                    assert_eq!(order, "kill", "{message}");
                    engine::send("restart");
                }
                env.inspect().filter(there)
            },
        );
        wait_ready(env.port);
        wait_until(|| "one container".into(), || (env.containers().len() == 1).then_some(()));
        env.wait_for("Ready");
    }
    assert!(env.starts() >= 6);
}
