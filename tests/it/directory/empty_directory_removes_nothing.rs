//! Promise: data outlives everything; an empty, missing, unreadable or half-written directory removes nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use mai_operator::source::Source;

use crate::fixtures::event_stream::{Followed, document};

const LONG_ENOUGH: Duration = Duration::from_secs(3);

async fn two(tree: &Path, state: &Path) -> Followed {
    fs::write(tree.join("a.yaml"), document("a", "One")).unwrap();
    fs::write(tree.join("b.yaml"), document("b", "One")).unwrap();
    Followed::open(tree, state).await
}

#[tokio::test]
async fn an_emptied_directory_removes_nothing_and_says_what_to_do() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut followed = two(tree.path(), state.path()).await;
    fs::remove_file(tree.path().join("a.yaml")).unwrap();
    fs::remove_file(tree.path().join("b.yaml")).unwrap();
    let problem = followed.problem("removes nothing").await;
    assert!(problem.contains("leave one .yaml file there that holds a comment only"), "{problem}");
    followed.stays_silent(LONG_ENOUGH).await;

    // What it says works.
    fs::write(tree.path().join("none.yaml"), "# all clients have left\n").unwrap();
    followed.until("both are to go", |now| now.is_going("a") && now.is_going("b")).await;
}

#[tokio::test]
async fn a_missing_directory_removes_nothing_also_after_a_restart() {
    let (base, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tree = base.path().join("instances");
    fs::create_dir(&tree).unwrap();
    let mut followed = two(&tree, state.path()).await;
    fs::rename(&tree, base.path().join("elsewhere")).unwrap();
    followed.problem("the directory is not there").await;
    followed.stays_silent(Duration::from_secs(1)).await;
    followed.end().await;

    let mut followed = Followed::open(&tree, state.path()).await;
    assert_eq!(followed.shown.len(), 2);
    assert!(!followed.is_going("a") && !followed.is_going("b"));
    fs::rename(base.path().join("elsewhere"), &tree).unwrap();
    fs::write(tree.join("a.yaml"), document("a", "Two")).unwrap();
    let took = followed.until("it is followed again", |now| now.display_name("a") == Some("Two")).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_blank_or_cut_off_file_removes_nothing() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut followed = two(tree.path(), state.path()).await;
    let whole = document("a", "One");
    for length in [0, 6, 15, 30, 50, 60, whole.len() - 15] {
        fs::write(tree.path().join("a.yaml"), &whole[..length]).unwrap();
        followed.until("a says what is wrong", |now| now.document_problem("a").is_some()).await;
        tokio::time::sleep(Duration::from_millis(900)).await;
        fs::write(tree.path().join("a.yaml"), &whole).unwrap();
        followed.until("a is whole again", |now| now.document_problem("a").is_none()).await;
        assert!(!followed.is_going("a"), "cut off after {length} bytes");
        assert_eq!(followed.shown["a"].metadata.generation, Some(1), "cut off after {length} bytes");
    }
}

#[tokio::test]
async fn a_folder_or_file_that_cannot_be_read_keeps_what_was_in_it() {
    let (base, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tree = base.path().join("instances");
    fs::create_dir(&tree).unwrap();
    // Links that lead nowhere cannot be read by anyone, not even by root, who runs this test in a container.
    let real = base.path().join("real");
    fs::create_dir(&real).unwrap();
    fs::write(real.join("a.yaml"), document("a", "One")).unwrap();
    fs::write(base.path().join("b.yaml"), document("b", "One")).unwrap();
    fs::write(tree.join("c.yaml"), document("c", "One")).unwrap();
    symlink(&real, tree.join("folder")).unwrap();
    symlink(base.path().join("b.yaml"), tree.join("b.yaml")).unwrap();
    let mut followed = Followed::open(&tree, state.path()).await;
    assert_eq!(followed.shown.len(), 3);

    fs::rename(&real, base.path().join("away")).unwrap();
    fs::remove_file(base.path().join("b.yaml")).unwrap();
    fs::remove_file(tree.join("c.yaml")).unwrap();
    fs::write(tree.join("d.yaml"), document("d", "One")).unwrap();
    followed.until("c alone is to go", |now| now.is_going("c")).await;
    followed
        .until("a and b say why", |now| now.document_problem("a").is_some() && now.document_problem("b").is_some())
        .await;
    assert!(!followed.is_going("a") && !followed.is_going("b"));
}

#[tokio::test]
async fn one_file_among_others_is_removed_kept_until_released_and_comes_back_as_itself() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut followed = two(tree.path(), state.path()).await;
    let uid = followed.shown["a"].metadata.uid.clone();
    let secret = followed.state.generated_secret(uid.as_deref().unwrap(), "key").await.unwrap();
    fs::remove_file(tree.path().join("a.yaml")).unwrap();
    let took = followed.until("a is to go", |now| now.is_going("a")).await;
    assert!(took >= Duration::from_millis(700), "{took:?} is too quick to believe it");
    assert_eq!(followed.shown["a"].metadata.finalizers.as_deref(), Some(&["mai.dev/teardown".to_owned()][..]));

    followed.directory.release("default", "a").await.unwrap();
    followed.until("a is gone", |now| !now.shown.contains_key("a")).await;
    followed.end().await;

    let mut followed = Followed::open(tree.path(), state.path()).await;
    assert_eq!(followed.shown.keys().collect::<Vec<_>>(), ["b"]);
    fs::write(tree.path().join("a.yaml"), document("a", "Again")).unwrap();
    followed.until("a is back", |now| now.display_name("a") == Some("Again")).await;
    assert_eq!(followed.shown["a"].metadata.uid, uid);
    assert!(!followed.is_going("a"));
    use secrecy::ExposeSecret;
    let again = followed.state.generated_secret(uid.as_deref().unwrap(), "key").await.unwrap();
    assert_eq!(again.expose_secret(), secret.expose_secret());
}

#[tokio::test]
async fn what_was_removed_while_nobody_looked_is_shown_as_going() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    two(tree.path(), state.path()).await.end().await;
    fs::remove_file(tree.path().join("a.yaml")).unwrap();
    let followed = Followed::open(tree.path(), state.path()).await;
    assert!(followed.is_going("a") && !followed.is_going("b"));
}

#[tokio::test]
async fn a_document_that_comes_back_before_its_workload_is_gone_is_not_released() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut followed = two(tree.path(), state.path()).await;
    fs::rename(tree.path().join("a.yaml"), tree.path().join("a.yaml.tmp")).unwrap();
    followed.until("a is to go", |now| now.is_going("a")).await;
    fs::rename(tree.path().join("a.yaml.tmp"), tree.path().join("a.yaml")).unwrap();
    followed.until("a is to stay", |now| !now.is_going("a")).await;
    followed.directory.release("default", "a").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    followed.until("a is still there", |now| now.display_name("a") == Some("One")).await;
    assert!(followed.state.documents().await.unwrap().iter().all(|row| row.released_at.is_none()));
}

#[tokio::test]
async fn a_directory_that_never_was_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let state = mai_operator::state::State::open(state.path()).await.unwrap();
    let outcome = mai_operator::source::directory::Directory::open(Path::new("/nowhere/at/all"), state).await;
    let Err(error) = outcome else { panic!("it was opened") };
    assert_eq!(
        error.to_string(),
        "/nowhere/at/all is not a directory; name the directory that holds the MaiInstance documents"
    );
}
