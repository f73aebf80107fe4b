//! The backup of a server is made again when something has changed, and only then.

use std::path::Path;

use super::fleet::{Copies, Fleet, Keys};
use crate::fixtures::compose::{Workspace, document, wait_until};
use crate::fixtures::ports::free_port;

/// Returns the number of backups of servers.
fn backups(copies: &Copies) -> usize {
    let files = |path: &Path| std::fs::read_dir(path).map(|entries| entries.flatten().collect()).unwrap_or_default();
    let servers: Vec<std::fs::DirEntry> = files(&copies.path().join("_server"));
    let names = servers.iter().flat_map(|server| files(&server.path()) as Vec<std::fs::DirEntry>);
    names.filter(|file| file.file_name().to_str().unwrap().ends_with(".tar.gz.age")).count()
}

#[test]
fn server_backup_is_made_again_only_after_a_change() {
    let (copies, keys) = (Copies::directory(), Keys::new());
    let arguments = [copies.to(), vec!["--recovery-recipient", &keys.public]].concat();
    let fleet = Fleet::start(&["alpha"], &copies, Some(&keys), &arguments);
    let made = || fleet.compose.output().matches("server backup        made").count();
    fleet.compose.wait_for_server_backup(&fleet.workspace);
    let before = made();
    assert_eq!(backups(&copies), before);
    fleet.back_up("alpha");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(made(), before, "{}", fleet.compose.output());
    fleet.workspace.write("more.yaml", "# nothing yet\n");
    wait_until(|| fleet.compose.output(), || (made() == before + 1).then_some(()));
    // One that is gone is made again, too.
    std::fs::remove_dir_all(copies.path().join("_server")).unwrap();
    wait_until(|| fleet.compose.output(), || (made() == before + 2).then_some(()));
    assert_eq!(backups(&copies), 1);
    fleet.compose.stop();
}

#[test]
fn server_backup_that_fails_is_told_once_and_in_the_status() {
    let (copies, keys) = (Copies::directory(), Keys::new());
    let workspace = Workspace::new();
    workspace.write("a.yaml", &document("alpha", free_port(), ""));
    let place = copies.path().join("missing");
    let to = ["--recovery-to", place.to_str().unwrap(), "--recovery-interval", "1s"];
    let compose = workspace.compose(&[&to[..], &["--recovery-recipient", &keys.public]].concat());
    compose.wait_for_line(&["server backup", "problem", "does not exist"]);
    let (_, out, _) = workspace.mai("status", &[]);
    assert!(out.contains("the server itself is not backed up") && out.contains("does not exist"), "{out}");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(compose.output().matches("problem").count(), 1, "{}", compose.output());
    std::fs::create_dir(&place).unwrap();
    compose.wait_for_line(&["server backup", "made"]);
    let (_, out, _) = workspace.mai("status", &[]);
    assert!(out.contains("backup of the server") && !out.contains("does not exist"), "{out}");
    compose.stop();
}

#[test]
fn options_of_a_server_backup_are_checked_at_the_start() {
    let (copies, keys) = (Copies::directory(), Keys::new());
    let workspace = Workspace::new();
    workspace.write("a.yaml", &document("alpha", free_port(), ""));
    for (arguments, code, words) in [
        (vec!["--recovery-recipient", &keys.public], 2, "--recovery-to"),
        (vec!["--recovery-to", "s3://copies"], 1, "--recovery-s3 FILE"),
        (vec!["--recovery-to", "https://example.com"], 2, "s3://BUCKET/PREFIX"),
        (vec!["--recovery-to", &copies.address, "--recovery-recipient", "age1nonsense"], 1, "age1nonsense"),
    ] {
        let (found, out, err) = workspace.mai("compose", &arguments);
        assert!(found == code && err.contains(words), "{arguments:?}: {found} {out}{err}");
    }
}
