//! What is made from a document.

use serde_json::json;

use super::engine;
use super::stage::{Stage, json as shown};

use crate::fixtures::compose::{wait_ready, wait_until};

#[test]
fn a_document_becomes_a_confined_container_that_answers() {
    let _shared = engine::shared();
    let stage = Stage::new("made");
    let more = "  resources: {limits: {cpu: 500m, memory: 64Mi}, requests: {cpu: 250m, memory: 32Mi}}\n";
    let document =
        stage.document("fixture:1", more).replace("expose: {", "expose: {labels: {caddy: made.example.com}, ");
    stage.place.write_secret("upstream", "key", "sk-or-v1-fixture");
    stage.place.write("instance.yaml", &document);
    let compose = stage.compose();
    compose.wait_for_line(&["made", "ready", &format!("{}", stage.port)]);
    wait_ready(stage.port);

    let container = shown(&stage.inspect().unwrap());
    let state = container["Config"]["Labels"]["mai.dev/state"].clone();
    for (path, expected) in [
        ("/Config/User", json!("65532:65532")),
        ("/Config/Labels/caddy", json!("made.example.com")),
        ("/Config/Labels/mai.dev~1instance", json!("made")),
        ("/Config/Labels/mai.dev~1namespace", json!("default")),
        ("/Config/Healthcheck/Test", json!(["CMD", "/fixture", "health"])),
        ("/Config/Healthcheck/Interval", json!(30_000_000_000i64)),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        ("/HostConfig/CapDrop", json!(["ALL"])),
        ("/HostConfig/SecurityOpt", json!(["no-new-privileges"])),
        ("/HostConfig/Init", json!(true)),
        ("/HostConfig/RestartPolicy/Name", json!("unless-stopped")),
        ("/HostConfig/Memory", json!(64 << 20)),
        ("/HostConfig/MemoryReservation", json!(32 << 20)),
        ("/HostConfig/NanoCpus", json!(500_000_000)),
        ("/HostConfig/CpuShares", json!(256)),
        ("/HostConfig/ExtraHosts", json!(["host.docker.internal:host-gateway"])),
        ("/HostConfig/LogConfig", json!({"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}})),
        (
            "/HostConfig/PortBindings",
            json!({"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": stage.port.to_string()}]}),
        ),
    ] {
        assert_eq!(container.pointer(path), Some(&expected), "{path}");
    }
    assert!(!state.as_str().unwrap().is_empty());
    assert!(container["Config"]["Labels"].as_object().unwrap().get("mai.dev/tolerated").is_none(), "{container:#}");
    let mounts: Vec<&str> =
        container["Mounts"].as_array().unwrap().iter().map(|mount| mount["Destination"].as_str().unwrap()).collect();
    for target in ["/app/backend/data", "/app/backups", "/run/mai/secrets.env"] {
        assert!(mounts.contains(&target), "{mounts:?}");
    }
    // The server knows its secrets, and nobody who may look at the container does.
    assert_eq!(stage.get("/secret/OPENAI_API_KEY"), "sk-or-v1-fixture");
    assert!(!stage.get("/secret/WEBUI_SECRET_KEY").is_empty());
    assert!(!container.to_string().contains("sk-or-v1-fixture"), "a secret shows in inspect");
    compose.stop();
    wait_ready(stage.port);
}

#[test]
fn an_image_of_another_kind_gets_its_secrets_in_its_environment_and_its_own_user() {
    let _shared = engine::shared();
    let stage = Stage::new("custom");
    let _compose = stage.up("  server: {kind: Custom}\n");
    let container = shown(&stage.inspect().unwrap());
    assert_eq!(container["Config"]["User"], "");
    assert_eq!(container["HostConfig"]["ReadonlyRootfs"], false);
    let env = container["Config"]["Env"].as_array().unwrap();
    assert!(env.contains(&json!("OPENAI_API_KEY=sk-or-v1-fixture")));
    assert_eq!(stage.get("/secret/OPENAI_API_KEY"), "sk-or-v1-fixture");
    let run = stage.run().unwrap();
    stage.assert_calm(&run);
}

#[test]
fn a_removed_document_takes_its_container_and_leaves_its_data() {
    let _shared = engine::shared();
    let stage = Stage::new("retained");
    let compose = stage.up("");
    assert_eq!(stage.starts(), 1);
    stage.place.remove("instance.yaml");
    compose.wait_for_line(&["retained", "gone"]);
    assert!(stage.containers().is_empty());
    stage.declare("fixture:1", "");
    wait_ready(stage.port);
    assert_eq!(stage.starts(), 2, "a document of the same name takes the data up again");
}

#[test]
fn a_removed_document_that_says_so_takes_its_data_along() {
    let _shared = engine::shared();
    let stage = Stage::new("deleted");
    let compose = stage.up("  deletionPolicy: Delete\n");
    let volumes = || {
        engine::by_hand(async |docker| {
            let volumes = docker
                .list_volumes(None::<bollard::query_parameters::ListVolumesOptions>)
                .await
                .unwrap()
                .volumes
                .unwrap_or_default();
            volumes.into_iter().filter(|volume| volume.name.starts_with("mai-deleted")).count()
        })
    };
    assert_eq!(volumes(), 2);
    stage.place.remove("instance.yaml");
    compose.wait_for_line(&["deleted", "gone"]);
    assert!(stage.containers().is_empty());
    assert_eq!(volumes(), 0);
    assert!(!stage.place.state.join("instances/deleted").exists(), "secrets stay behind");
}

#[test]
fn a_suspended_instance_stops_and_goes_on_later_as_it_was() {
    let _shared = engine::shared();
    let stage = Stage::new("suspended");
    let _compose = stage.up("");
    let (id, _) = stage.run().unwrap();
    stage.declare("fixture:1", "  suspend: true\n");
    stage.wait_for("Suspended");
    assert!(stage.run().is_none());
    stage.declare("fixture:1", "");
    wait_ready(stage.port);
    assert_eq!(stage.run().unwrap().0, id, "the same container goes on");
}

#[test]
fn a_directory_of_the_host_holds_the_data_where_the_document_says_so() {
    let _shared = engine::shared();
    let stage = Stage::new("directory");
    let data = stage.place.state.with_file_name("srv").join("data");
    let _compose = stage.up(&format!("  storage: {{data: {{size: 1Gi, hostPath: {}}}}}\n", data.display()));
    assert_eq!(std::fs::read_to_string(data.join("starts")).unwrap().lines().count(), 1);
    let owner = std::os::unix::fs::MetadataExt::uid(&data.metadata().unwrap());
    assert_eq!(owner, 65532, "the server runs as this user");
}

#[test]
fn a_changed_limit_is_set_while_the_server_runs() {
    let _shared = engine::shared();
    let stage = Stage::new("limits");
    let _compose = stage.up("  resources: {limits: {cpu: 500m, memory: 64Mi}}\n");
    let run = stage.run().unwrap();
    stage.declare("fixture:1", "  resources: {limits: {cpu: 250m, memory: 128Mi}}\n");
    wait_until(
        || "the new limit".into(),
        || stage.inspect().filter(|container| shown(container)["HostConfig"]["Memory"] == json!(128 << 20)),
    );
    assert_eq!(shown(&stage.inspect().unwrap())["HostConfig"]["NanoCpus"], json!(250_000_000));
    stage.assert_calm(&run);
}

#[test]
fn a_changed_document_is_served_by_a_new_container_on_the_same_data() {
    let _shared = engine::shared();
    let stage = Stage::new("changed");
    let _compose = stage.up("");
    let run = stage.run().unwrap();
    stage.declare("fixture:2", "");
    stage.wait_for_another(&run);
    wait_until(|| "the former container to be let go".into(), || (stage.containers().len() == 1).then_some(()));
    assert_eq!(stage.starts(), 2);

    // A rotated secret reaches the server too.
    let run = stage.run().unwrap();
    stage.place.write_secret("upstream", "key", "sk-or-v1-rotated");
    stage.wait_for_another(&run);
    assert_eq!(stage.get("/secret/OPENAI_API_KEY"), "sk-or-v1-rotated");
    wait_until(
        || "the former secrets to be removed".into(),
        || {
            let files = std::fs::read_dir(stage.place.state.join("instances/changed")).unwrap();
            (files.flatten().filter(|file| file.file_name().to_string_lossy().starts_with("secrets-")).count() == 1)
                .then_some(())
        },
    );
}
