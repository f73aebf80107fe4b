//! Each manual operation on a client has a verb, and affects no other client.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::fixtures::compose::{Compose, Workspace, document, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

fn two_clients(workspace: &Workspace, arguments: &[&str]) -> ([u16; 2], Compose) {
    let ports = [free_port(), free_port()];
    workspace.write("a.yaml", &document("alpha", ports[0], ""));
    workspace.write("b.yaml", &document("beta", ports[1], ""));
    let compose = workspace.compose(arguments);
    compose.wait_for_line(&["alpha", "ready"]);
    compose.wait_for_line(&["beta", "ready"]);
    (ports, compose)
}

#[test]
fn restart_replaces_one_server_and_counts_no_failure() {
    let workspace = Workspace::new();
    let (ports, compose) = two_clients(&workspace, &[]);
    let (alpha, beta) = (workspace.pid("alpha").unwrap(), workspace.pid("beta").unwrap());
    let (code, out, err) = workspace.mai("restart", &["alpha"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("alpha") && out.contains("answers again after"), "{out}");
    wait_ready(ports[0]);
    assert_ne!(workspace.pid("alpha"), Some(alpha));
    assert_eq!(workspace.pid("beta"), Some(beta), "another client was touched");
    workspace.wait_for_reason("alpha", "Ready", "Ready");
    let alpha = workspace.status().into_iter().find(|item| item["metadata"]["name"] == "alpha").unwrap();
    assert!(alpha["status"].get("restarts").is_none(), "it was counted as a failure: {alpha}");
    compose.stop();

    let (code, _, err) = workspace.mai("restart", &["alpha"]);
    assert_eq!(code, 1);
    assert!(err.contains("no reconciler runs that would start its server again"), "{err}");
}

#[test]
fn directory_of_somebody_else_becomes_no_state_directory() {
    let workspace = Workspace::new();
    workspace.write("a.yaml", &document("alpha", free_port(), ""));
    std::fs::create_dir_all(workspace.state.join("photos")).unwrap();
    for verb in ["compose", "down"] {
        let (code, out, err) = workspace.mai(verb, &[]);
        let told = err.contains("is not empty and holds no state of mai") && err.contains("--state-dir");
        assert!(code == 1 && told, "{verb}: {out}{err}");
    }
    let (code, _, err) = workspace.mai("recovery-kit", &[]);
    assert!(code == 1 && err.contains("there is no state in"), "{err}");
    let left: Vec<_> = std::fs::read_dir(&workspace.state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["photos"], "nothing was made there");
    std::fs::remove_dir(workspace.state.join("photos")).unwrap();
    let (code, out, _) = workspace.mai("down", &[]);
    assert!(code == 0 && out.contains("nothing has run"), "{out}");
    assert_eq!(std::fs::read_dir(&workspace.state).unwrap().count(), 0);
}

#[test]
fn restart_of_an_adopted_server_counts_no_failure() {
    let workspace = Workspace::new();
    let (_, compose) = two_clients(&workspace, &["--detach"]);
    compose.stop();
    let compose = workspace.compose(&["--detach"]);
    compose.wait_for_line(&["alpha", "ready"]);
    let (code, _, err) = workspace.mai("restart", &["alpha"]);
    assert_eq!(code, 0, "{err}");
    workspace.wait_for_reason("alpha", "Ready", "Ready");
    let alpha = workspace.status().into_iter().find(|item| item["metadata"]["name"] == "alpha").unwrap();
    assert!(alpha["status"].get("restarts").is_none(), "it was counted as a failure: {alpha}");
    compose.stop();
}

#[test]
fn logs_are_of_one_client_and_follow_a_restart() {
    let workspace = Workspace::new();
    let (_, compose) = two_clients(&workspace, &[]);
    let (code, out, err) = workspace.mai("logs", &["alpha"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("name=alpha") && !out.contains("name=beta"), "{out}");
    let (_, last, _) = workspace.mai("logs", &["alpha", "-n", "1"]);
    assert_eq!(last.lines().count(), 1);
    assert_eq!(last.lines().last(), out.lines().last());

    let mut follower = Command::new(env!("CARGO_BIN_EXE_mai"))
        .arg("logs")
        .arg(&workspace.documents)
        .args(["alpha", "-f", "-n", "1", "--state-dir"])
        .arg(&workspace.state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map_while(Result::ok);
    // Then it is at the end of the log.
    assert_eq!(lines.next().as_deref(), last.lines().last());
    assert_eq!(workspace.mai("restart", &["alpha"]).0, 0);
    let next = lines.find(|line| line.contains("shutting down") || line.contains("ready"));
    assert!(next.unwrap().contains("shutting down"), "the end of the former server comes first");
    assert!(lines.any(|line| line.contains("ready")));
    follower.kill().unwrap();
    follower.wait().unwrap();

    let (code, _, err) = workspace.mai("logs", &["nobody"]);
    assert_eq!(code, 1);
    assert!(err.contains("there is no instance nobody") && err.contains("mai status"), "{err}");
    compose.stop();
    wait_until(|| "the servers to end".into(), || workspace.servers().is_empty().then_some(()));
}

#[test]
fn exec_gets_data_and_address_but_no_secrets() {
    let workspace = Workspace::new();
    let (_, compose) = two_clients(&workspace, &[]);
    let run = |command: &str| workspace.mai("exec", &["alpha", "--", "sh", "-c", command]);
    let (code, out, err) = run("ls; echo $DATA_DIR; env | grep -c WEBUI_SECRET_KEY; exit 3");
    assert_eq!(code, 3, "{err}");
    let data = workspace.data("alpha").display().to_string();
    assert!(out.contains("mai.db") && out.contains(&data) && out.ends_with("\n0\n"), "{out}");
    let mai = env!("CARGO_BIN_EXE_mai");
    assert_eq!(workspace.mai("exec", &["alpha", "--", mai, "health"]).0, 0);
    let (code, _, err) = workspace.mai("exec", &["alpha", "--", "/nothing"]);
    assert!(code == 1 && err.contains("/nothing could not be run in"), "{err}");
    compose.stop();
}

#[test]
fn fix_permissions_restores_ownership_of_the_data() {
    use std::os::unix::fs::PermissionsExt;
    let workspace = Workspace::new();
    let (_, compose) = two_clients(&workspace, &[]);
    compose.stop();
    let file = workspace.data("alpha").join("letter");
    std::fs::write(&file, "dear").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o040)).unwrap();
    let (code, out, err) = workspace.mai("fix-permissions", &["alpha"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(": 1 of ") && out.contains("entries given to"), "{out}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let (_, out, _) = workspace.mai("fix-permissions", &["alpha"]);
    assert!(out.contains("nothing to do"), "{out}");
}

#[test]
fn status_wide_names_pid_and_file_and_watch_shows_changes() {
    let workspace = Workspace::new();
    let (_, compose) = two_clients(&workspace, &[]);
    let (code, out, err) = workspace.mai("status", &["-o", "wide"]);
    assert_eq!(code, 0, "{err}");
    let alpha = out.lines().find(|line| line.starts_with(" alpha")).unwrap();
    assert!(alpha.contains(&format!("pid {}", workspace.pid("alpha").unwrap())), "{out}");
    assert!(alpha.contains("a.yaml") && alpha.contains("mai-production:latest"), "{out}");

    let mut watcher = Command::new(env!("CARGO_BIN_EXE_mai"))
        .arg("status")
        .arg(&workspace.documents)
        .args(["--watch", "--state-dir"])
        .arg(&workspace.state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("alpha") && line.contains("Ready")));
    workspace.write("a.yaml", &document("alpha", free_port(), "  suspend: true\n"));
    assert!(lines.any(|line| line.contains("alpha") && line.contains("Suspended")));
    watcher.kill().unwrap();
    watcher.wait().unwrap();
    compose.stop();
}
