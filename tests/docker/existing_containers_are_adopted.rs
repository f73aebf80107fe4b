//! A manually created deployment is adopted with its data.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptions, CreateContainerOptionsBuilder, StartContainerOptions};

use super::engine;
use super::environment::{Environment, inspect, remove};

use crate::fixtures::compose::wait_until;

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    let name = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.map(|entry| (name(&entry), std::fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn adopted_container_hands_over_its_data_unchanged() {
    let _engine = engine::shared();
    let env = Environment::new("adopted");
    let deployment = tempfile::tempdir().unwrap();
    let data = deployment.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("letters.bin"), (0..=255u8).cycle().take(100_000).collect::<Vec<u8>>()).unwrap();
    std::fs::write(deployment.path().join(".env"), "CLIENT_NAME=adopted\n").unwrap();
    let compose_file = deployment.path().join("docker-compose.yml");
    std::fs::write(
        &compose_file,
        format!(
            "services:\n  mai-client:\n    image: fixture:1\n    pull_policy: never\n    container_name: mai-${{CLIENT_NAME}}\n    volumes: [\"./data:/app/backend/data\"]\n    ports: [\"127.0.0.1:{}:8080\"]\n    environment: [\"WEBUI_NAME=mAI - ${{CLIENT_NAME}}\", ENABLE_SIGNUP=false]\n    restart: unless-stopped\n",
            env.port
        ),
    )
    .unwrap();
    let bind = format!("{}:/app/backend/data", data.display());
    engine::with_docker(async |docker| {
        let options: CreateContainerOptions = CreateContainerOptionsBuilder::new().name("mai-adopted").build();
        let host = HostConfig { binds: Some(vec![bind]), network_mode: Some("none".into()), ..HostConfig::default() };
        let body =
            ContainerCreateBody { image: Some("fixture:1".into()), host_config: Some(host), ..Default::default() };
        docker.create_container(Some(options), body).await.unwrap();
        docker.start_container("mai-adopted", None::<StartContainerOptions>).await.unwrap();
    });
    // The last file that it makes.
    wait_until(|| "the hand-made server to use its data".into(), || data.join("lock").exists().then_some(()));

    let adopt = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mai"))
            .arg("adopt")
            .arg(&compose_file)
            .args(["--docker-host", &engine::host(), "--into"])
            .arg(&env.workspace.documents)
            .args(more)
            .output()
            .unwrap();
        let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), printed)
    };
    let before = files(&data);
    let (done, output) = adopt(&["--stop"]);
    assert!(done && output.contains("wrote") && output.contains("is called mai-adopted-before-mai now"), "{output}");
    assert!(files(&data) == before, "adoption changed the data");
    let (done, output) = adopt(&[]);
    assert!(!done && output.contains("is not overwritten"), "{output}");

    let compose = env.compose();
    env.wait_for("Ready");
    let container = env.inspect().unwrap();
    let mount = container.mounts.unwrap().into_iter().find(|m| m.destination.as_deref() == Some("/app/backend/data"));
    assert_eq!(mount.unwrap().source.unwrap(), data.display().to_string());
    assert_eq!(env.starts(), 2, "the new server goes on with the old data");
    assert_eq!(files(&data)["letters.bin"], before["letters.bin"]);
    let aside = inspect("mai-adopted-before-mai").unwrap();
    assert_eq!(aside.state.unwrap().running, Some(false));
    compose.stop();
    engine::with_docker(async |docker| remove(&docker, "mai-adopted-before-mai").await);
}

#[test]
fn restart_and_logs_act_on_the_instances_container() {
    let _engine = engine::shared();
    let env = Environment::new("by-hand");
    let compose = env.up("");
    let before = env.run().unwrap();
    let host = engine::host();
    let options = ["by-hand", "--docker-host", host.as_str()];
    let (code, out, err) = env.workspace.mai("restart", &options);
    assert_eq!(code, 0, "{out}{err}");
    let after = env.run().unwrap();
    assert!(after.0 == before.0 && after.1 != before.1, "the same container, another run");
    assert_eq!(env.starts(), 2);
    let (code, out, err) = env.workspace.mai("logs", &options);
    assert_eq!(code, 0, "{err}");
    let (_, last, _) = env.workspace.mai("logs", &["by-hand", "-n", "1", "--docker-host", host.as_str()]);
    assert!(last.lines().count() <= 1 && out.ends_with(&last), "{out:?} {last:?}");
    compose.stop();
}
