//! The commands of `docs/restore-by-hand.md` restore a backup, word for word, without this program.

use std::path::Path;
use std::process::Command;

use crate::backup::restored_instance::{Client, Found};
use crate::fixtures::compose::read_file;
use crate::fixtures::page_commands::{commands, ensure_age};

/// Runs the commands of the page that are marked with these words, with these values of its names.
fn run(client: &Client, marks: &[&str], values: &[(&str, &Path)]) -> String {
    let page = read_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/restore-by-hand.md"));
    let script: String = marks.iter().map(|mark| commands(&page, mark)).collect();
    let program = Path::new(env!("CARGO_BIN_EXE_mai")).parent().unwrap();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .envs(values.iter().copied())
        .env("PATH", format!("{}:{}", program.display(), std::env::var("PATH").unwrap()))
        .env("MAI_STATE_DIR", &client.workspace.state)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script}\n{out}{err}");
    out
}

/// Restores the newest backup as the page says, and returns what is found then.
fn restored(client: &Client, id: &str, unpack: &str, key: &Path) -> Found {
    let (backups, work, data) = (client.backups(), client.home().join("work"), client.data());
    let document = client.workspace.documents.join("a.yaml");
    let values: [(&str, &Path); 8] = [
        ("BACKUPS", &backups),
        ("ID", Path::new(id)),
        ("WORK", &work),
        ("KEY", key),
        ("CLIENTS", &client.workspace.documents),
        ("NAME", Path::new("alpha")),
        ("DOCUMENT", &document),
        ("DATA", &data),
    ];
    let out = run(client, &["check", unpack, "verify", "verify-database"], &values);
    assert!(out.contains(": OK") && out.contains("all files are intact") && out.ends_with("ok\n"), "{out}");
    run(client, &["process"], &values);
    client.settled()
}

#[test]
fn page_restores_a_backup_under_a_live_reconciler() {
    let mut client = Client::new();
    let before = client.settled();
    let report = client.back_up();
    client.chat("second question");
    client.write_letter("second");
    assert_ne!(client.settled(), before);
    assert_eq!(restored(&client, report.id.as_str(), "unpack", Path::new("/nonexistent")), before);
    client.compose.stop();
}

#[test]
fn page_restores_an_encrypted_backup_with_age() {
    use secrecy::ExposeSecret;
    ensure_age();
    let mut client = Client::new();
    let before = client.settled();
    let key = age::x25519::Identity::generate();
    let file = client.home().join("key.txt");
    std::fs::write(&file, format!("{}\n", key.to_string().expose_secret())).unwrap();
    let report = client.back_up_for(vec![key.to_public().to_string()]);
    client.write_letter("second");
    assert_eq!(restored(&client, report.id.as_str(), "unpack-encrypted", &file), before);
    client.compose.stop();
}
