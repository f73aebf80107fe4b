//! `mai restore` brings back exactly what was there, or changes nothing.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::backup::restored_instance::{Client, archive};
use crate::fixtures::compose::{Workspace, pack, signal, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

#[test]
fn restore_brings_back_accounts_chats_and_files() {
    let mut client = Client::new();
    let before = client.settled();
    let report = client.back_up();
    client.chat("second question");
    client.write_letter("second");
    std::fs::write(client.data().join("uploads/new"), "new").unwrap();
    let replaced = client.settled();
    assert_ne!(before, replaced);
    let pid = client.workspace.pid("alpha");

    let (code, out, err) = client.workspace.mai("restore", &["alpha", "--from", "latest"]);
    assert!(code == 1 && err.contains("pass --yes") && !out.contains("another instance"), "{out}{err}");
    assert_eq!(client.workspace.pid("alpha"), pid, "something was done unasked");

    let (code, out, err) = client.restore("latest", &[]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(report.id.as_str()) && out.contains("answers again") && out.contains("rm -r"), "{out}");
    assert_eq!(client.settled(), before);
    client.sign_in();
    assert!(!client.data().join("uploads/new").exists());
    assert_ne!(client.workspace.pid("alpha"), pid);
    assert_eq!(client.restarts(), None, "it was counted as a failure");

    // The data that was replaced is a backup, and a directory.
    let (code, out, err) = client.workspace.mai("backups", &["alpha", "-o", "json"]);
    assert_eq!(code, 0, "{err}");
    let list: Value = serde_json::from_str(&out).unwrap();
    let reasons: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| &item["backup"]["reason"]).collect();
    assert_eq!(reasons, ["before mai restore", "a test"], "{out}");
    let kept = client.beside_data();
    assert!(kept.len() == 1 && kept[0].starts_with("data.before-restore-"), "{kept:?}");
    assert_eq!(std::fs::read_to_string(client.home().join(&kept[0]).join("uploads/letter")).unwrap(), "second");

    // And back to where it was, by the id of that backup.
    let id = list["items"][0]["backup"]["id"].as_str().unwrap();
    let (code, out, err) = client.restore(id, &["--without-backup"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(client.settled(), replaced);
    client.compose.stop();
}

#[test]
fn unreachable_destination_hides_nothing_of_the_others() {
    let workspace = Workspace::new();
    let nas = workspace.documents.parent().unwrap().join("nas");
    std::fs::create_dir(&nas).unwrap();
    let keys = "accessKeyIdRef: {name: keys, key: id}, secretAccessKeyRef: {name: keys, key: secret}";
    let bucket = format!("{{bucket: backups, endpoint: \"http://127.0.0.1:{}\", {keys}}}", free_port());
    workspace.write_secret("keys", "id", "AKIA");
    let more = format!(
        "  backup:\n    destinations:\n      - {{name: nas, local: {{path: {}}}}}\n      - {{name: off-site, s3: {bucket}}}\n",
        nas.display()
    );
    let mut client = Client::declared(workspace, &more);
    let before = client.settled();
    let report = client.back_up();
    let place = nas.join("default/alpha");
    std::fs::create_dir_all(&place).unwrap();
    for end in ["tar.gz", "json"] {
        let name = format!("{}.{end}", report.id);
        std::fs::copy(client.backups().join(&name), place.join(&name)).unwrap();
    }
    std::fs::write(place.join("20260103-020000-000001.json"), "{}").unwrap();
    client.write_letter("second");

    let (code, out, err) = client.workspace.mai("backups", &["alpha"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("  backups  ") && out.contains("  nas  "), "{out}");
    assert!(err.contains("destination off-site: ") && err.contains("no key secret"), "{err}");
    assert!(err.contains("destination nas: 20260103-020000-000001.json cannot be used"), "{err}");

    let (code, out, err) = client.restore("latest", &["--destination", "off-site"]);
    assert!(code == 1 && err.contains("no key secret"), "{out}{err}");
    let (code, out, err) = client.restore("latest", &["--destination", "nas", "--without-backup"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(client.settled(), before);
    client.compose.stop();
}

#[test]
fn data_that_does_not_start_is_replaced_by_the_former() {
    let client = Client::new();
    let before = client.settled();
    // The database of a version that is yet to come.
    let future = client.home().join("future");
    std::fs::create_dir(&future).unwrap();
    let database = rusqlite::Connection::open(future.join("mai.db")).unwrap();
    database.execute_batch("CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL); INSERT INTO _sqlx_migrations VALUES (99999, 'future', 0, 1, x'00', 0); CREATE TABLE user (id TEXT PRIMARY KEY); INSERT INTO user VALUES ('1');").unwrap();
    database.close().unwrap();
    let file = client.home().join("future.tar.gz");
    pack(&file, &future, ".");
    let (code, out, err) = client.restore(file.to_str().unwrap(), &["--timeout", "5s"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("nothing else could be verified"), "{out}");
    assert!(err.contains("did not start on the restored data, so its former data was put back"), "{err}");
    assert_eq!(client.settled(), before);
    assert_eq!(client.beside_data(), Vec::<String>::new());
    assert!(!client.home().join("restore.json").exists());
    client.compose.stop();
}

#[test]
fn data_of_another_program_is_refused() {
    let client = Client::new();
    let before = client.settled();
    let (pid, names) = (client.workspace.pid("alpha"), client.beside_data());
    let other = client.home().join("other");
    std::fs::create_dir(&other).unwrap();
    let database = rusqlite::Connection::open(other.join("webui.db")).unwrap();
    database.execute_batch("CREATE TABLE user (id TEXT PRIMARY KEY)").unwrap();
    database.close().unwrap();
    let file = client.home().join("other.tar.gz");
    pack(&file, &other, ".");
    let (code, out, err) = client.restore(file.to_str().unwrap(), &[]);
    assert!(code == 1 && err.contains("there is no database mai.db in it"), "{out}{err}");
    std::fs::rename(other.join("webui.db"), other.join("mai.db")).unwrap();
    pack(&file, &other, ".");
    let (code, out, err) = client.restore(file.to_str().unwrap(), &[]);
    assert!(code == 1 && err.contains("nobody has an account in its database mai.db"), "{out}{err}");
    assert_eq!((client.workspace.pid("alpha"), client.beside_data()), (pid, names));
    assert_eq!(client.settled(), before);
    client.compose.stop();
}

#[test]
fn data_directory_packed_with_tar_and_its_wal_is_accepted() {
    let client = Client::new();
    let before = client.settled();
    // As a server leaves it that is killed: the newest rows are in the write-ahead log alone.
    let pid = client.workspace.pid("alpha").unwrap();
    signal(pid, Signal::STOP);
    let copy = client.home().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let copied = Command::new("cp").arg("-a").arg(client.data()).arg(copy.join("data")).status().unwrap();
    signal(pid, Signal::CONT);
    assert!(copied.success() && copy.join("data/mai.db-wal").metadata().unwrap().len() > 0);
    for (name, top, inside) in [("outer.tar.gz", copy.clone(), "data"), ("inner.tar.gz", copy.join("data"), ".")] {
        client.write_letter("changed");
        let file = client.home().join(name);
        pack(&file, &top, inside);
        let (code, out, err) = client.restore(file.to_str().unwrap(), &["--without-backup"]);
        assert_eq!(code, 0, "{name}: {out}{err}");
        assert_eq!(client.settled(), before, "{name}");
        let (code, out, err) = client.restore(file.to_str().unwrap(), &["--of", "default/beta"]);
        assert!(code == 1 && err.contains("leave out --of"), "{name}: {out}{err}");
    }
    client.compose.stop();
}

#[test]
fn unusable_backup_is_refused_before_the_server_is_stopped() {
    let mut client = Client::new();
    let before = client.settled();
    let foreign = client.back_up_as("alpha", "uid-of-a-former-one");
    let (code, out, err) = client.workspace.mai("restore", &["alpha", "--from", "latest"]);
    assert!(code == 1 && out.contains(foreign.id.as_str()), "{out}{err}");
    assert!(out.contains("it is of another instance, default/alpha with uid uid-of-a-former-one"), "{out}");
    let beta = client.back_up_as("beta", "uid-of-beta");
    let report = client.back_up();
    let other = client.back_up();
    let keys: Vec<_> = (0..2).map(|_| new_key(&client.home())).collect();
    let sealed = client.back_up_for(vec![keys[0].1.clone()]);
    let pid = client.workspace.pid("alpha");
    let names = client.beside_data();
    let refused = |from: &str, more: &[&str], expected: &str| {
        let (code, out, err) = client.restore(from, more);
        assert!(code == 1 && err.contains(expected), "{expected}: {out}{err}");
        assert_eq!(client.workspace.pid("alpha"), pid, "{expected}: the server was stopped");
        assert_eq!(client.beside_data(), names, "{expected}: something is left");
    };
    refused("20260102-020000-ffffff", &[], "has no such backup");
    refused("2026-01-01", &[], "has no such backup");
    refused("yesterday", &[], "neither `latest` nor the id");
    refused("latest", &["--destination", "nas"], "has no destination nas");
    refused(sealed.id.as_str(), &[], "--identity FILE");
    refused(sealed.id.as_str(), &["--identity", &keys[1].0], "does not open the archive");
    refused(
        beta.id.as_str(),
        &[],
        "the backup is of default/beta, not of default/alpha; to restore it all the same, add: --of default/beta",
    );
    refused(report.id.as_str(), &["--of", "default/beta"], "the backup is of default/alpha, not of default/beta");
    let alone = client.home().join("alone.tar.gz");
    std::fs::copy(archive(&client.backups(), &beta), &alone).unwrap();
    refused(alone.to_str().unwrap(), &[], "--of default/beta");
    refused("/etc/passwd", &[], "no archive made by tar and gzip");

    let path = archive(&client.backups(), &report);
    let intact = std::fs::read(&path).unwrap();
    let sibling = std::fs::read(archive(&client.backups(), &other)).unwrap();
    let mut flipped = intact.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for (content, expected) in
        [(&intact[..middle], "is cut off"), (&flipped, "was changed after it was stored"), (&sibling, "archive ")]
    {
        std::fs::write(&path, content).unwrap();
        let (code, out, err) = client.restore(report.id.as_str(), &[]);
        assert!(code == 1 && err.contains(expected) && err.contains("nothing was changed"), "{expected}: {out}{err}");
        refused(path.to_str().unwrap(), &[], "archive");
    }
    std::fs::write(&path, intact).unwrap();
    let (code, out, err) = client.workspace.mai("backups", &["alpha", "--verify", report.id.as_str()]);
    assert!(code == 0 && out.contains("each file and database checked"), "{out}{err}");

    let (code, out, err) = client.restore(sealed.id.as_str(), &["--identity", &keys[0].0]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(client.settled(), before);
    let (code, out, err) = client.restore(beta.id.as_str(), &["--of", "default/beta", "--without-backup"]);
    assert!(code == 0 && out.contains("it is of another instance, default/beta"), "{out}{err}");
    client.compose.stop();
}

/// Returns the file of a new identity, and its public key.
fn new_key(directory: &Path) -> (String, String) {
    use secrecy::ExposeSecret;
    let key = age::x25519::Identity::generate();
    let public = key.to_public().to_string();
    let file = directory.join(format!("key-{}", &public[4..12]));
    std::fs::write(&file, format!("# public key: {public}\n{}\n", key.to_string().expose_secret())).unwrap();
    (file.to_str().unwrap().to_owned(), public)
}

#[test]
fn restore_that_is_killed_leaves_one_of_both_and_a_way_on() {
    let mut client = Client::new();
    // Big enough to be unpacked for a while.
    for number in 0..400 {
        std::fs::write(client.data().join(format!("uploads/{number}")), vec![number as u8; 50_000]).unwrap();
    }
    let old = client.settled();
    client.back_up();
    client.write_letter("second");
    client.chat("second question");
    let is_there = |start: &str| client.beside_data().iter().any(|name| name.starts_with(start));
    let (record, lock) = (client.home().join("restore.json"), client.home().join("held"));
    let kept = || client.beside_data().iter().filter(|name| name.starts_with("data.before-restore-")).count();
    for step in ["unpacking", "stopping", "swapping", "starting"] {
        let (present, pid, kept_before) = (client.settled(), client.workspace.pid("alpha"), kept());
        let reached = || match step {
            "unpacking" => is_there("data.restore-"),
            "stopping" => lock.exists(),
            "swapping" => record.exists(),
            _ => kept() > kept_before && client.workspace.pid("alpha").is_some_and(|now| Some(now) != pid),
        };
        let mut restore = client.start_restore("latest");
        while !reached() && restore.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        restore.kill().unwrap();
        restore.wait().unwrap();
        wait_ready(client.port);
        let found = client.settled();
        assert!(found == old || found == present, "{step}: {found:?}");

        // The next one tidies and goes through.
        let (code, out, err) = client.restore("latest", &["--without-backup"]);
        assert_eq!(code, 0, "{step}: {out}{err}");
        assert_eq!(client.settled(), old, "{step}");
        assert!(!record.exists() && !is_there("data.restore-"), "{step}: {:?}", client.beside_data());
        client.write_letter("second");
    }
    wait_until(|| "the status".to_owned(), || client.restarts().is_none().then_some(()));
    client.compose.stop();
}
