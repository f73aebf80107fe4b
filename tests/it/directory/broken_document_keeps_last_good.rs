//! An invalid document affects no other instance, and its own keeps its last good spec.

use std::fs;

use crate::fixtures::event_stream::{EventStream, document};

#[tokio::test]
async fn rule_violation_keeps_last_good_spec_and_is_located() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = tree.path().join("a.yaml");
    fs::write(&file, document("a", "One")).unwrap();
    let mut stream = EventStream::open(tree.path(), state.path()).await;
    let before = stream.objects["a"].clone();
    assert_eq!(before.metadata.generation, Some(1));

    fs::write(&file, document("a", "Two") + "  expose:\n    port: 99999\n").unwrap();
    stream.wait_until("a says what is wrong", |now| now.document_problem("a").is_some()).await;
    assert_eq!(stream.display_name("a"), Some("One"));
    assert_eq!(
        stream.document_problem("a").unwrap(),
        format!("{}:8:5: spec.expose.port: expose.port must be 1 to 65535", file.display())
    );
    assert_eq!(stream.objects["a"].metadata.uid, before.metadata.uid);
    assert_eq!(stream.objects["a"].metadata.generation, Some(1));
    stream.wait_for_problem("a.yaml:8:5: spec.expose.port").await;

    fs::write(&file, document("a", "Two")).unwrap();
    stream.wait_until("a is good again", |now| now.display_name("a") == Some("Two")).await;
    assert_eq!(stream.document_problem("a"), None);
    assert_eq!(stream.objects["a"].metadata.generation, Some(2));
    stream.wait_for_no_problem().await;
}

#[tokio::test]
async fn syntax_error_affects_one_document_across_restarts() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = tree.path().join("both.yaml");
    fs::write(&file, document("a", "One") + "---\n" + &document("b", "One")).unwrap();
    let mut stream = EventStream::open(tree.path(), state.path()).await;

    fs::write(&file, document("a", "Two").replace("name: a", "name: [a") + "---\n" + &document("b", "Two")).unwrap();
    stream.wait_until("b goes on", |now| now.display_name("b") == Some("Two")).await;
    stream.wait_until("a says what is wrong", |now| now.document_problem("a").is_some()).await;
    assert_eq!(stream.display_name("a"), Some("One"));
    assert!(stream.document_problem("a").unwrap().contains("both.yaml:"), "{:?}", stream.document_problem("a"));
    stream.close().await;

    let stream = EventStream::open(tree.path(), state.path()).await;
    assert_eq!(stream.display_name("a"), Some("One"));
    assert!(stream.document_problem("a").unwrap().contains("is not valid YAML"));
    assert_eq!(stream.display_name("b"), Some("Two"));
    assert!(!stream.is_deleted("a"));
}

#[tokio::test]
async fn never_valid_document_is_a_problem_only() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(tree.path().join("a.yaml"), document("a", "One")).unwrap();
    fs::write(tree.path().join("b.yaml"), document("b", "One") + "  sufix: x\n").unwrap();
    let stream = EventStream::open(tree.path(), state.path()).await;
    assert_eq!(stream.objects.keys().collect::<Vec<_>>(), ["a"]);
    stream.wait_for_problem("b.yaml:7:3: spec.sufix: unknown field").await;
    // Another process reads the same from the database.
    let seen = mai_operator::state::State::open_read_only(state.path()).await.unwrap().problems().await.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].instance, Some(("default".to_owned(), "b".to_owned())));
}

#[tokio::test]
async fn duplicate_name_in_two_files_applies_neither() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(tree.path().join("a.yaml"), document("a", "One")).unwrap();
    let mut stream = EventStream::open(tree.path(), state.path()).await;

    fs::write(tree.path().join("copy.yaml"), document("a", "Two")).unwrap();
    stream.wait_until("a says that it is doubled", |now| now.document_problem("a").is_some()).await;
    assert_eq!(stream.display_name("a"), Some("One"));
    let problem = stream.document_problem("a").unwrap();
    assert!(problem.contains("a.yaml:4:3") && problem.contains("copy.yaml:4"), "{problem}");

    fs::remove_file(tree.path().join("a.yaml")).unwrap();
    stream.wait_until("the one that is left is applied", |now| now.display_name("a") == Some("Two")).await;
    assert_eq!(stream.document_problem("a"), None);
}

#[tokio::test]
async fn immutable_field_change_keeps_the_running_spec() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = tree.path().join("a.yaml");
    fs::write(&file, document("a", "One") + "  server:\n    kind: Mai\n").unwrap();
    let mut stream = EventStream::open(tree.path(), state.path()).await;
    fs::write(&file, document("a", "One") + "  server:\n    kind: OpenWebUI\n").unwrap();
    stream.wait_until("a says what is wrong", |now| now.document_problem("a").is_some()).await;
    assert!(stream.document_problem("a").unwrap().contains("server.kind cannot change"));
}
