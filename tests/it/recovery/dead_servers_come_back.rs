//! A server that is gone comes back on an empty machine, with all that its people had.

use super::fleet::{Copies, Fleet, Keys, start};
use crate::fixtures::compose::{Workspace, read_file};

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

/// Brings a dead server back, starts it, and checks that nobody misses anything.
fn come_back(copies: &Copies, keys: &Keys) {
    let arguments = [copies.to(), vec!["--recovery-recipient", &keys.public]].concat();
    let fleet = Fleet::start(&NAMES, copies, Some(keys), &arguments);
    NAMES.iter().for_each(|name| fleet.back_up(name));
    fleet.compose.wait_for_server_backup(&fleet.workspace);
    let (documents, before) = (read_file(&fleet.workspace.documents.join("others.yaml")), fleet.found());
    let clients = fleet.die();

    let machine = Workspace::new();
    let identity = ["--identity", keys.identity()];
    let (code, out, err) = machine.mai("recover", &[copies.from(), identity.to_vec(), vec!["--dry-run"]].concat());
    assert_eq!(code, 0, "{out}{err}");
    assert!(NAMES.iter().all(|name| out.contains(&format!("default/{name}"))), "{out}");
    assert!(!machine.state.exists() && std::fs::read_dir(&machine.documents).unwrap().next().is_none(), "{out}");

    let (code, out, err) = machine.mai("recover", &[copies.from(), identity.to_vec()].concat());
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("[3/3] default/gamma") && out.contains("mai compose"), "{out}");
    assert!(!out.contains("missing, or not"), "{out}");
    for client in &clients {
        assert!(out.contains(&format!("http://127.0.0.1:{}", client.port)), "{out}");
    }
    assert_eq!(read_file(&machine.documents.join("others.yaml")), documents);
    let left: Vec<_> = ["recovery", "server-backup"].iter().filter(|name| machine.state.join(name).exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(start(&machine, &clients), before);
}

#[test]
fn dead_server_comes_back_from_a_directory() {
    come_back(&Copies::directory(), &Keys::new());
}

#[test]
fn dead_server_comes_back_from_a_bucket() {
    come_back(&Copies::bucket("dead-server"), &Keys::new());
}

#[test]
fn clients_come_back_without_a_backup_of_the_server() {
    let (copies, keys) = (Copies::directory(), Keys::new());
    let fleet = Fleet::start(&NAMES, &copies, Some(&keys), &[]);
    NAMES.iter().for_each(|name| fleet.back_up(name));
    let before = fleet.found();
    let clients = fleet.die();
    let machine = Workspace::new();
    let (code, out, err) = machine.mai("recover", &[copies.from(), vec!["--identity", keys.identity()]].concat());
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("no backup of a server"), "{out}");
    assert!(read_file(&machine.documents.join("secrets/note.yaml")).contains("sesame"));
    assert!(read_file(&machine.documents.join("beta.yaml")).contains("name: beta"));
    assert_eq!(start(&machine, &clients), before);
}

#[test]
fn unencrypted_backups_come_back_without_their_secrets() {
    let copies = Copies::directory();
    let fleet = Fleet::start(&["alpha", "beta"], &copies, None, &copies.to());
    ["alpha", "beta"].iter().for_each(|name| fleet.back_up(name));
    let line = fleet.compose.wait_for_line(&["server backup", "made"]);
    assert!(line.contains("not encrypted") && line.contains("Secret default/note"), "{line}");
    fleet.compose.wait_for_line(&["server backup", "session key of default/beta"]);
    fleet.compose.wait_for_server_backup(&fleet.workspace);
    let before = fleet.found();
    let clients = fleet.die();
    let machine = Workspace::new();
    let (code, out, err) = machine.mai("recover", &copies.from());
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("first.yaml:") && out.contains("Secret note is not there"), "{out}");
    assert!(out.contains("the session key of default/alpha is in no archive"), "{out}");
    machine.write_secret("note", "key", "another");
    assert_eq!(start(&machine, &clients), before);
}
