//! `mai backup` makes a verified backup now, or says why there is none.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::fixtures::compose::{Compose, Workspace, collect_lines, document, sign_up, signal, wait_until};
use crate::fixtures::held_database::HeldDatabase;
use crate::fixtures::ports::free_port;

/// A client with an account.
struct Client {
    compose: Compose,
    workspace: Workspace,
    port: u16,
}

impl Client {
    fn new(more: &str) -> Self {
        let workspace = Workspace::new();
        let port = free_port();
        workspace.write("a.yaml", &document("alpha", port, more));
        let compose = workspace.compose(&[]);
        compose.wait_for_line(&["alpha", "ready"]);
        sign_up(port);
        Self { compose, workspace, port }
    }

    fn backups(&self) -> PathBuf {
        self.workspace.state.join("instances/alpha/backups")
    }

    /// Returns the names of the files that end so, sorted.
    fn stored(&self, end: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.backups()) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(end)).collect();
        names.sort();
        names
    }

    fn last(&self) -> Value {
        self.workspace.status()[0]["status"]["backup"]["last"].clone()
    }

    /// Returns the process of the job, once there is one.
    fn wait_for_job(&self) -> i32 {
        wait_until(|| format!("a job; output of compose:\n{}", self.compose.output()), || self.workspace.job("alpha"))
    }

    fn ask(&self, more: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mai"));
        command.arg("backup").arg(&self.workspace.documents).arg("--state-dir").arg(&self.workspace.state);
        command.arg("alpha").args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Unpacks an archive with the tools of any machine.
fn unpack(archive: &Path, into: &Path) {
    run(Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(into));
    run(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(into));
}

#[test]
fn backup_on_demand_is_verified_and_opened_by_tar() {
    let client = Client::new("");
    let (code, out, err) = client.workspace.mai("backup", &["alpha", "--reason", "before the move"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("backups") && out.contains("verified"), "{out}");
    let [archive] = &client.stored(".tar.gz")[..] else { panic!("{:?}", client.stored("")) };
    let id = archive.strip_suffix(".tar.gz").unwrap();
    assert!(out.contains(id), "{out}");
    assert_eq!(client.stored(".json"), [format!("{id}.json"), format!("{id}.verified.json")]);

    let unpacked = tempfile::tempdir().unwrap();
    unpack(&client.backups().join(archive), unpacked.path());
    let stored: Value =
        serde_json::from_slice(&std::fs::read(unpacked.path().join("instance/document.json")).unwrap()).unwrap();
    assert_eq!(stored["metadata"]["name"], "alpha");
    assert!(unpacked.path().join("data/mai.db").exists() && !unpacked.path().join("data/mai.db-wal").exists());
    let summary = std::fs::read_to_string(client.backups().join(format!("{id}.json"))).unwrap();
    assert!(summary.contains("before the move") && !summary.contains("mai.db"), "{summary}");

    let last = client.last();
    assert_eq!((last["id"].as_str(), last["result"].as_str()), (Some(id), Some("Verified")), "{last}");
    let home = client.workspace.state.join("instances/alpha");
    for leftover in ["job", "job-request.json", "job-answer.json"] {
        assert!(!home.join(leftover).exists(), "{leftover} is left");
    }
    client.compose.stop();
}

#[test]
fn outcome_of_a_backup_is_printed_as_json() {
    let client = Client::new("");
    let (code, out, err) = client.workspace.mai("backup", &["alpha", "--json"]);
    assert_eq!(code, 0, "{out}{err}");
    let outcome: Value = serde_json::from_str(&out).unwrap();
    let destinations = outcome["backup"]["destinations"].as_array().unwrap();
    assert_eq!(destinations[0]["name"], "backups");
    assert_eq!(destinations[0]["result"], "verified");
    client.compose.stop();
}

#[test]
fn backup_without_a_reconciler_is_refused() {
    let client = Client::new("");
    client.compose.stop();
    let (code, out, err) = client.workspace.mai("backup", &["alpha"]);
    assert!(code == 1 && err.contains("no reconciler runs") && err.contains("mai compose"), "{out}{err}");
    let (code, out, err) = client.workspace.mai("backup", &["nobody"]);
    assert!(code == 1 && err.contains("there is no instance nobody"), "{out}{err}");
}

#[test]
fn second_request_and_a_reset_are_refused_meanwhile() {
    let client = Client::new("");
    let held = HeldDatabase::new(&client.workspace.data("alpha"));
    let mut first = client.ask(&[]);
    let lines = collect_lines(&mut first);
    let job = client.wait_for_job();
    signal(job, Signal::STOP);
    drop(held);
    let (code, out, err) = client.workspace.mai("backup", &["alpha"]);
    assert!(code == 1 && err.contains("is being made"), "{out}{err}");
    let (code, out, err) = client.workspace.mai("reset", &["alpha", "--everything", "--yes"]);
    assert!(code == 1 && err.contains("is being made"), "{out}{err}");
    let (code, out, err) = client.workspace.mai("backup", &["alpha", "--no-wait"]);
    assert!(code == 1 && err.contains("is being made"), "{out}{err}");
    signal(job, Signal::CONT);
    assert_eq!(first.wait().unwrap().code(), Some(0), "{:?}", lines.lock().unwrap());
    wait_until(
        || format!("its last line; {:?}", lines.lock().unwrap()),
        || lines.lock().unwrap().iter().any(|line| line.contains("verified")).then_some(()),
    );
    assert_eq!(client.stored(".tar.gz").len(), 1);
    client.compose.stop();
}

#[test]
fn backup_that_fails_in_a_destination_ends_with_1() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().join("backups");
    let more = format!(
        "  backup:\n    schedule: \"0 0 29 2 *\"\n    destinations: [{{name: nas, local: {{path: {}}}}}]\n",
        path.display()
    );
    let client = Client::new(&more);
    let (code, out, err) = client.workspace.mai("backup", &["alpha"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("nas") && out.contains("failed") && out.contains("verified"), "{out}{err}");
    assert!(out.contains(&path.display().to_string()), "{out}{err}");
    assert_eq!(client.stored(".verified.json").len(), 1, "the other destination has none");
    let message = client.workspace.wait_for_reason("alpha", "BackupHealthy", "BackupUnverified");
    assert!(message.contains("nas"), "{message}");
    client.compose.stop();
}

#[test]
fn backup_that_no_identity_opens_is_healthy_as_far_as_told() {
    let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    let client = Client::new(&format!(
        "  backup:\n    schedule: \"0 0 1 1 *\"\n    encryption: {{recipients: [{recipient}]}}\n"
    ));
    let (code, out, err) = client.workspace.mai("backup", &["alpha"]);
    assert!(code == 0 && out.contains("intact") && out.contains("its content was not checked"), "{out}{err}");
    assert_eq!(client.stored(".tar.gz.age").len(), 1);
    let message = client.workspace.wait_for_reason("alpha", "BackupHealthy", "BackupIntact");
    assert!(message.contains("backups: it was read back") && message.contains("names no identity"), "{message}");
    let (status, ..) = client.workspace.condition("alpha", "BackupHealthy").unwrap();
    assert_eq!(status, "True");
    let (_, table, _) = client.workspace.mai("status", &[]);
    assert!(!table.contains("never"), "its age is not shown: {table}");
    client.compose.stop();
}

#[test]
fn request_that_nobody_waits_for_is_made_as_well() {
    let client = Client::new("");
    let (code, out, err) = client.workspace.mai("backup", &["alpha", "--no-wait"]);
    assert!(code == 0 && out.contains("asked for backup"), "{out}{err}");
    wait_until(
        || format!("a verified backup; status: {}", client.last()),
        || (client.last()["result"] == "Verified").then_some(()),
    );
    let (code, out, err) = client.workspace.mai("backup", &["alpha", "--no-wait", "--json"]);
    assert!(code == 2 && err.contains("--json"), "{out}{err}");
    let (code, out, err) = client.workspace.mai("backup", &["alpha", "--reason", "two\nlines"]);
    assert!(code == 2 && err.contains("one line"), "{out}{err}");
    assert!(crate::fixtures::compose::is_ready(client.port));
    client.compose.stop();
}
