//! What belongs to others is left alone, and nothing is stopped for what cannot be had.

use std::net::TcpListener;

use bollard::models::{ContainerCreateBody, HostConfig, PortBinding};
use bollard::query_parameters::{CreateContainerOptions, CreateContainerOptionsBuilder, StartContainerOptions};

use super::engine;
use super::stage::{Stage, inspect, remove};

use crate::fixtures::compose::{wait_ready, wait_until};
use crate::fixtures::ports::free_port;

fn foreign(name: &str, port: Option<u16>) {
    engine::by_hand(async |docker| {
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

fn dismiss(name: &str) {
    engine::by_hand(async |docker| {
        remove(&docker, name).await;
        docker
            .remove_volume(&format!("{name}-volume"), None::<bollard::query_parameters::RemoveVolumeOptions>)
            .await
            .unwrap();
    });
}

#[test]
fn a_container_of_somebody_else_is_never_touched() {
    let _shared = engine::shared();
    let stage = Stage::new("foreign");
    foreign("mai-foreign", None);
    let before = inspect("mai-foreign").unwrap();
    stage.declare("fixture:1", "");
    let _compose = stage.compose();
    let message = stage.wait_for("NameTaken");
    assert!(message.contains("container mai-foreign is there and does not belong to foreign"), "{message}");
    let after = inspect("mai-foreign").unwrap();
    assert_eq!((after.id, after.state.unwrap().started_at), (before.id, before.state.unwrap().started_at));
    dismiss("mai-foreign");
    wait_ready(stage.port);
}

#[test]
fn a_volume_of_somebody_else_is_not_taken_for_data() {
    let _shared = engine::shared();
    let stage = Stage::new("squatted");
    let volume =
        || bollard::models::VolumeCreateRequest { name: Some("mai-squatted-data".into()), ..Default::default() };
    engine::by_hand(async |docker| docker.create_volume(volume()).await.unwrap());
    stage.declare("fixture:1", "");
    let _compose = stage.compose();
    let message = stage.wait_for("NameTaken");
    assert!(message.contains("volume mai-squatted-data"), "{message}");
    // Said by name it is taken.
    stage.declare("fixture:1", "  storage: {data: {size: 10Gi, volumeName: mai-squatted-data}}\n");
    stage.wait_for("Ready");
    assert_eq!(stage.starts(), 1);
}

#[test]
fn a_declared_volume_that_is_missing_is_told_with_what_to_do_and_never_made() {
    let _shared = engine::shared();
    let stage = Stage::new("volumeless");
    stage.declare("fixture:1", "  storage: {data: {size: 10Gi, volumeName: elsewhere-of-volumeless}}\n");
    let compose = stage.compose();
    let message = stage.wait_for("UnsupportedByRuntime");
    assert!(message.contains("docker volume create elsewhere-of-volumeless"), "{message}");
    let name = || "elsewhere-of-volumeless".to_owned();
    engine::by_hand(async |docker| {
        docker.inspect_volume(&name()).await.unwrap_err();
        docker.create_volume(bollard::models::VolumeCreateRequest { name: Some(name()), ..Default::default() }).await
    })
    .unwrap();
    stage.wait_for("Ready");
    // In this order, or the container is made again.
    drop(compose);
    drop(stage);
    engine::by_hand(async |docker| {
        docker.remove_volume(&name(), None::<bollard::query_parameters::RemoveVolumeOptions>).await.unwrap();
    });
}

#[test]
fn a_port_taken_by_a_program_stops_nothing_and_is_used_once_it_is_free() {
    let _shared = engine::shared();
    let mut stage = Stage::new("moving");
    let _compose = stage.up("");
    let run = stage.run().unwrap();
    let old = stage.port;
    let squatter = TcpListener::bind("127.0.0.1:0").unwrap();
    stage.port = squatter.local_addr().unwrap().port();
    stage.declare("fixture:1", "");
    let message = stage.wait_for("PortTaken");
    assert!(message.contains(&stage.port.to_string()), "{message}");
    wait_ready(old);
    stage.assert_calm(&run);
    drop(squatter);
    wait_ready(stage.port);
}

#[test]
fn a_port_taken_by_another_container_is_told_with_its_name() {
    let _shared = engine::shared();
    let helper = Stage::new("helper");
    let _network = helper.up("");
    let mut stage = Stage::new("crowded");
    stage.port = free_port();
    foreign("squatter", Some(stage.port));
    stage.declare("fixture:1", "");
    let _compose = stage.compose();
    let message = stage.wait_for("PortTaken");
    assert!(message.contains("container squatter"), "{message}");
    dismiss("squatter");
    wait_ready(stage.port);
}

#[test]
fn a_network_that_is_not_there_is_told_before_anything_stops() {
    let _shared = engine::shared();
    let stage = Stage::new("netless");
    let compose = stage.up("");
    let run = stage.run().unwrap();
    // A change that needs another container, and a network that is missing.
    let document = stage.document("fixture:2", "").replace("expose: {", "expose: {networks: [web-of-netless], ");
    stage.place.write("instance.yaml", &document);
    let message = stage.wait_for("UnsupportedByRuntime");
    assert!(message.contains("network web-of-netless") && message.contains("docker network create"), "{message}");
    stage.assert_calm(&run);
    engine::by_hand(async |docker| {
        let request = bollard::models::NetworkCreateRequest { name: "web-of-netless".into(), ..Default::default() };
        docker.create_network(request).await.unwrap();
    });
    stage.wait_for_another(&run);
    let networks = super::stage::json(&stage.inspect().unwrap())["NetworkSettings"]["Networks"].clone();
    for network in ["mai", "web-of-netless"] {
        // Its name there does not change while another container takes its place.
        let aliases = networks[network]["Aliases"].as_array().unwrap();
        assert!(aliases.iter().any(|alias| alias == "mai-netless"), "{networks}");
    }
    drop(compose);
    drop(stage);
    engine::by_hand(async |docker| drop(docker.remove_network("web-of-netless").await));
}

#[test]
fn an_image_that_cannot_be_had_is_told_once_however_often_it_is_tried_for() {
    let _shared = engine::shared();
    let stage = Stage::new("imageless");
    let compose = stage.up("");
    let run = stage.run().unwrap();
    stage.declare("fixture:missing", "");
    let message = stage.wait_for("ImageUnavailable");
    assert!(message.contains("fixture:missing"), "{message}");
    // Each try that fails leaves a warning in the log.
    let said =
        |words: &[&str]| compose.output().lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
    wait_until(|| "three tries".into(), || (said(&["WARN", "cannot be had"]) >= 3).then_some(()));
    assert_eq!(said(&["imageless", "Preparing"]), 1, "{}", compose.output());
    assert_eq!(said(&["imageless", "ImageUnavailable"]), 1, "{}", compose.output());
    assert!(!compose.output().contains('\u{1b}'), "there are colours in a log that is no terminal");
    assert_eq!(stage.run().unwrap(), run, "what serves was disturbed");

    stage.declare("fixture:2", "");
    stage.wait_for_another(&run);
    stage.wait_for("Ready");
    assert_eq!(said(&["imageless", "Replacing"]), 1, "{}", compose.output());
    compose.stop();
}
