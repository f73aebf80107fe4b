//! Data of a volume comes back: by `mai restore`, and by the commands of `docs/restore-by-hand.md`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use mai_operator::backup::{Places, Progress, create};
use mai_operator::contract::job::{BACKUPS_VOLUME, BackupId, BackupOrder, Destination, Store, StoreResult, Subject};

use super::engine;
use super::environment::Environment;

use crate::fixtures::compose::{Compose, PERSON, http, read_file, sign_up, wait_ready, wait_until};
use crate::fixtures::page_commands::commands;

/// Starts a client with an account and a file, and makes a backup of it.
pub fn client_with_backup(name: &str) -> (Environment, Compose, BackupId) {
    engine::build_own_image();
    let env = Environment::new(name);
    let document =
        env.document("mai-own:test", "").replace("{apiKeySecretRef: {name: upstream, key: key}}", "{mock: true}");
    env.workspace.write("instance.yaml", &document);
    let compose = env.compose();
    env.wait_for("Ready");
    sign_up(env.port);
    std::fs::write(env.volume("data").join("letter"), "first").unwrap();
    let id = BackupId::new("2026-01-02T02:00:00Z".parse().unwrap(), 1);
    let order = BackupOrder {
        id: id.clone(),
        instance: Subject { namespace: "default".into(), name: name.into(), uid: "uid".into() },
        reason: "a test".to_owned(),
        image: None,
        document: serde_json::json!({}),
        secrets: Vec::new(),
        encryption: None,
        destinations: vec![Destination { name: BACKUPS_VOLUME.to_owned(), store: Store::Volume, retention: None }],
        time_zone: "UTC".to_owned(),
    };
    let (data, backups) = (env.volume("data"), env.volume("backups"));
    let places = Places { data, secrets: backups.clone(), staging: Places::default_staging(&backups, &id), backups };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let report = runtime.block_on(create(&order, &places, &Progress::silent())).unwrap();
    assert_eq!(report.destinations[0].result, StoreResult::Verified);
    (env, compose, id)
}

pub fn assert_restored(env: &Environment) {
    let signed_in = || http("POST", env.port, "/api/v1/auths/signin", "", PERSON).ok().filter(|(code, _)| *code == 200);
    wait_until(|| "the admin on the restored data".into(), signed_in);
    assert_eq!(read_file(&env.volume("data").join("letter")), "first");
    for entry in std::fs::read_dir(env.volume("data")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), 65532, "{}", entry.path().display());
    }
}

#[test]
fn restore_in_a_volume_keeps_the_container_and_the_former_data() {
    let _shared = engine::shared();
    let (env, compose, _) = client_with_backup("restored");
    std::fs::write(env.volume("data").join("letter"), "second").unwrap();
    let before = env.run().unwrap();
    let (code, out, err) = env.mai("restore", &["--from", "latest", "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(env.run().unwrap().0, before.0, "another container was made");
    assert_restored(&env);
    env.wait_for("Ready");
    assert!(env.workspace.status()[0]["status"].get("restarts").is_none(), "{}", compose.output());
    let volume = env.volume("data").parent().unwrap().to_owned();
    let names = std::fs::read_dir(&volume).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kept: Vec<_> = names.filter(|name| name.starts_with("_data.")).collect();
    assert!(kept.len() == 1 && kept[0].starts_with("_data.before-restore-"), "{kept:?}");
    assert_eq!(read_file(&volume.join(&kept[0]).join("letter")), "second");
    compose.stop();
}

#[test]
fn page_restores_a_plain_volume_by_hand() {
    let _shared = engine::shared();
    let (env, compose, id) = client_with_backup("byhand");
    std::fs::write(env.volume("data").join("letter"), "second").unwrap();
    // The containers stay, and nobody keeps them.
    compose.stop();
    let page = read_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/restore-by-hand.md"));
    let marks = ["check", "unpack", "verify", "docker-stop", "docker", "docker-start"];
    let script: String = marks.iter().map(|mark| commands(&page, mark)).collect();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env("DOCKER_HOST", engine::host())
        .env("BACKUPS", env.volume("backups"))
        .env("ID", id.as_str())
        .env("WORK", env.workspace.state.join("work"))
        .env("VOLUME", format!("{}-data", env.container()))
        .env("CONTAINER", env.container())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    wait_ready(env.port);
    assert_restored(&env);
}
