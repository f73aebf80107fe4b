//! Foreign containers and volumes are not touched, and nothing is stopped for a change that is
//! impossible.

use std::net::TcpListener;

use bollard::models::{ContainerCreateBody, HostConfig, NetworkCreateRequest, PortBinding};
use bollard::query_parameters::{CreateContainerOptions, CreateContainerOptionsBuilder, StartContainerOptions};

use super::engine;
use super::environment::{Environment, inspect, remove};

use crate::fixtures::compose::{wait_ready, wait_until};
use crate::fixtures::ports::free_port;

fn run_foreign_container(name: &str, port: Option<u16>) {
    engine::with_docker(async |docker| {
        let bindings = port.map(|port| {
            let binding = PortBinding { host_ip: Some("127.0.0.1".into()), host_port: Some(port.to_string()) };
            [("8080/tcp".to_owned(), Some(vec![binding]))].into()
        });
        let body = ContainerCreateBody {
            image: Some("fixture:1".into()),
            exposed_ports: Some(vec!["8080/tcp".into()]),
            host_config: Some(HostConfig {
                port_bindings: bindings,
                mounts: Some(vec![bollard::models::Mount {
                    target: Some("/app/backend/data".into()),
                    source: Some(format!("{name}-volume")),
                    typ: Some(bollard::models::MountType::VOLUME),
                    ..Default::default()
                }]),
                network_mode: port.is_none().then(|| "none".to_owned()).or(Some("mai".to_owned())),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options: CreateContainerOptions = CreateContainerOptionsBuilder::new().name(name).build();
        docker.create_container(Some(options), body).await.unwrap();
        docker.start_container(name, None::<StartContainerOptions>).await.unwrap();
    });
}

fn remove_foreign_container(name: &str) {
    engine::with_docker(async |docker| {
        remove(&docker, name).await;
        docker
            .remove_volume(&format!("{name}-volume"), None::<bollard::query_parameters::RemoveVolumeOptions>)
            .await
            .unwrap();
    });
}

#[test]
fn foreign_container_is_never_touched() {
    let _shared = engine::shared();
    let env = Environment::new("foreign");
    run_foreign_container("mai-foreign", None);
    let before = inspect("mai-foreign").unwrap();
    env.declare("fixture:1", "");
    let _compose = env.compose();
    let message = env.wait_for("NameTaken");
    assert!(message.contains("container mai-foreign exists and does not belong to foreign"), "{message}");
    let after = inspect("mai-foreign").unwrap();
    assert_eq!((after.id, after.state.unwrap().started_at), (before.id, before.state.unwrap().started_at));
    remove_foreign_container("mai-foreign");
    wait_ready(env.port);
}

#[test]
fn foreign_volume_is_used_only_if_declared() {
    let _shared = engine::shared();
    let env = Environment::new("squatted");
    let volume =
        || bollard::models::VolumeCreateRequest { name: Some("mai-squatted-data".into()), ..Default::default() };
    engine::with_docker(async |docker| docker.create_volume(volume()).await.unwrap());
    env.declare("fixture:1", "");
    let _compose = env.compose();
    let message = env.wait_for("NameTaken");
    assert!(message.contains("volume mai-squatted-data"), "{message}");
    // A declared name is used.
    env.declare("fixture:1", "  storage: {data: {volumeName: mai-squatted-data}}\n");
    env.wait_for("Ready");
    assert_eq!(env.starts(), 1);
}

#[test]
fn missing_declared_volume_is_reported_and_not_created() {
    let _shared = engine::shared();
    let env = Environment::new("volumeless");
    env.declare("fixture:1", "  storage: {data: {volumeName: elsewhere-of-volumeless}}\n");
    let compose = env.compose();
    let message = env.wait_for("UnsupportedByRuntime");
    assert!(message.contains("docker volume create elsewhere-of-volumeless"), "{message}");
    let name = || "elsewhere-of-volumeless".to_owned();
    engine::with_docker(async |docker| {
        docker.inspect_volume(&name()).await.unwrap_err();
        docker.create_volume(bollard::models::VolumeCreateRequest { name: Some(name()), ..Default::default() }).await
    })
    .unwrap();
    env.wait_for("Ready");
    // In this order, or the reconciler recreates the container.
    drop(compose);
    drop(env);
    engine::with_docker(async |docker| {
        docker.remove_volume(&name(), None::<bollard::query_parameters::RemoveVolumeOptions>).await.unwrap();
    });
}

#[test]
fn port_taken_by_a_program_is_used_once_free() {
    let _shared = engine::shared();
    let mut env = Environment::new("moving");
    let _compose = env.up("");
    let run = env.run().unwrap();
    let old = env.port;
    let squatter = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    env.port = squatter.local_addr().unwrap().port();
    env.declare("fixture:1", "");
    let message = env.wait_for("PortTaken");
    assert!(message.contains(&env.port.to_string()), "{message}");
    wait_ready(old);
    env.assert_unchanged(&run);
    drop(squatter);
    wait_ready(env.port);
}

#[test]
fn port_taken_by_a_container_names_the_container() {
    let _shared = engine::shared();
    let helper = Environment::new("helper");
    let _network = helper.up("");
    let mut env = Environment::new("crowded");
    env.port = free_port();
    run_foreign_container("squatter", Some(env.port));
    env.declare("fixture:1", "");
    let _compose = env.compose();
    let message = env.wait_for("PortTaken");
    assert!(message.contains("container squatter"), "{message}");
    remove_foreign_container("squatter");
    wait_ready(env.port);
}

#[test]
fn missing_network_is_reported_before_anything_stops() {
    let _shared = engine::shared();
    let env = Environment::new("netless");
    let compose = env.up("");
    let run = env.run().unwrap();
    // A change that needs another container, and a missing network.
    let document = env.document("fixture:2", "").replace("expose: {", "expose: {networks: [web-of-netless], ");
    env.workspace.write("instance.yaml", &document);
    let message = env.wait_for("UnsupportedByRuntime");
    assert!(message.contains("network web-of-netless") && message.contains("docker network create"), "{message}");
    env.assert_unchanged(&run);
    engine::with_docker(async |docker| {
        let request = bollard::models::NetworkCreateRequest { name: "web-of-netless".into(), ..Default::default() };
        docker.create_network(request).await.unwrap();
    });
    env.wait_for_another(&run);
    let networks = || super::environment::json(&env.inspect().unwrap())["NetworkSettings"]["Networks"].clone();
    // Its network alias stays while a replacement runs.
    let has_alias = |networks: &serde_json::Value, network: &str| {
        networks[network]["Aliases"]
            .as_array()
            .is_some_and(|aliases| aliases.iter().any(|alias| alias == "mai-netless"))
    };
    wait_until(
        || format!("its alias in both networks: {}", networks()),
        || {
            let networks = networks();
            ["mai", "web-of-netless"].iter().all(|network| has_alias(&networks, network)).then_some(())
        },
    );
    drop(compose);
    drop(env);
    engine::with_docker(async |docker| drop(docker.remove_network("web-of-netless").await));
}

#[test]
fn unavailable_image_is_reported_once_for_many_attempts() {
    let _shared = engine::shared();
    let env = Environment::new("imageless");
    let compose = env.up("");
    let run = env.run().unwrap();
    env.declare("fixture:missing", "");
    let message = env.wait_for("ImageUnavailable");
    assert!(message.contains("fixture:missing"), "{message}");
    // Each failed attempt logs a warning.
    let lines_with =
        |words: &[&str]| compose.output().lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
    wait_until(|| "three tries".into(), || (lines_with(&["WARN", "could not be pulled"]) >= 3).then_some(()));
    assert_eq!(lines_with(&["imageless", "Preparing"]), 1, "{}", compose.output());
    assert_eq!(lines_with(&["imageless", "ImageUnavailable"]), 1, "{}", compose.output());
    assert!(!compose.output().contains('\u{1b}'), "there are colours in a log that is no terminal");
    assert_eq!(env.run().unwrap(), run, "what serves was disturbed");

    env.declare("fixture:2", "");
    env.wait_for_another(&run);
    env.wait_for("Ready");
    assert_eq!(lines_with(&["imageless", "Replacing"]), 1, "{}", compose.output());
    compose.stop();
}

#[test]
fn foreign_network_that_joins_clients_is_not_used() {
    let _alone = engine::alone();
    let make = |options: &[(&str, &str)]| {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        engine::with_docker(async |docker| {
            let _ = docker.remove_network("mai").await;
            let request = NetworkCreateRequest { name: "mai".into(), options: Some(options), ..Default::default() };
            docker.create_network(request).await.unwrap();
        });
    };
    make(&[]);
    let env = Environment::new("joined");
    env.declare("fixture:1", "");
    let _compose = env.compose();
    let message = env.wait_for("UnsupportedByRuntime");
    assert!(message.contains("docker network rm mai"), "{message}");
    assert!(env.containers().is_empty());
    // One that keeps them apart is taken, whoever made it.
    make(&[("com.docker.network.bridge.enable_icc", "false")]);
    wait_ready(env.port);
    drop(env);
    engine::with_docker(async |docker| docker.remove_network("mai").await.unwrap());
}
