//! A declared backup is made next to the running server, verified, and told of in the status.

use jiff::Timestamp;
use serde_json::Value;

use crate::fixtures::compose::{Workspace, document, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

/// Returns `status.backup` of an instance.
fn backup(workspace: &Workspace, name: &str) -> Value {
    let instances = workspace.status();
    let instance = instances.iter().find(|instance| instance["metadata"]["name"] == name).unwrap();
    instance["status"]["backup"].clone()
}

/// Returns the names of the files in the backups volume of an instance.
fn stored(workspace: &Workspace, name: &str) -> Vec<String> {
    let directory = workspace.data(name).with_file_name("backups");
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn scheduled_backup_is_made_and_verified_next_to_the_server() {
    let workspace = Workspace::new();
    let port = free_port();
    let every_minute = "  backup: {schedule: '* * * * *'}\n";
    workspace.write("a.yaml", &document("alpha", port, every_minute));
    let reference = "{name: nowhere, key: key}";
    let bucket = format!("{{bucket: b, accessKeyIdRef: {reference}, secretAccessKeyRef: {reference}}}");
    let blocked =
        format!("  suspend: true\n  backup: {{schedule: '* * * * *', destinations: [{{name: s3, s3: {bucket}}}]}}\n");
    workspace.write("b.yaml", &document("beta", free_port(), &blocked));
    let compose = workspace.compose(&[]);
    wait_ready(port);
    let pid = workspace.pid("alpha");
    assert_eq!(workspace.condition("alpha", "BackupHealthy").unwrap().1, "BackupPending");

    // It takes up to a minute until the first one is due.
    let due = || format!("the first backup to be due: {}", backup(&workspace, "alpha"));
    wait_until(due, || backup(&workspace, "alpha")["next"].as_str().map(str::to_owned));
    let next: Timestamp = backup(&workspace, "alpha")["next"].as_str().unwrap().parse().unwrap();
    std::thread::sleep(next.duration_since(Timestamp::now()).try_into().unwrap_or_default());
    workspace.wait_for_reason("alpha", "BackupHealthy", "BackupVerified");
    let message = workspace.wait_for_reason("beta", "BackupHealthy", "BackupBlocked");
    assert!(message.contains("Secret nowhere is not there"), "{message}");
    let backup = backup(&workspace, "alpha");
    let id = backup["last"]["id"].as_str().unwrap();
    assert_eq!(backup["destinations"][0]["name"], "backups");
    for field in ["lastDue", "lastSuccess", "lastVerified", "bytes", "dataBytes", "next"] {
        assert!(!backup[field].is_null(), "{field}: {backup:#}");
    }
    let stored = stored(&workspace, "alpha");
    for ending in [".json", ".tar.gz", ".verified.json"] {
        assert!(stored.contains(&format!("{id}{ending}")), "{stored:?}");
    }
    let (_, table, _) = workspace.mai("status", &[]);
    let row = table.lines().find(|line| line.trim_start().starts_with("alpha")).unwrap();
    assert!(table.lines().next().unwrap().contains("BACKUP") && row.contains(" 2m "), "{table}");
    assert!(table.lines().any(|line| line.trim_start().starts_with("beta") && line.contains("blocked")), "{table}");
    assert_eq!(workspace.pid("alpha"), pid, "the server was not restarted for it");
    assert_eq!(workspace.condition("alpha", "Ready").unwrap().0, "True");
    compose.stop();
}
