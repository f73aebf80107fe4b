//! Promise: what is written, swapped or linked in the directory reaches the loop at once, and rewriting the same does nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use mai_operator::api::{DOCUMENT_FILE, SecretRef};
use mai_operator::source::{SecretError, Source};
use secrecy::ExposeSecret;

use crate::fixtures::event_stream::{Followed, document};
use crate::fixtures::measurement;

const AT_ONCE: Duration = Duration::from_millis(600);

#[tokio::test]
async fn an_edit_is_seen_at_once_however_it_is_written() {
    let _turn = measurement::turn().await;
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = tree.path().join("clients/a.yaml");
    fs::create_dir(tree.path().join("clients")).unwrap();
    fs::write(&file, document("a", "'0'")).unwrap();
    let mut followed = Followed::open(tree.path(), state.path()).await;
    assert_eq!(followed.shown["a"].metadata.annotations.as_ref().unwrap()[DOCUMENT_FILE], file.display().to_string());

    let mut waits = Vec::new();
    for round in 1..=6 {
        let text = document("a", &format!("'{round}'"));
        if round % 2 == 0 {
            fs::write(&file, text).unwrap();
        } else {
            // As vim and most tools do.
            fs::write(file.with_extension("yaml.tmp"), text).unwrap();
            fs::rename(file.with_extension("yaml.tmp"), &file).unwrap();
        }
        let expected = round.to_string();
        waits.push(followed.until("the edit is seen", |now| now.display_name("a") == Some(&expected)).await);
    }
    waits.sort();
    assert!(waits[waits.len() / 2] <= Duration::from_millis(300), "{waits:?}");

    let row = followed.state.documents().await.unwrap();
    fs::write(&file, document("a", "'6'") + "# only a comment\n").unwrap();
    followed.stays_silent(Duration::from_secs(1)).await;
    assert_eq!(followed.state.documents().await.unwrap(), row, "the same document is not written again");

    // A new folder is listened to as well.
    fs::create_dir_all(tree.path().join("new/deep")).unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    fs::write(tree.path().join("new/deep/b.yml"), document("b", "'1'")).unwrap();
    let took = followed.until("a new folder is seen", |now| now.display_name("b").is_some()).await;
    assert!(took <= AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_tree_that_is_swapped_by_its_link_is_followed() {
    let _turn = measurement::turn().await;
    // As git-sync does: the directory is a link to a checkout, replaced by rename.
    let (base, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let checkout = |name: &str, display: &str| {
        let path = base.path().join(".worktrees").join(name);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("a.yaml"), document("a", display)).unwrap();
        path
    };
    let link = base.path().join("instances");
    symlink(checkout("1", "One"), &link).unwrap();
    let mut followed = Followed::open(&link, state.path()).await;
    for (number, display) in [("2", "Two"), ("3", "Three")] {
        let target = checkout(number, display);
        symlink(&target, base.path().join("next")).unwrap();
        fs::rename(base.path().join("next"), &link).unwrap();
        let took = followed.until("the new tree is seen", |now| now.display_name("a") == Some(display)).await;
        assert!(took <= AT_ONCE, "{took:?}");
        assert!(!followed.is_going("a"));
    }
    fs::remove_dir_all(base.path().join(".worktrees/1")).unwrap();
    fs::write(base.path().join(".worktrees/3/a.yaml"), document("a", "Four")).unwrap();
    let took = followed.until("the new tree is listened to", |now| now.display_name("a") == Some("Four")).await;
    assert!(took <= AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_mounted_config_map_is_followed() {
    let _turn = measurement::turn().await;
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tree = tree.path();
    let publish = |version: &str, display: &str| {
        fs::create_dir(tree.join(version)).unwrap();
        fs::write(tree.join(version).join("a.yaml"), document("a", display)).unwrap();
        symlink(version, tree.join("..data_tmp")).unwrap();
        fs::rename(tree.join("..data_tmp"), tree.join("..data")).unwrap();
    };
    publish("..2026_01", "One");
    symlink("..data/a.yaml", tree.join("a.yaml")).unwrap();
    let mut followed = Followed::open(tree, state.path()).await;
    assert_eq!(followed.display_name("a"), Some("One"));
    publish("..2026_02", "Two");
    fs::remove_dir_all(tree.join("..2026_01")).unwrap();
    let took = followed.until("the new version is seen", |now| now.display_name("a") == Some("Two")).await;
    assert!(took <= AT_ONCE, "{took:?}");
}

fn write_secret(path: &Path, value: &str, mode: u32) {
    fs::write(
        path,
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: router}}\nstringData:\n  api-key: {value}\n"),
    )
    .unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn secrets_are_used_only_from_files_that_keep_them_and_their_change_is_told() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(tree.path().join("secrets")).unwrap();
    let file = tree.path().join("secrets/router.yaml");
    write_secret(&file, "sesame", 0o644);
    fs::write(tree.path().join("a.yaml"), document("a", "One")).unwrap();
    let followed = Followed::open(tree.path(), state.path()).await;
    let reference = SecretRef { name: "router".to_owned(), key: Some("api-key".to_owned()) };
    let secret = || followed.directory.secret("default", &reference);

    let error = secret().await.unwrap_err();
    assert!(matches!(error, SecretError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains(&format!("chmod 600 {}", file.display())), "{error}");
    followed.problem("mode 0644").await;

    let mut changes = followed.directory.secret_changes();
    let mut changed = async || {
        tokio::time::timeout(Duration::from_secs(3), changes.next()).await.expect("a change of the secret is told")
    };
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    changed().await;
    assert_eq!(secret().await.unwrap().expose_secret(), "sesame");
    write_secret(&file, "open", 0o600);
    changed().await;
    assert_eq!(secret().await.unwrap().expose_secret(), "open");

    // A file that is being written is no reason to lose the value.
    fs::write(&file, "").unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(secret().await.unwrap().expose_secret(), "open");

    for (name, key, expected) in [
        ("router", Some("other"), "Secret router has no key other; it has api-key"),
        ("none", Some("k"), "Secret none is not there"),
        ("env:MAI_TEST_NOT_SET", None, "environment variable MAI_TEST_NOT_SET is not set"),
    ] {
        let reference = SecretRef { name: name.to_owned(), key: key.map(str::to_owned) };
        let error = followed.directory.secret("default", &reference).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let path = SecretRef { name: "env:PATH".to_owned(), key: None };
    assert_eq!(
        followed.directory.secret("default", &path).await.unwrap().expose_secret(),
        std::env::var("PATH").unwrap()
    );
    let everything = format!("{:?} {:?}", followed.directory, followed.state.problems().await.unwrap());
    assert!(!everything.contains("sesame") && !everything.contains("open\""), "{everything}");
}

#[tokio::test]
async fn a_second_reconciler_on_one_state_is_refused_by_pid() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(tree.path().join("a.yaml"), document("a", "One")).unwrap();
    let _first = Followed::open(tree.path(), state.path()).await;
    let error = mai_operator::state::State::open(state.path()).await.unwrap_err().to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    assert_eq!(fs::metadata(state.path().join("state.db")).unwrap().permissions().mode() & 0o777, 0o600);
}
