//! With `deletionPolicy: Snapshot` the data of a removed document goes only after a last backup of it
//! was verified, whatever fails or is killed meanwhile.

use std::path::Path;

use super::backups_follow_the_schedule::{Client, LONG_AGO};
use crate::fixtures::compose::{document, http, wait_ready};
use crate::fixtures::ports::free_port;

/// Returns lines below `spec:` that declare a further destination.
fn policy(policy: &str, destination: &Path) -> String {
    let place = destination.display();
    format!(
        "  deletionPolicy: {policy}\n  backup: {{schedule: \"0 0 1 1 *\", destinations: [{{name: nas, local: {{path: {place}}}}}]}}\n"
    )
}

/// Returns how many verified backups a directory holds.
fn verified(directory: &Path) -> usize {
    let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files.filter(|file| file.ends_with(".verified.json")).count()
}

#[test]
fn data_goes_only_after_a_verified_last_backup() {
    let nas = tempfile::tempdir().unwrap();
    let destination = nas.path().join("share");
    // Nothing can be stored below a file.
    std::fs::write(&destination, "").unwrap();
    let client = Client::new(&policy("Snapshot", &destination));
    // A directory without any file removes nothing.
    client.workspace.write("b.yaml", "# nobody\n");
    let mut compose = client.workspace.compose(&[]);
    wait_ready(client.port);
    let account = r#"{"name":"Ada","email":"ada@example.com","password":"correct horse"}"#;
    assert_eq!(http("POST", client.port, "/api/v1/auths/signup", "", account).unwrap().0, 200);
    client.workspace.remove("a.yaml");
    let message = client.workspace.wait_for_reason("alpha", "Stalled", "BackupUnverified");
    assert!(
        message.contains("the data stays until its last backup is verified") && message.contains("nas"),
        "{message}"
    );
    assert!(client.workspace.pid("alpha").is_none() && client.workspace.data("alpha").join("mai.db").exists());
    compose.kill();

    // The next attempt is due, and is interrupted.
    std::fs::remove_file(&destination).unwrap();
    std::fs::create_dir(&destination).unwrap();
    client.remember("$.backup.last.endedAt", LONG_AGO);
    let mut compose = client.workspace.compose(&[]);
    let (_, name) = client.wait_for_job(&compose);
    assert!(client.workspace.data("alpha").join("mai.db").exists());
    compose.kill();
    let compose = client.workspace.compose(&[]);
    compose.wait_for_line(&["alpha", "gone"]);
    assert!(!client.workspace.data("alpha").exists());
    assert_eq!((verified(&client.home().join("backups")), verified(&destination.join("default/alpha"))), (2, 1));
    let summary = std::fs::read_to_string(client.home().join(format!("backups/{name}.json"))).unwrap();
    assert!(summary.contains("before its deletion"), "{summary}");

    // The same name starts anew, and finds its backups.
    client.declare(&policy("Snapshot", &destination));
    compose.wait_for_line(&["alpha", "ready", "the first to register becomes admin"]);
    assert_eq!(client.archives().len(), 2);
    compose.stop();
}

#[test]
fn document_put_back_ends_a_waiting_deletion() {
    let nas = tempfile::tempdir().unwrap();
    let destination = nas.path().join("share");
    std::fs::write(&destination, "").unwrap();
    let client = Client::new(&policy("Snapshot", &destination));
    // A directory without any file removes nothing.
    client.workspace.write("b.yaml", "# nobody\n");
    let compose = client.workspace.compose(&[]);
    wait_ready(client.port);
    client.workspace.remove("a.yaml");
    client.workspace.wait_for_reason("alpha", "Stalled", "BackupUnverified");
    client.declare(&policy("Retain", &destination));
    client.workspace.wait_for_reason("alpha", "Ready", "Ready");
    assert_eq!(client.status().get("beforeDeletion"), None);
    client.workspace.remove("a.yaml");
    compose.wait_for_line(&["alpha", "gone"]);
    assert!(client.workspace.data("alpha").join("mai.db").exists());
    compose.stop();
}

#[test]
fn instance_without_data_is_removed_without_a_backup() {
    let client = Client::new("");
    let never = "  suspend: true\n  deletionPolicy: Snapshot\n";
    client.workspace.write("b.yaml", &document("beta", free_port(), never));
    let compose = client.workspace.compose(&[]);
    client.workspace.wait_for_reason("beta", "Ready", "Suspended");
    client.workspace.remove("b.yaml");
    compose.wait_for_line(&["beta", "gone"]);
    compose.stop();
}
