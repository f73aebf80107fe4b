//! Words of others, such as the name of a file or of an instance, neither begin a line of their own
//! in a log nor command a terminal.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::fixtures::serve::{Server, command};

/// Begins a line, clears the screen, and turns the direction of what follows.
const HOSTILE: &str = "Acme\nERROR forged\u{1b}[2J\u{202e}end";
/// The same in a line of text.
const SHOWN: &str = "Acme\\nERROR forged\\u001b[2J\\u202eend";

#[tokio::test]
async fn log_lines_of_a_server_hold_no_commands() {
    let mut server = Server::start(&[("WEBUI_NAME", HOSTILE)]).await;
    server.terminate().await;
    let log = server.log();
    assert!(log.contains(&format!("name={SHOWN}")), "{log}");
    assert!(!log.contains(['\u{1b}', '\u{202e}']), "{log}");
    assert!(log.lines().all(|line| !line.starts_with("ERROR")), "{log}");
}

#[test]
fn json_log_lines_are_the_same_without_commands() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [("WEBUI_NAME", HOSTILE), ("MAI_LOG_FORMAT", "json"), ("MAI_EXIT_WITH_STDIN", "true")];
    let output = command(directory.path(), &settings).output().unwrap();
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(!log.contains(['\u{1b}', '\u{202e}']), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["message"] == "ready" && line["name"] == HOSTILE), "{log}");
}

fn validate(directory: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_mai")).arg("validate").args(arguments).arg(directory).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[test]
fn names_of_files_are_shown_without_commands() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a\u{1b}[2J\u{202e}\u{9b}.yaml"), "kind: MaiInstance\n").unwrap();
    let text = validate(directory.path(), &[]);
    assert!(text.contains("a\\u001b[2J\\u202e\\u009b.yaml"), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{text}");

    // JSON stays the same JSON.
    let json: Value = serde_json::from_str(&validate(directory.path(), &["--output", "json"])).unwrap();
    assert!(json.to_string().contains("a\\u001b[2J\u{202e}\u{9b}.yaml"), "{json}");
    let missing = validate(&directory.path().join("b\u{1b}]0;x\u{7}"), &[]);
    assert!(missing.contains("b\\u001b]0;x\\u0007") && !missing.contains('\u{1b}'), "{missing}");
}
