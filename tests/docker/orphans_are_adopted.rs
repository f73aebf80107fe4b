//! Containers and volumes that mai made with another state directory are taken over as they are.

use super::engine;
use super::environment::Environment;

use crate::fixtures::compose::{Compose, Workspace, wait_ready};

fn adopt(workspace: &Workspace, name: &str, more: &[&str]) -> (i32, String, String) {
    let host = engine::host();
    workspace.mai("adopt-orphans", &[&[name, "--docker-host", &host], more].concat())
}

fn compose(workspace: &Workspace) -> Compose {
    let host = engine::host();
    workspace.compose(&["--runtime", "docker", "--docker-host", &host, "--resync", "500ms"])
}

#[test]
fn server_of_a_lost_state_directory_goes_on() {
    let _shared = engine::shared();
    let env = Environment::new("stranded");
    let first = env.up("");
    let (run, key) = (env.run().unwrap(), env.get("/secret/WEBUI_SECRET_KEY"));
    first.stop();
    std::fs::remove_dir_all(&env.workspace.state).unwrap();
    let second = env.compose();
    let message = env.wait_for("PortTaken");
    assert!(message.contains("mai adopt-orphans DIR NAME"), "{message}");
    let (code, _, errors) = adopt(&env.workspace, "stranded", &["--yes"]);
    assert!(code == 1 && errors.contains("is in use by another mai"), "{errors}");
    second.stop();

    let (code, shown, errors) = adopt(&env.workspace, "stranded", &["--dry-run"]);
    assert_eq!(code, 0, "{errors}");
    for part in [
        "container mai-stranded (runs)",
        "volume mai-stranded-data",
        "state         is lost",
        "session key   in its container",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let (code, _, errors) = adopt(&env.workspace, "stranded", &[]);
    assert!(code == 1 && errors.contains("--yes"), "{errors}");
    let (code, shown, errors) = adopt(&env.workspace, "stranded", &["--yes"]);
    assert!(code == 0 && shown.contains("adopted stranded"), "{shown}{errors}");
    assert_eq!(env.run().unwrap(), run);

    let _third = env.compose();
    env.wait_up();
    env.assert_unchanged(&run);
    assert_eq!(env.get("/secret/WEBUI_SECRET_KEY"), key);
    let (code, shown, _) = adopt(&env.workspace, "stranded", &["--dry-run"]);
    assert!(code == 0 && shown.starts_with("no container or volume"), "{shown}");
}

#[test]
fn client_moves_to_another_directory_with_its_key() {
    let _shared = engine::shared();
    let env = Environment::new("relocated");
    let first = env.up("");
    let key = env.get("/secret/WEBUI_SECRET_KEY");
    let other = Workspace::new();
    other.write_secret("upstream", "key", "sk-or-v1-fixture");
    other.write("instance.yaml", &env.document("fixture:1", ""));
    let (code, shown, errors) = adopt(&other, "relocated", &["--yes"]);
    assert!(code == 1 && errors.contains("is in use by another mai"), "{shown}{errors}");
    assert_eq!(env.get("/secret/WEBUI_SECRET_KEY"), key);
    first.stop();
    let run = env.run().unwrap();
    let (code, shown, errors) = adopt(&other, "relocated", &["--yes"]);
    assert!(code == 0 && shown.contains("session key   in the other state directory"), "{shown}{errors}");
    assert_eq!(env.run().unwrap(), run);
    env.workspace.remove("instance.yaml");

    // The former directory has nothing to stop any more.
    let former = env.compose();
    let _second = compose(&other);
    other.wait_for_reason("relocated", "Ready", "Ready");
    wait_ready(env.port);
    assert_eq!(env.get("/secret/WEBUI_SECRET_KEY"), key);
    former.stop();
    let (code, shown, errors) = env.workspace.mai("down", &["--docker-host", &engine::host()]);
    assert_eq!(code, 0, "{shown}{errors}");
    wait_ready(env.port);
    assert!(env.get("/starts").lines().count() <= 2, "its data is another one");
}
