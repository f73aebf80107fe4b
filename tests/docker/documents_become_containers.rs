//! The container, network and volumes that a document declares.

use serde_json::json;

use super::engine;
use super::environment::{Environment, json as shown};

use crate::fixtures::compose::{wait_ready, wait_until};

#[test]
fn document_becomes_a_confined_container() {
    let _shared = engine::shared();
    let env = Environment::new("made");
    let more = "  resources: {limits: {cpu: 500m, memory: 64Mi}, requests: {cpu: 250m, memory: 32Mi}}\n";
    let document = env.document("fixture:1", more).replace("expose: {", "expose: {labels: {caddy: made.example.com}, ");
    env.workspace.write_secret("upstream", "key", "sk-or-v1-fixture");
    env.workspace.write("instance.yaml", &document);
    let compose = env.compose();
    compose.wait_for_line(&["made", "ready", &format!("{}", env.port)]);
    wait_ready(env.port);

    let container = shown(&env.inspect().unwrap());
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
        ("/HostConfig/PortBindings", json!({"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": env.port.to_string()}]})),
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
    // The server has its secrets; an inspection of the container does not show them.
    assert_eq!(env.get("/secret/OPENAI_API_KEY"), "sk-or-v1-fixture");
    assert!(!env.get("/secret/WEBUI_SECRET_KEY").is_empty());
    assert!(!container.to_string().contains("sk-or-v1-fixture"), "a secret shows in inspect");
    compose.stop();
    wait_ready(env.port);
}

#[test]
fn custom_image_gets_secrets_in_environment_and_own_user() {
    let _shared = engine::shared();
    let env = Environment::new("custom");
    let _compose = env.up("  server: {kind: Custom}\n");
    let container = shown(&env.inspect().unwrap());
    assert_eq!(container["Config"]["User"], "");
    assert_eq!(container["HostConfig"]["ReadonlyRootfs"], false);
    let variables = container["Config"]["Env"].as_array().unwrap();
    assert!(variables.contains(&json!("OPENAI_API_KEY=sk-or-v1-fixture")));
    assert_eq!(env.get("/secret/OPENAI_API_KEY"), "sk-or-v1-fixture");
    let run = env.run().unwrap();
    env.assert_unchanged(&run);
}

#[test]
fn removed_document_removes_container_and_keeps_data() {
    let _shared = engine::shared();
    let env = Environment::new("retained");
    let compose = env.up("");
    assert_eq!(env.starts(), 1);
    env.workspace.remove("instance.yaml");
    compose.wait_for_line(&["retained", "gone"]);
    assert!(env.containers().is_empty());
    env.declare("fixture:1", "");
    wait_ready(env.port);
    assert_eq!(env.starts(), 2, "a document of the same name takes the data up again");
}

#[test]
fn removed_document_with_delete_policy_removes_data() {
    let _shared = engine::shared();
    let env = Environment::new("deleted");
    let compose = env.up("  deletionPolicy: Delete\n");
    let volumes = || {
        engine::with_docker(async |docker| {
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
    env.workspace.remove("instance.yaml");
    compose.wait_for_line(&["deleted", "gone"]);
    assert!(env.containers().is_empty());
    assert_eq!(volumes(), 0);
    assert!(!env.workspace.state.join("instances/deleted").exists(), "secrets stay behind");
}

#[test]
fn suspended_container_stops_and_resumes_unchanged() {
    let _shared = engine::shared();
    let env = Environment::new("suspended");
    let _compose = env.up("");
    let (id, _) = env.run().unwrap();
    env.declare("fixture:1", "  suspend: true\n");
    env.wait_for("Suspended");
    assert!(env.run().is_none());
    env.declare("fixture:1", "");
    wait_ready(env.port);
    assert_eq!(env.run().unwrap().0, id, "the same container goes on");
}

#[test]
fn declared_host_directory_stores_the_data() {
    let _shared = engine::shared();
    let env = Environment::new("directory");
    let data = env.workspace.state.with_file_name("srv").join("data");
    let _compose = env.up(&format!("  storage: {{data: {{hostPath: {}}}}}\n", data.display()));
    assert_eq!(std::fs::read_to_string(data.join("starts")).unwrap().lines().count(), 1);
    let owner = std::os::unix::fs::MetadataExt::uid(&data.metadata().unwrap());
    assert_eq!(owner, 65532, "the server runs as this user");
}

#[test]
fn changed_limit_is_applied_in_place() {
    let _shared = engine::shared();
    let env = Environment::new("limits");
    let _compose = env.up("  resources: {limits: {cpu: 500m, memory: 64Mi}}\n");
    let run = env.run().unwrap();
    env.declare("fixture:1", "  resources: {limits: {cpu: 250m, memory: 128Mi}}\n");
    wait_until(
        || "the new limit".into(),
        || env.inspect().filter(|container| shown(container)["HostConfig"]["Memory"] == json!(128 << 20)),
    );
    assert_eq!(shown(&env.inspect().unwrap())["HostConfig"]["NanoCpus"], json!(250_000_000));
    env.assert_unchanged(&run);
}

#[test]
fn changed_document_recreates_the_container_on_its_data() {
    let _shared = engine::shared();
    let env = Environment::new("changed");
    let _compose = env.up("");
    let run = env.run().unwrap();
    env.declare("fixture:2", "");
    env.wait_for_another(&run);
    wait_until(|| "the former container to be let go".into(), || (env.containers().len() == 1).then_some(()));
    assert_eq!(env.starts(), 2);

    // A rotated secret reaches the server as well.
    let run = env.run().unwrap();
    env.workspace.write_secret("upstream", "key", "sk-or-v1-rotated");
    env.wait_for_another(&run);
    assert_eq!(env.get("/secret/OPENAI_API_KEY"), "sk-or-v1-rotated");
    wait_until(
        || "the former secrets to be removed".into(),
        || {
            let files = std::fs::read_dir(env.workspace.state.join("instances/changed")).unwrap();
            (files.flatten().filter(|file| file.file_name().to_string_lossy().starts_with("secrets-")).count() == 1)
                .then_some(())
        },
    );
}
