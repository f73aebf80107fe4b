//! A server of containers that is gone comes back in new volumes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use secrecy::ExposeSecret;

use super::engine;
use super::environment::Environment;

use crate::fixtures::compose::{Compose, PERSON, Workspace, http, sign_up, wait_until};

fn start(env: &Environment, more: &[&str]) -> Compose {
    let host = engine::host();
    let arguments = [&["--runtime", "docker", "--docker-host", &host], more].concat();
    let compose = env.workspace.compose(&arguments);
    env.wait_for("Ready");
    compose
}

fn uid(env: &Environment) -> String {
    env.workspace.status()[0]["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// Runs `mai recover` for containers.
fn recover(env: &Environment, more: &[&str]) -> (i32, String, String) {
    env.workspace.mai("recover", &[&["--docker-host", &engine::host()], more].concat())
}

#[test]
fn dead_server_comes_back_in_new_volumes() {
    let _shared = engine::shared();
    engine::build_own_image();
    let copies = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(copies.path(), Some(65532), Some(65532)).unwrap();
    let place = copies.path().to_str().unwrap();
    let key = age::x25519::Identity::generate();
    let (public, identity) = (key.to_public().to_string(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(identity.path(), key.to_string().expose_secret()).unwrap();

    let env = Environment::new("came-back");
    let backup = format!(
        "  backup:\n    schedule: \"0 2 1 1 *\"\n    destinations: [{{name: nas, local: {{path: {place}}}}}]\n    encryption: {{recipients: [{public}]}}\n"
    );
    let document =
        env.document("mai-own:test", &backup).replace("{apiKeySecretRef: {name: upstream, key: key}}", "{mock: true}");
    env.workspace.write("instance.yaml", &document);
    let to = ["--recovery-to", place, "--recovery-interval", "1s", "--recovery-recipient", &public];
    let compose = start(&env, &to);
    sign_up(env.port);
    let (code, out, err) = env.mai("backup", &[]);
    assert_eq!(code, 0, "{out}{err}{}", compose.output());
    compose.wait_for_server_backup(&env.workspace);
    let (before, port) = (uid(&env), env.port);
    compose.stop();
    drop(env);

    let env = Environment { workspace: Workspace::new(), name: "came-back".to_owned(), port };
    let arguments = ["--from", place, "--identity", identity.path().to_str().unwrap()];
    let (code, out, err) = recover(&env, &arguments);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("--runtime docker"), "the runtime of the server is known: {out}");
    let data = env.volume("data");
    assert!(data.join("mai.db").exists());
    let owners = |path: &Path| path.metadata().unwrap().uid();
    assert_eq!((owners(&data), owners(&data.join("mai.db"))), (65532, 65532));
    // What is in place is not unpacked again.
    let (code, out, err) = recover(&env, &arguments);
    assert!(code == 0 && out.contains("nothing to unpack"), "{out}{err}");

    let compose = start(&env, &[]);
    assert_eq!(uid(&env), before);
    let signed_in =
        || http("POST", env.port, "/api/v1/auths/signin", "", PERSON).ok().filter(|(status, _)| *status == 200);
    wait_until(|| format!("the administrator; {}", compose.output()), signed_in);
    assert!(!compose.output().contains("was created again, empty"), "{}", compose.output());
    compose.stop();
}
