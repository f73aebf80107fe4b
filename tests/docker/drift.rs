//! Whatever is done to a container by hand comes back to the document.

use bollard::models::{ContainerUpdateBody, NetworkDisconnectRequest};
use bollard::query_parameters::{
    KillContainerOptions, RemoveVolumeOptions, RenameContainerOptions, RenameContainerOptionsBuilder,
    StopContainerOptions,
};
use serde_json::json;

use super::engine;
use super::stage::{Stage, json as shown, list, remove};

use crate::fixtures::compose::{wait_ready, wait_until};

#[test]
fn a_stopped_container_is_started_again() {
    let _shared = engine::shared();
    let stage = Stage::new("stopped");
    let _compose = stage.up("");
    let before = stage.run().unwrap();
    engine::by_hand(async |docker| docker.stop_container(&before.0, None::<StopContainerOptions>).await.unwrap());
    let after = stage.wait_for_another(&before);
    assert_eq!(after.0, before.0, "the same container goes on");
}

#[test]
fn a_killed_container_is_started_again_though_the_engine_would_not() {
    let _shared = engine::shared();
    let stage = Stage::new("killed");
    let _compose = stage.up("");
    let before = stage.run().unwrap();
    engine::by_hand(async |docker| docker.kill_container(&before.0, None::<KillContainerOptions>).await.unwrap());
    stage.wait_for_another(&before);
}

#[test]
fn a_removed_container_is_made_again_on_its_data() {
    let _shared = engine::shared();
    let stage = Stage::new("removed");
    let _compose = stage.up("");
    let before = stage.run().unwrap();
    engine::by_hand(async |docker| remove(&docker, &before.0).await);
    let after = stage.wait_for_another(&before);
    assert_ne!(after.0, before.0);
    assert_eq!(stage.starts(), 2);
}

#[test]
fn a_renamed_container_gets_its_name_back_and_goes_on_meanwhile() {
    let _shared = engine::shared();
    let stage = Stage::new("renamed");
    let _compose = stage.up("");
    let before = stage.run().unwrap();
    engine::by_hand(async |docker| {
        let options: RenameContainerOptions = RenameContainerOptionsBuilder::new().name("somebody-was-here").build();
        docker.rename_container(&before.0, options).await.unwrap();
    });
    let after = wait_until(|| "its name".into(), || stage.run());
    assert_eq!(after, before);
    stage.assert_calm(&before);
}

#[test]
fn limits_edited_by_hand_are_set_back_while_the_server_runs() {
    let _shared = engine::shared();
    let stage = Stage::new("edited");
    let _compose = stage.up("  resources: {limits: {cpu: 500m, memory: 64Mi}}\n");
    let before = stage.run().unwrap();
    engine::by_hand(async |docker| {
        let edit = ContainerUpdateBody {
            memory: Some(32 << 20),
            nano_cpus: Some(100_000_000),
            restart_policy: Some(bollard::models::RestartPolicy {
                name: Some(bollard::models::RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            ..ContainerUpdateBody::default()
        };
        docker.update_container(&before.0, edit).await.unwrap();
    });
    wait_until(
        || "the limits to come back".into(),
        || {
            let container = shown(&stage.inspect()?);
            let host = &container["HostConfig"];
            let back = host["Memory"] == json!(64 << 20)
                && host["NanoCpus"] == json!(500_000_000)
                && host["RestartPolicy"]["Name"] == "unless-stopped";
            back.then_some(())
        },
    );
    assert_eq!(stage.run().unwrap(), before);
}

#[test]
fn a_container_that_was_taken_off_its_network_joins_it_again_also_when_the_network_was_removed() {
    let _alone = engine::alone();
    let stage = Stage::new("unplugged");
    let _compose = stage.up("");
    let before = stage.run().unwrap();
    let networks = || shown(&stage.inspect().unwrap())["NetworkSettings"]["Networks"].clone();
    let unplug = async |docker: &bollard::Docker| {
        let request = NetworkDisconnectRequest { container: before.0.clone(), force: Some(true) };
        docker.disconnect_network("mai", request).await.unwrap();
    };
    engine::by_hand(async |docker| unplug(&docker).await);
    wait_until(|| "its network".into(), || networks().get("mai").map(drop));
    assert_eq!(stage.run().unwrap(), before, "it goes on meanwhile");

    // Off it, the network itself can be removed: it is made again.
    engine::by_hand(async |docker| {
        unplug(&docker).await;
        let _ = docker.remove_network("mai").await;
    });
    wait_until(|| "its network".into(), || networks().get("mai").map(drop));
    wait_ready(stage.port);
    assert_eq!(stage.run().unwrap(), before);
}

#[test]
fn a_container_that_was_put_back_gets_its_name_and_network_back_and_keeps_its_limits() {
    let _shared = engine::shared();
    let stage = Stage::new("put-back");
    let limits = |memory: &str| format!("  resources: {{limits: {{memory: {memory}}}}}\n");
    let _compose = stage.up(&limits("64Mi"));
    let never = "  server: {env: [{name: FIXTURE_READY, value: never}]}\n  health: {startPeriod: 3s, interval: 1s, timeout: 1s}\n";
    stage.declare("fixture:1", &(limits("32Mi") + never));
    stage.wait_for("RolledBack");
    wait_ready(stage.port);
    let before = stage.run().unwrap();
    engine::by_hand(async |docker| {
        let request = NetworkDisconnectRequest { container: before.0.clone(), force: Some(true) };
        docker.disconnect_network("mai", request).await.unwrap();
        let options: RenameContainerOptions = RenameContainerOptionsBuilder::new().name("put-elsewhere").build();
        docker.rename_container(&before.0, options).await.unwrap();
    });
    let networks = |container: &serde_json::Value| container["NetworkSettings"]["Networks"].get("mai").is_some();
    let container = wait_until(
        || "its name and its network".into(),
        || stage.inspect().map(|container| shown(&container)).filter(networks),
    );
    // What it may use was declared together with what did not become ready.
    assert_eq!(container["HostConfig"]["Memory"], json!(64 << 20));
    stage.wait_for("RolledBack");
    wait_ready(stage.port);
    stage.assert_calm(&before);
}

#[test]
fn a_stopped_container_whose_network_was_removed_and_made_again_is_started() {
    let _alone = engine::alone();
    let stage = Stage::new("replugged");
    let compose = stage.up("");
    let before = stage.run().unwrap();
    compose.stop();
    engine::by_hand(async |docker| {
        docker.stop_container(&before.0, None::<StopContainerOptions>).await.unwrap();
        docker.remove_network("mai").await.unwrap();
    });
    let _compose = stage.compose();
    stage.wait_for_another(&before);
}

#[test]
fn a_paused_container_goes_on() {
    let _shared = engine::shared();
    let stage = Stage::new("paused");
    let _compose = stage.up("");
    let before = stage.run().unwrap();
    engine::by_hand(async |docker| docker.pause_container(&before.0).await.unwrap());
    wait_ready(stage.port);
    assert_eq!(stage.run().unwrap(), before);
}

#[test]
fn a_removed_volume_is_made_again() {
    let _shared = engine::shared();
    let stage = Stage::new("emptied");
    let compose = stage.up("");
    let before = stage.run().unwrap();
    compose.stop();
    engine::by_hand(async |docker| {
        remove(&docker, &before.0).await;
        docker.remove_volume("mai-emptied-data", None::<RemoveVolumeOptions>).await.unwrap();
    });
    let compose = stage.compose();
    stage.wait_for_another(&before);
    assert_eq!(stage.starts(), 1);
    compose.wait_for_line(&["mai-emptied-data", "was made anew"]);
}

#[test]
fn a_container_that_was_made_anew_by_hand_with_our_labels_is_seen_through() {
    let _shared = engine::shared();
    let stage = Stage::new("duplicated");
    let compose = stage.up("");
    let before = stage.run().unwrap();
    compose.stop();
    let original = stage.inspect().unwrap();
    engine::by_hand(async |docker| {
        // As graphical tools do it: everything is taken over, and one thing changed.
        let mut body: bollard::models::ContainerCreateBody =
            serde_json::from_value(serde_json::to_value(original.config.unwrap()).unwrap()).unwrap();
        body.host_config = original.host_config;
        body.env.as_mut().unwrap().push("WEBUI_NAME=Changed by hand".to_owned());
        remove(&docker, &before.0).await;
        let options: bollard::query_parameters::CreateContainerOptions =
            bollard::query_parameters::CreateContainerOptionsBuilder::new().name("mai-duplicated").build();
        docker.create_container(Some(options), body).await.unwrap();
        docker
            .start_container("mai-duplicated", None::<bollard::query_parameters::StartContainerOptions>)
            .await
            .unwrap();
    });
    let by_hand = stage.run().unwrap();
    let _compose = stage.compose();
    stage.wait_for_another(&by_hand);
    wait_until(|| "its own name".into(), || (stage.get("/name") == "duplicated").then_some(()));
}

#[test]
fn an_unchanged_instance_is_left_alone_and_its_neighbours_are_nobodys_business() {
    let _shared = engine::shared();
    let stage = Stage::new("calm");
    let compose = stage.up("");
    let before = stage.run().unwrap();
    compose.stop();
    let _compose = stage.compose();
    stage.assert_calm(&before);
    assert!(list().iter().all(|container| container.names.as_ref().is_some_and(|names| names[0] != "/mai-calm.next")));
}
