//! A change of the directory by a write, a rename or a link is an event within milliseconds; an
//! equal document is none.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use mai_operator::api::{DOCUMENT_FILE, SecretRef};
use mai_operator::source::policy::PolicyFile;
use mai_operator::source::{Reader, SecretError, Source};
use secrecy::ExposeSecret;

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::event_stream::{EventStream, document};
use crate::fixtures::measurement;

/// Less than the interval between checks of the directory, which find a change that is not announced.
const AT_ONCE: Duration = Duration::from_millis(1_500);

#[tokio::test]
async fn edit_by_any_write_pattern_is_noticed_promptly() {
    let _turn = measurement::turn().await;
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = tree.path().join("clients/a.yaml");
    fs::create_dir(tree.path().join("clients")).unwrap();
    fs::write(&file, document("a", "'0'")).unwrap();
    let mut stream = EventStream::open(tree.path(), state.path()).await;
    assert_eq!(stream.objects["a"].metadata.annotations.as_ref().unwrap()[DOCUMENT_FILE], file.display().to_string());

    let mut waits = Vec::new();
    for round in 1..=6 {
        let text = document("a", &format!("'{round}'"));
        if round % 2 == 0 {
            fs::write(&file, text).unwrap();
        } else {
            // The write pattern of vim and most tools.
            fs::write(file.with_extension("yaml.tmp"), text).unwrap();
            fs::rename(file.with_extension("yaml.tmp"), &file).unwrap();
        }
        let expected = round.to_string();
        waits.push(stream.wait_until("the edit is seen", |now| now.display_name("a") == Some(&expected)).await);
    }
    waits.sort();
    assert!(waits[waits.len() / 2] <= AT_ONCE / 2, "{waits:?}");

    let row = stream.state.documents().await.unwrap();
    fs::write(&file, document("a", "'6'") + "# only a comment\n").unwrap();
    stream.assert_silent(Duration::from_secs(1)).await;
    assert_eq!(stream.state.documents().await.unwrap(), row, "the same document is not written again");

    // A new folder is watched as well.
    fs::create_dir_all(tree.path().join("new/deep")).unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    fs::write(tree.path().join("new/deep/b.yml"), document("b", "'1'")).unwrap();
    let took = stream.wait_until("a new folder is seen", |now| now.display_name("b").is_some()).await;
    assert!(took <= AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn swapped_symlink_tree_is_followed() {
    let _turn = measurement::turn().await;
    // git-sync: the directory is a link to a checkout, replaced by a rename.
    let (base, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let checkout = |name: &str, display: &str| {
        let path = base.path().join(".worktrees").join(name);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("a.yaml"), document("a", display)).unwrap();
        path
    };
    let link = base.path().join("instances");
    symlink(checkout("1", "One"), &link).unwrap();
    let mut stream = EventStream::open(&link, state.path()).await;
    for (number, display) in [("2", "Two"), ("3", "Three")] {
        let target = checkout(number, display);
        symlink(&target, base.path().join("next")).unwrap();
        fs::rename(base.path().join("next"), &link).unwrap();
        let took = stream.wait_until("the new tree is seen", |now| now.display_name("a") == Some(display)).await;
        assert!(took <= AT_ONCE, "{took:?}");
        assert!(!stream.is_deleted("a"));
    }
    fs::remove_dir_all(base.path().join(".worktrees/1")).unwrap();
    fs::write(base.path().join(".worktrees/3/a.yaml"), document("a", "Four")).unwrap();
    let took = stream.wait_until("the new tree is listened to", |now| now.display_name("a") == Some("Four")).await;
    assert!(took <= AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn mounted_config_map_is_followed() {
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
    let mut stream = EventStream::open(tree, state.path()).await;
    assert_eq!(stream.display_name("a"), Some("One"));
    publish("..2026_02", "Two");
    fs::remove_dir_all(tree.join("..2026_01")).unwrap();
    let took = stream.wait_until("the new version is seen", |now| now.display_name("a") == Some("Two")).await;
    assert!(took <= AT_ONCE, "{took:?}");
}

const READER: Reader<'_> = Reader { namespace: "default", name: "a", file: None };

fn write_secret(path: &Path, value: &str, mode: u32) {
    fs::write(
        path,
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: router}}\nstringData:\n  api-key: {value}\n"),
    )
    .unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn secrets_need_private_files_and_their_changes_are_events() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(tree.path().join("secrets")).unwrap();
    let file = tree.path().join("secrets/router.yaml");
    write_secret(&file, "sesame", 0o644);
    fs::write(tree.path().join("a.yaml"), document("a", "One")).unwrap();
    let provider = tempfile::tempdir().unwrap();
    let policy = provider.path().join("policy.yaml");
    fs::write(&policy, "apiVersion: mai.dev/v1alpha1\nkind: MaiPolicy\nenv: [PATH, 'MAI_TEST_*']\n").unwrap();
    let policy = PolicyFile::new(Some(policy), None);
    let stream = EventStream::open_with(tree.path(), state.path(), policy).await;
    let reference = SecretRef { name: "router".to_owned(), key: Some("api-key".to_owned()) };
    let secret = || stream.directory.secret(&READER, &reference);

    let error = secret().await.unwrap_err();
    assert!(matches!(error, SecretError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains(&format!("chmod 600 {}", file.display())), "{error}");
    stream.wait_for_problem("mode 0644").await;

    let mut changes = stream.directory.secret_changes();
    let mut changed =
        async || tokio::time::timeout(PATIENCE, changes.next()).await.expect("a change of the secret is told");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    changed().await;
    assert_eq!(secret().await.unwrap().expose_secret(), "sesame");
    write_secret(&file, "open", 0o600);
    changed().await;
    assert_eq!(secret().await.unwrap().expose_secret(), "open");

    // A half-written file keeps the value.
    fs::write(&file, "").unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(secret().await.unwrap().expose_secret(), "open");

    for (name, key, expected) in [
        ("router", Some("other"), "Secret router has no key other; it has api-key"),
        ("none", Some("k"), "Secret none is not there"),
        ("env:MAI_TEST_NOT_SET", None, "environment variable MAI_TEST_NOT_SET is not set"),
        ("env:HOME", None, "environment variable HOME of mai is not allowed by the policy; add `HOME` to `env` in"),
    ] {
        let reference = SecretRef { name: name.to_owned(), key: key.map(str::to_owned) };
        let error = stream.directory.secret(&READER, &reference).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let path = SecretRef { name: "env:PATH".to_owned(), key: None };
    assert_eq!(stream.directory.secret(&READER, &path).await.unwrap().expose_secret(), std::env::var("PATH").unwrap());
    let everything = format!("{:?} {:?}", stream.directory, stream.state.problems().await.unwrap());
    assert!(!everything.contains("sesame") && !everything.contains("open\""), "{everything}");
}

#[tokio::test]
async fn copies_of_sync_tools_take_nothing_down() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (mark, shown) in [("", "One"), (".sync-conflict-20260101-120000-ABCDEFG", "Other")] {
        fs::write(tree.path().join(format!("a{mark}.yaml")), document("a", shown)).unwrap();
        write_secret(&tree.path().join(format!("router{mark}.yaml")), &shown.to_lowercase(), 0o600);
    }
    let mut stream = EventStream::open(tree.path(), state.path()).await;
    stream.wait_for_problem("copy that a sync tool made of a conflict").await;
    assert_eq!(stream.display_name("a"), Some("One"));
    let reference = SecretRef { name: "router".to_owned(), key: Some("api-key".to_owned()) };
    assert_eq!(stream.directory.secret(&READER, &reference).await.unwrap().expose_secret(), "one");
    fs::write(tree.path().join("a.yaml"), document("a", "Two")).unwrap();
    stream.wait_until("the edit", |now| now.display_name("a") == Some("Two")).await;
}

#[tokio::test]
async fn encrypted_secret_is_not_used_until_it_is_decrypted() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = tree.path().join("router.yaml");
    write_secret(&file, "'ENC[AES256_GCM,data:p1xY0w==,iv:AAAA,tag:BBBB,type:str]'", 0o644);
    fs::write(tree.path().join("a.yaml"), document("a", "One")).unwrap();
    let stream = EventStream::open(tree.path(), state.path()).await;
    let reference = SecretRef { name: "router".to_owned(), key: Some("api-key".to_owned()) };
    let secret = || stream.directory.secret(&READER, &reference);
    let mut changes = stream.directory.secret_changes();

    let error = secret().await.unwrap_err();
    assert!(matches!(&error, SecretError::Unusable { problem, .. } if problem.contains("`sops -d FILE`")), "{error}");
    stream.wait_for_problem("still encrypted by SOPS").await;

    // The decrypted document may lie beside it.
    let plain = tree.path().join("router.dec.yaml");
    write_secret(&plain, "sesame", 0o600);
    tokio::time::timeout(PATIENCE, changes.next()).await.expect("a change of the secret is told");
    assert_eq!(secret().await.unwrap().expose_secret(), "sesame");

    // A file that is encrypted whole may hold the Secret.
    fs::remove_file(&plain).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(tree.path().join("locked.yaml"), b"\0GITCRYPT\0\xff").unwrap();
    stream.wait_for_problem("still encrypted by git-crypt").await;
    let error = secret().await.unwrap_err().to_string();
    assert!(error.contains("locked.yaml") && error.contains("decrypt it first"), "{error}");
}

#[tokio::test]
async fn state_in_use_is_refused_with_the_pid_of_its_user() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(tree.path().join("a.yaml"), document("a", "One")).unwrap();
    let _first = EventStream::open(tree.path(), state.path()).await;
    let error = mai_operator::state::State::open(state.path()).await.unwrap_err().to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    assert_eq!(fs::metadata(state.path().join("state.db")).unwrap().permissions().mode() & 0o777, 0o600);
}
