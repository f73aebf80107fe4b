//! Promise: what a provider does to one client by hand has a verb, and touches no other client.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::fixtures::compose::{Compose, Place, document, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

fn two(place: &Place, arguments: &[&str]) -> ([u16; 2], Compose) {
    let ports = [free_port(), free_port()];
    place.write("a.yaml", &document("alpha", ports[0], ""));
    place.write("b.yaml", &document("beta", ports[1], ""));
    let compose = place.compose(arguments);
    compose.wait_for(&["alpha", "ready"]);
    compose.wait_for(&["beta", "ready"]);
    (ports, compose)
}

#[test]
fn a_restart_gives_one_client_another_server_and_counts_no_failure() {
    let place = Place::new();
    let (ports, compose) = two(&place, &[]);
    let (alpha, beta) = (place.pid("alpha").unwrap(), place.pid("beta").unwrap());
    let (code, out, err) = place.mai("restart", &["alpha"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("alpha") && out.contains("answers again after"), "{out}");
    wait_ready(ports[0]);
    assert_ne!(place.pid("alpha"), Some(alpha));
    assert_eq!(place.pid("beta"), Some(beta), "another client was touched");
    place.wait_for_reason("alpha", "Ready", "Ready");
    let alpha = place.status().into_iter().find(|item| item["metadata"]["name"] == "alpha").unwrap();
    assert!(alpha["status"].get("restarts").is_none(), "it was counted as a failure: {alpha}");
    compose.stop();

    let (code, _, err) = place.mai("restart", &["alpha"]);
    assert_eq!(code, 1);
    assert!(err.contains("no reconciler looks after"), "{err}");
}

#[test]
fn a_server_of_an_earlier_reconciler_is_restarted_without_a_failure_too() {
    let place = Place::new();
    let (_, compose) = two(&place, &["--detach"]);
    compose.stop();
    let compose = place.compose(&["--detach"]);
    compose.wait_for(&["alpha", "ready"]);
    let (code, _, err) = place.mai("restart", &["alpha"]);
    assert_eq!(code, 0, "{err}");
    place.wait_for_reason("alpha", "Ready", "Ready");
    let alpha = place.status().into_iter().find(|item| item["metadata"]["name"] == "alpha").unwrap();
    assert!(alpha["status"].get("restarts").is_none(), "it was counted as a failure: {alpha}");
    compose.stop();
}

#[test]
fn logs_are_of_one_client_and_are_followed_over_a_restart() {
    let place = Place::new();
    let (_, compose) = two(&place, &[]);
    let (code, out, err) = place.mai("logs", &["alpha"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("name=alpha") && !out.contains("name=beta"), "{out}");
    let (_, last, _) = place.mai("logs", &["alpha", "-n", "1"]);
    assert_eq!(last.lines().count(), 1);
    assert_eq!(last.lines().last(), out.lines().last());

    let mut follower = Command::new(env!("CARGO_BIN_EXE_mai"))
        .arg("logs")
        .arg(&place.documents)
        .args(["alpha", "-f", "-n", "0", "--state-dir"])
        .arg(&place.state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map_while(Result::ok);
    // The follower has to stand at the end before something is added to it.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(place.mai("restart", &["alpha"]).0, 0);
    let told = lines.find(|line| line.contains("shutting down") || line.contains("ready"));
    assert!(told.unwrap().contains("shutting down"), "the end of the former server comes first");
    assert!(lines.any(|line| line.contains("ready")));
    follower.kill().unwrap();
    follower.wait().unwrap();

    let (code, _, err) = place.mai("logs", &["nobody"]);
    assert_eq!(code, 1);
    assert!(err.contains("there is no instance nobody") && err.contains("mai status"), "{err}");
    compose.stop();
    wait_until(|| "the servers to end".into(), || place.servers().is_empty().then_some(()));
}

#[test]
fn a_command_beside_a_process_finds_its_data_and_its_server_and_none_of_its_secrets() {
    let place = Place::new();
    let (_, compose) = two(&place, &[]);
    let run = |command: &str| place.mai("exec", &["alpha", "--", "sh", "-c", command]);
    let (code, out, err) = run("ls; echo $DATA_DIR; env | grep -c WEBUI_SECRET_KEY; exit 3");
    assert_eq!(code, 3, "{err}");
    let data = place.data("alpha").display().to_string();
    assert!(out.contains("mai.db") && out.contains(&data) && out.ends_with("\n0\n"), "{out}");
    let mai = env!("CARGO_BIN_EXE_mai");
    assert_eq!(place.mai("exec", &["alpha", "--", mai, "health"]).0, 0);
    let (code, _, err) = place.mai("exec", &["alpha", "--", "/nothing"]);
    assert!(code == 1 && err.contains("/nothing could not be run in"), "{err}");
    compose.stop();
}

#[test]
fn files_that_the_server_may_not_read_are_given_back_to_whoever_runs_it() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let (_, compose) = two(&place, &[]);
    compose.stop();
    let file = place.data("alpha").join("letter");
    std::fs::write(&file, "dear").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o040)).unwrap();
    let (code, out, err) = place.mai("fix-permissions", &["alpha"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(": 1 of ") && out.contains("entries given to"), "{out}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let (_, out, _) = place.mai("fix-permissions", &["alpha"]);
    assert!(out.contains("nothing to do"), "{out}");
}

#[test]
fn a_wide_status_names_process_and_file_and_a_watched_one_tells_what_changes() {
    let place = Place::new();
    let (_, compose) = two(&place, &[]);
    let (code, out, err) = place.mai("status", &["-o", "wide"]);
    assert_eq!(code, 0, "{err}");
    let alpha = out.lines().find(|line| line.starts_with(" alpha")).unwrap();
    assert!(alpha.contains(&format!("pid {}", place.pid("alpha").unwrap())), "{out}");
    assert!(alpha.contains("a.yaml") && alpha.contains("mai-production:latest"), "{out}");

    let mut watcher = Command::new(env!("CARGO_BIN_EXE_mai"))
        .arg("status")
        .arg(&place.documents)
        .args(["--watch", "--state-dir"])
        .arg(&place.state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("alpha") && line.contains("Ready")));
    place.write("a.yaml", &document("alpha", free_port(), "  suspend: true\n"));
    assert!(lines.any(|line| line.contains("alpha") && line.contains("Suspended")));
    watcher.kill().unwrap();
    watcher.wait().unwrap();
    compose.stop();
}
