//! Backups of containers, from the request or the schedule to what is stored and reported.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use serde_json::Value;

use super::engine;
use super::environment::Environment;

use crate::fixtures::compose::{Compose, sign_up, wait_until};
use crate::fixtures::forwarder::Forwarder;
use crate::fixtures::s3::{COPIES, Place, S3Server};

/// Due once a year, so that only what a test asks for is made.
const SELDOM: &str = "  backup: {schedule: \"0 2 1 1 *\"}\n";

/// Returns the document of an instance with our own server.
fn own(env: &Environment, more: &str) -> String {
    env.document("mai-own:test", more).replace("{apiKeySecretRef: {name: upstream, key: key}}", "{mock: true}")
}

/// Asks for a backup as an administrator does, and returns the output of the command.
fn back_up(env: &Environment, compose: &Compose) -> String {
    let (code, out, err) = env.mai("backup", &[]);
    assert_eq!(code, 0, "{out}{err}{}", compose.output());
    out
}

fn status(env: &Environment) -> Value {
    env.workspace.status()[0]["status"]["backup"].clone()
}

/// Returns the files of a directory by the end of their names.
fn stored(directory: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_str().unwrap().ends_with(suffix)).collect()
}

/// Returns an address of this machine that containers reach, and that leads to the S3 server.
fn s3_address() -> String {
    // Reconcilers of other tests may make a second one at the same time, which they remove again.
    let gateway = wait_until(
        || "the only network of its name".into(),
        || {
            let network = engine::with_docker(async |docker| docker.inspect_network("mai", None).await.ok())?;
            network.ipam?.config?.remove(0).gateway
        },
    );
    let server = ([127, 0, 0, 1], S3Server::get().port).into();
    let forwarder = Forwarder::closed(&gateway, Some(server));
    forwarder.open();
    forwarder.address.to_string()
}

#[test]
fn backup_is_verified_in_each_destination_beside_its_server() {
    let _shared = engine::shared();
    engine::build_own_image();
    let env = Environment::new("kept-safe");
    env.workspace.write("instance.yaml", &own(&env, ""));
    let compose = env.compose();
    env.wait_for("Ready");
    let run = env.run().unwrap();
    sign_up(env.port);

    let address = s3_address();
    let place = Place::bucket(&format!("http://{address}"), COPIES, "full", "docker-runtime");
    let key = |name: &str| {
        std::fs::read_to_string(place.directory.path().join("secrets").join(name)).unwrap().trim().to_owned()
    };
    env.workspace.write_secret("s3-id", "value", &key("id"));
    env.workspace.write_secret("s3-secret", "value", &key("secret"));
    let nas = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(nas.path(), Some(65532), Some(65532)).unwrap();
    let more = format!(
        "  backup:\n    schedule: \"0 2 1 1 *\"\n    destinations:\n    - name: nas\n      local: {{path: {}}}\n    - name: off-site\n      s3: {{bucket: {COPIES}, endpoint: \"http://{address}\", prefix: docker-runtime, accessKeyIdRef: {{name: s3-id, key: value}}, secretAccessKeyRef: {{name: s3-secret, key: value}}}}\n",
        nas.path().display()
    );
    env.workspace.write("instance.yaml", &own(&env, &more));
    env.workspace.wait_for_reason(&env.name, "BackupHealthy", "BackupPending");
    back_up(&env, &compose);

    env.workspace.wait_for_reason(&env.name, "BackupHealthy", "BackupVerified");
    let destinations = status(&env)["destinations"].as_array().unwrap().clone();
    let results: Vec<_> =
        destinations.iter().map(|one| (one["name"].as_str().unwrap(), one["result"].as_str().unwrap())).collect();
    assert_eq!(results, [("backups", "Verified"), ("nas", "Verified"), ("off-site", "Verified")]);
    for directory in [env.volume("backups"), nas.path().join("default/kept-safe")] {
        for suffix in [".tar.gz", ".verified.json"] {
            let [file] = stored(&directory, suffix).try_into().unwrap();
            assert_eq!(file.metadata().unwrap().uid(), 65532, "{}", file.display());
        }
    }
    wait_until(|| "the removal of the job".into(), || (env.containers().len() == 1).then_some(()));
    env.assert_unchanged(&run);
    assert!(!env.workspace.state.join("instances/kept-safe/job").exists());
    compose.stop();
}

#[test]
fn suspended_instance_is_backed_up() {
    let _shared = engine::shared();
    engine::build_own_image();
    let env = Environment::new("asleep");
    env.workspace.write("instance.yaml", &own(&env, SELDOM));
    let compose = env.compose();
    env.wait_for("Ready");
    env.workspace.write("instance.yaml", &own(&env, &format!("{SELDOM}  suspend: true\n")));
    env.wait_for("Suspended");
    back_up(&env, &compose);
    assert!(env.run().is_none(), "the server was started for it");
    assert_eq!(stored(&env.volume("backups"), ".verified.json").len(), 1);
    compose.stop();
}

#[test]
fn missing_directory_fails_its_destination_alone() {
    let _shared = engine::shared();
    engine::build_own_image();
    let env = Environment::new("unmounted");
    let more =
        "  backup:\n    schedule: \"0 2 1 1 *\"\n    destinations:\n    - {name: nas, local: {path: /no/such/share}}\n";
    env.workspace.write("instance.yaml", &own(&env, more));
    let compose = env.compose();
    env.wait_for("Ready");
    let (code, out, err) = env.mai("backup", &[]);
    assert!(code == 1 && out.contains("/no/such/share does not exist"), "{out}{err}");
    assert_eq!(stored(&env.volume("backups"), ".verified.json").len(), 1, "{out}");
    compose.stop();
}

#[test]
fn data_of_root_is_backed_up_by_the_helper_image() {
    let _shared = engine::shared();
    engine::build_own_image();
    let env = Environment::new("of-others");
    let more = format!("  server: {{kind: Custom}}\n{SELDOM}");
    let compose = env.up(&more);
    // Not readable for anybody but its owner, who is not root.
    let secret = env.volume("data").join("of-a-user");
    std::fs::write(&secret, "x").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&secret, Some(1000), Some(1000)).unwrap();
    let (code, out, err) = env.mai("backup", &[]);
    assert!(code == 1 && format!("{out}{err}").contains("--helper-image"), "{out}{err}");
    compose.stop();

    let host = engine::host();
    let arguments = ["--runtime", "docker", "--docker-host", &host, "--helper-image", "mai-own:test"];
    let compose = env.workspace.compose(&arguments);
    compose.wait_for_line(&["mai keeps"]);
    env.wait_for("Ready");
    let run = env.run().unwrap();
    back_up(&env, &compose);
    let [archive] = stored(&env.volume("backups"), ".tar.gz").try_into().unwrap();
    let listed = std::process::Command::new("tar").arg("-tzf").arg(&archive).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("data/of-a-user") && listed.contains("data/starts"), "{listed}");
    assert_eq!(secret.metadata().unwrap().uid(), 1000);
    env.assert_unchanged(&run);
    compose.stop();
}

#[test]
fn data_volume_goes_after_a_verified_last_backup() {
    let _shared = engine::shared();
    engine::build_own_image();
    let env = Environment::new("departed");
    // A directory without any file removes nothing.
    env.workspace.write_secret("upstream", "key", "sk-or-v1-fixture");
    env.workspace.write("instance.yaml", &own(&env, "  deletionPolicy: Snapshot\n"));
    let mut compose = env.compose();
    env.wait_for("Ready");
    let (data, backups) = (env.volume("data"), env.volume("backups"));
    env.workspace.remove("instance.yaml");
    let is_running_job = |container: &ContainerSummary| {
        let runs = container.state == Some(ContainerSummaryStateEnum::RUNNING);
        runs && container.labels.as_ref().unwrap().contains_key("mai.dev/job")
    };
    wait_until(
        || format!("a running job; {}", compose.output()),
        || env.containers().iter().any(is_running_job).then_some(()),
    );
    compose.kill();
    assert!(data.join("mai.db").exists());
    let compose = env.compose();
    compose.wait_for_line(&["departed", "gone"]);
    assert!(env.containers().is_empty() && !data.exists());
    let [summary] = stored(&backups, ".verified.json").try_into().unwrap();
    let summary = summary.to_str().unwrap().replace(".verified.json", ".json");
    assert!(std::fs::read_to_string(&summary).unwrap().contains("before its deletion"), "{summary}");
    compose.stop();
}

#[test]
fn older_backup_goes_once_the_next_is_verified() {
    let _shared = engine::shared();
    engine::build_own_image();
    let env = Environment::new("on-time");
    let more =
        "  backup: {schedule: \"0 2 1 1 *\", retention: {keepLast: 1, keepDaily: 0, keepWeekly: 0, keepMonthly: 0}}\n";
    env.workspace.write("instance.yaml", &own(&env, more));
    // A request and the end of a job are noticed without a look at everything.
    let compose = env.compose_by_events();
    env.wait_for("Ready");
    let run = env.run().unwrap();
    let mut verified = Vec::new();
    for _ in 0..2 {
        back_up(&env, &compose);
        let [one] = stored(&env.volume("backups"), ".verified.json").try_into().unwrap();
        verified.push(one);
    }
    assert_ne!(verified[0], verified[1]);
    env.assert_unchanged(&run);
    compose.stop();
}
