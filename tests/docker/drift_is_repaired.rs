//! Manual changes of a container are reverted to the document.

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, CreateContainerOptionsBuilder, KillContainerOptions, RemoveVolumeOptions,
    RenameContainerOptions, RenameContainerOptionsBuilder, StartContainerOptions, StopContainerOptions,
};
use serde_json::json;

use super::engine;
use super::environment::{Environment, json as shown, list, remove};

use crate::fixtures::compose::{wait_ready, wait_until};

#[test]
fn stopped_container_is_started() {
    let _shared = engine::shared();
    let env = Environment::new("stopped");
    let _compose = env.up("");
    let before = env.run().unwrap();
    engine::with_docker(async |docker| docker.stop_container(&before.0, None::<StopContainerOptions>).await.unwrap());
    let after = env.wait_for_another(&before);
    assert_eq!(after.0, before.0, "the same container goes on");
}

#[test]
fn killed_container_is_started_without_the_engine() {
    let _shared = engine::shared();
    let env = Environment::new("killed");
    let _compose = env.up("");
    let before = env.run().unwrap();
    engine::with_docker(async |docker| docker.kill_container(&before.0, None::<KillContainerOptions>).await.unwrap());
    env.wait_for_another(&before);
}

#[test]
fn removed_container_is_recreated_on_its_data() {
    let _shared = engine::shared();
    let env = Environment::new("removed");
    let _compose = env.up("");
    let before = env.run().unwrap();
    engine::with_docker(async |docker| remove(&docker, &before.0).await);
    let after = env.wait_for_another(&before);
    assert_ne!(after.0, before.0);
    assert_eq!(env.starts(), 2);
}

#[test]
fn renamed_container_gets_its_name_back_while_running() {
    let _shared = engine::shared();
    let env = Environment::new("renamed");
    let _compose = env.up("");
    let before = env.run().unwrap();
    engine::with_docker(async |docker| {
        let options: RenameContainerOptions = RenameContainerOptionsBuilder::new().name("somebody-was-here").build();
        docker.rename_container(&before.0, options).await.unwrap();
    });
    let after = wait_until(|| "its name".into(), || env.run());
    assert_eq!(after, before);
    env.assert_unchanged(&before);
}

#[test]
fn manually_changed_limits_are_restored_in_place() {
    let _shared = engine::shared();
    let env = Environment::new("edited");
    let _compose = env.up("  resources: {limits: {cpu: 500m, memory: 64Mi}}\n");
    let before = env.run().unwrap();
    engine::with_docker(async |docker| {
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
            let container = shown(&env.inspect()?);
            let host = &container["HostConfig"];
            let back = host["Memory"] == json!(64 << 20)
                && host["NanoCpus"] == json!(500_000_000)
                && host["RestartPolicy"]["Name"] == "unless-stopped";
            back.then_some(())
        },
    );
    assert_eq!(env.run().unwrap(), before);
}

#[test]
fn disconnected_container_rejoins_a_recreated_network() {
    let _alone = engine::alone();
    let env = Environment::new("unplugged");
    let _compose = env.up("");
    let before = env.run().unwrap();
    let networks = || shown(&env.inspect().unwrap())["NetworkSettings"]["Networks"].clone();
    let unplug = async |docker: &bollard::Docker| {
        let request = NetworkDisconnectRequest { container: before.0.clone(), force: Some(true) };
        docker.disconnect_network("mai", request).await.unwrap();
    };
    engine::with_docker(async |docker| unplug(&docker).await);
    wait_until(|| "its network".into(), || networks().get("mai").map(drop));
    assert_eq!(env.run().unwrap(), before, "it goes on meanwhile");

    // Without containers the network itself can be removed; it is recreated.
    engine::with_docker(async |docker| {
        unplug(&docker).await;
        let _ = docker.remove_network("mai").await;
    });
    wait_until(|| "its network".into(), || networks().get("mai").map(drop));
    wait_ready(env.port);
    assert_eq!(env.run().unwrap(), before);
}

#[test]
fn other_names_and_addresses_in_a_network_are_removed() {
    let _shared = engine::shared();
    let env = Environment::new("posing");
    let compose = env.up("");
    let before = env.run().unwrap();
    compose.stop();
    let in_network = || shown(&env.inspect().unwrap())["NetworkSettings"]["Networks"]["mai"].clone();
    let aliases = || {
        let network = in_network();
        let all = network["Aliases"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|alias| !before.0.starts_with(alias.as_str().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(aliases(), [json!("mai-posing")]);
    // A proxy would send the people of another client here.
    engine::with_docker(async |docker| {
        let leave = NetworkDisconnectRequest { container: before.0.clone(), force: Some(true) };
        docker.disconnect_network("mai", leave).await.unwrap();
        let settings = EndpointSettings { aliases: Some(vec!["mai-another".into()]), ..EndpointSettings::default() };
        let join = NetworkConnectRequest { container: before.0.clone(), endpoint_config: Some(settings) };
        docker.connect_network("mai", join).await.unwrap();
    });
    assert_eq!(aliases(), [json!("mai-another")]);
    let _compose = env.compose();
    wait_until(|| "its own name alone".into(), || (aliases() == [json!("mai-posing")]).then_some(()));
    wait_ready(env.port);
    assert_eq!(env.run().unwrap(), before, "it goes on meanwhile");
}

#[test]
fn rolled_back_container_regains_name_and_network() {
    let _shared = engine::shared();
    let env = Environment::new("put-back");
    let limits = |memory: &str| format!("  resources: {{limits: {{memory: {memory}}}}}\n");
    let _compose = env.up(&limits("64Mi"));
    let never = "  server: {env: [{name: FIXTURE_READY, value: never}]}\n  health: {startPeriod: 3s, interval: 1s, timeout: 1s}\n";
    env.declare("fixture:1", &(limits("32Mi") + never));
    env.wait_for("RolledBack");
    wait_ready(env.port);
    let before = env.run().unwrap();
    engine::with_docker(async |docker| {
        let request = NetworkDisconnectRequest { container: before.0.clone(), force: Some(true) };
        docker.disconnect_network("mai", request).await.unwrap();
        let options: RenameContainerOptions = RenameContainerOptionsBuilder::new().name("put-elsewhere").build();
        docker.rename_container(&before.0, options).await.unwrap();
    });
    let networks = |container: &serde_json::Value| container["NetworkSettings"]["Networks"].get("mai").is_some();
    let container = wait_until(
        || "its name and its network".into(),
        || env.inspect().map(|container| shown(&container)).filter(networks),
    );
    // The limits were declared together with the change that did not become ready.
    assert_eq!(container["HostConfig"]["Memory"], json!(64 << 20));
    env.wait_for("RolledBack");
    wait_ready(env.port);
    env.assert_unchanged(&before);
}

#[test]
fn stopped_container_with_recreated_network_is_started() {
    let _alone = engine::alone();
    let env = Environment::new("replugged");
    let compose = env.up("");
    let before = env.run().unwrap();
    compose.stop();
    engine::with_docker(async |docker| {
        docker.stop_container(&before.0, None::<StopContainerOptions>).await.unwrap();
        docker.remove_network("mai").await.unwrap();
    });
    let _compose = env.compose();
    env.wait_for_another(&before);
}

/// Returns the process that forwards a published port.
fn forwarder(port: u16) -> Option<i32> {
    let words = [b"-host-port".to_vec(), port.to_string().into_bytes()];
    let forwards = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let all: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        all[0].ends_with(b"docker-proxy") && all.windows(2).any(|two| two == words)
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).find(forwards)
}

#[test]
fn server_behind_an_unreachable_port_is_not_ready() {
    let _shared = engine::shared();
    let env = Environment::new("unreachable");
    let compose = env.up("  health: {interval: 1s, timeout: 1s, retries: 3}\n");
    let before = env.run().unwrap();
    let forwarder = forwarder(env.port).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(forwarder).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
    compose.wait_for_line(&["unreachable", "Unhealthy", "the server answers inside its container, at "]);
    // A start publishes the port again.
    env.wait_for_another(&before);
    env.wait_for("Ready");
}

#[test]
fn paused_container_is_unpaused() {
    let _shared = engine::shared();
    let env = Environment::new("paused");
    let _compose = env.up("");
    let before = env.run().unwrap();
    engine::with_docker(async |docker| docker.pause_container(&before.0).await.unwrap());
    wait_ready(env.port);
    assert_eq!(env.run().unwrap(), before);
}

#[test]
fn removed_volume_is_recreated() {
    let _shared = engine::shared();
    let env = Environment::new("emptied");
    let compose = env.up("");
    let before = env.run().unwrap();
    compose.stop();
    engine::with_docker(async |docker| {
        remove(&docker, &before.0).await;
        docker.remove_volume("mai-emptied-data", None::<RemoveVolumeOptions>).await.unwrap();
    });
    let compose = env.compose();
    env.wait_for_another(&before);
    assert_eq!(env.starts(), 1);
    compose.wait_for_line(&["mai-emptied-data", "was created again"]);
}

/// Creates the container of a client again as graphical tools do, with all settings and one change,
/// and waits until it is replaced.
fn replaces_one_created_by_hand(name: &str, change: impl FnOnce(&mut ContainerCreateBody)) {
    let _shared = engine::shared();
    let env = Environment::new(name);
    let compose = env.up("");
    let before = env.run().unwrap();
    compose.stop();
    let original = env.inspect().unwrap();
    let mut body: ContainerCreateBody =
        serde_json::from_value(serde_json::to_value(original.config.unwrap()).unwrap()).unwrap();
    body.host_config = original.host_config;
    change(&mut body);
    engine::with_docker(async |docker| {
        remove(&docker, &before.0).await;
        let options: CreateContainerOptions = CreateContainerOptionsBuilder::new().name(&env.container()).build();
        docker.create_container(Some(options), body).await.unwrap();
        docker.start_container(&env.container(), None::<StartContainerOptions>).await.unwrap();
    });
    let by_hand = env.run().unwrap();
    let _compose = env.compose();
    let after = env.wait_for_another(&by_hand);
    assert_ne!(after.0, by_hand.0);
    wait_until(|| "its own name".into(), || (env.get("/name") == name).then_some(()));
    assert_ne!(shown(&env.inspect().unwrap())["HostConfig"]["PidMode"], "host");
}

#[test]
fn container_recreated_manually_with_our_labels_is_replaced() {
    replaces_one_created_by_hand("duplicated", |body| {
        body.env.as_mut().unwrap().push("WEBUI_NAME=Changed by hand".to_owned());
    });
}

#[test]
fn container_recreated_with_more_rights_is_replaced() {
    replaces_one_created_by_hand("promoted", |body| {
        body.host_config.as_mut().unwrap().pid_mode = Some("host".to_owned());
    });
}

#[test]
fn unchanged_instance_and_foreign_containers_are_untouched() {
    let _shared = engine::shared();
    let env = Environment::new("calm");
    let compose = env.up("");
    let before = env.run().unwrap();
    compose.stop();
    let _compose = env.compose();
    env.assert_unchanged(&before);
    assert!(list().iter().all(|container| container.names.as_ref().is_some_and(|names| names[0] != "/mai-calm.next")));
}
