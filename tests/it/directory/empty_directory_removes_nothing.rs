//! Data is never removed by accident: an empty, missing, unreadable or half-written directory
//! removes nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use mai_operator::api::PlatformKind;
use mai_operator::source::Source;

use crate::fixtures::event_stream::{EventStream, document};

const LONG_ENOUGH: Duration = Duration::from_secs(3);

async fn two_documents(tree: &Path, state: &Path) -> EventStream {
    fs::write(tree.join("a.yaml"), document("a", "One")).unwrap();
    fs::write(tree.join("b.yaml"), document("b", "One")).unwrap();
    EventStream::open(tree, state).await
}

#[tokio::test]
async fn emptied_directory_removes_nothing_and_names_the_remedy() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut stream = two_documents(tree.path(), state.path()).await;
    fs::remove_file(tree.path().join("a.yaml")).unwrap();
    fs::remove_file(tree.path().join("b.yaml")).unwrap();
    let problem = stream.wait_for_problem("removes nothing").await;
    assert!(problem.contains("leave one .yaml file there that holds a comment only"), "{problem}");
    stream.assert_silent(LONG_ENOUGH).await;

    // The remedy in the message works.
    fs::write(tree.path().join("none.yaml"), "# all clients have left\n").unwrap();
    stream.wait_until("both are to go", |now| now.is_deleted("a") && now.is_deleted("b")).await;
}

#[tokio::test]
async fn missing_directory_removes_nothing_across_restarts() {
    let (base, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tree = base.path().join("instances");
    fs::create_dir(&tree).unwrap();
    let mut stream = two_documents(&tree, state.path()).await;
    fs::rename(&tree, base.path().join("elsewhere")).unwrap();
    stream.wait_for_problem("the directory is not there").await;
    stream.assert_silent(Duration::from_secs(1)).await;
    stream.close().await;

    let mut stream = EventStream::open(&tree, state.path()).await;
    assert_eq!(stream.objects.len(), 2);
    assert!(!stream.is_deleted("a") && !stream.is_deleted("b"));
    fs::rename(base.path().join("elsewhere"), &tree).unwrap();
    fs::write(tree.join("a.yaml"), document("a", "Two")).unwrap();
    stream.wait_until("it is followed again", |now| now.display_name("a") == Some("Two")).await;
}

#[tokio::test]
async fn blank_or_truncated_file_removes_nothing() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = |length: usize| format!("a{length:03}");
    let whole = |length: usize| document(&name(length), "One");
    let file = |length: usize| tree.path().join(format!("{}.yaml", name(length)));
    let lengths = [0, 6, 15, 30, 50, 60, whole(0).len() - 15];
    for length in lengths {
        fs::write(file(length), whole(length)).unwrap();
    }
    let mut stream = two_documents(tree.path(), state.path()).await;
    for length in lengths {
        fs::write(file(length), &whole(length)[..length]).unwrap();
    }
    let all = |now: &EventStream, is: fn(Option<&str>) -> bool| {
        lengths.iter().all(|length| is(now.document_problem(&name(*length))))
    };
    stream.wait_until("each says what is wrong", |now| all(now, |problem| problem.is_some())).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    for length in lengths {
        fs::write(file(length), whole(length)).unwrap();
    }
    stream.wait_until("each is whole again", |now| all(now, |problem| problem.is_none())).await;
    for length in lengths {
        assert!(!stream.is_deleted(&name(length)), "cut off after {length} bytes");
        let generation = stream.objects[&name(length)].metadata.generation;
        assert_eq!(generation, Some(1), "cut off after {length} bytes");
    }
}

#[tokio::test]
async fn unreadable_file_or_folder_keeps_its_documents() {
    let (base, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tree = base.path().join("instances");
    fs::create_dir(&tree).unwrap();
    // A dangling link cannot be read even by root, which the tests run as in a container.
    let real = base.path().join("real");
    fs::create_dir(&real).unwrap();
    fs::write(real.join("a.yaml"), document("a", "One")).unwrap();
    fs::write(base.path().join("b.yaml"), document("b", "One")).unwrap();
    fs::write(tree.join("c.yaml"), document("c", "One")).unwrap();
    symlink(&real, tree.join("folder")).unwrap();
    symlink(base.path().join("b.yaml"), tree.join("b.yaml")).unwrap();
    let mut stream = EventStream::open(&tree, state.path()).await;
    assert_eq!(stream.objects.len(), 3);

    fs::rename(&real, base.path().join("away")).unwrap();
    fs::remove_file(base.path().join("b.yaml")).unwrap();
    fs::remove_file(tree.join("c.yaml")).unwrap();
    fs::write(tree.join("d.yaml"), document("d", "One")).unwrap();
    stream.wait_until("c alone is to go", |now| now.is_deleted("c")).await;
    stream
        .wait_until("a and b say why", |now| now.document_problem("a").is_some() && now.document_problem("b").is_some())
        .await;
    assert!(!stream.is_deleted("a") && !stream.is_deleted("b"));
}

#[tokio::test]
async fn removed_file_is_kept_until_released_and_keeps_its_uid() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut stream = two_documents(tree.path(), state.path()).await;
    let uid = stream.objects["a"].metadata.uid.clone();
    let secret = stream.state.generated_secret(uid.as_deref().unwrap(), "key").await.unwrap();
    let removed = Instant::now();
    fs::remove_file(tree.path().join("a.yaml")).unwrap();
    stream.wait_until("a is to go", |now| now.is_deleted("a")).await;
    assert!(removed.elapsed() >= Duration::from_millis(700), "{:?} is too quick to believe it", removed.elapsed());
    assert_eq!(stream.objects["a"].metadata.finalizers.as_deref(), Some(&["mai.dev/teardown".to_owned()][..]));

    stream.directory.remove_finalizer("default", "a").await.unwrap();
    stream.wait_until("a is gone", |now| !now.objects.contains_key("a")).await;
    stream.close().await;

    let mut stream = EventStream::open(tree.path(), state.path()).await;
    assert_eq!(stream.objects.keys().collect::<Vec<_>>(), ["b"]);
    fs::write(tree.path().join("a.yaml"), document("a", "Again")).unwrap();
    stream.wait_until("a is back", |now| now.display_name("a") == Some("Again")).await;
    assert_eq!(stream.objects["a"].metadata.uid, uid);
    assert!(!stream.is_deleted("a"));
    use secrecy::ExposeSecret;
    let again = stream.state.generated_secret(uid.as_deref().unwrap(), "key").await.unwrap();
    assert_eq!(again.expose_secret(), secret.expose_secret());
}

#[tokio::test]
async fn file_removed_while_stopped_is_shown_as_deleted() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    two_documents(tree.path(), state.path()).await.close().await;
    fs::remove_file(tree.path().join("a.yaml")).unwrap();
    let stream = EventStream::open(tree.path(), state.path()).await;
    assert!(stream.is_deleted("a") && !stream.is_deleted("b"));
}

#[tokio::test]
async fn document_restored_before_release_is_not_released() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut stream = two_documents(tree.path(), state.path()).await;
    fs::rename(tree.path().join("a.yaml"), tree.path().join("a.yaml.tmp")).unwrap();
    stream.wait_until("a is to go", |now| now.is_deleted("a")).await;
    fs::rename(tree.path().join("a.yaml.tmp"), tree.path().join("a.yaml")).unwrap();
    stream.wait_until("a is to stay", |now| !now.is_deleted("a")).await;
    stream.directory.remove_finalizer("default", "a").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    stream.wait_until("a is still there", |now| now.display_name("a") == Some("One")).await;
    assert!(stream.state.documents().await.unwrap().iter().all(|row| row.released_at.is_none()));
}

#[tokio::test]
async fn nonexistent_directory_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let state = mai_operator::state::State::open(state.path()).await.unwrap();
    let policy = mai_operator::source::policy::PolicyFile::new(None, None);
    let path = Path::new("/nowhere/at/all");
    let outcome = mai_operator::source::directory::Directory::open(path, state, PlatformKind::Process, policy).await;
    let Err(error) = outcome else { panic!("it was opened") };
    assert_eq!(
        error.to_string(),
        "/nowhere/at/all is not a directory; name the directory that holds the MaiInstance documents"
    );
}
