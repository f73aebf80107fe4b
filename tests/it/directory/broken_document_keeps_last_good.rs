//! Promise: one bad document neither stops the others nor its own instance, which keeps its last good spec.

use std::fs;

use crate::fixtures::event_stream::{Followed, document};

#[tokio::test]
async fn a_broken_rule_keeps_the_last_good_spec_and_says_where() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = tree.path().join("a.yaml");
    fs::write(&file, document("a", "One")).unwrap();
    let mut followed = Followed::open(tree.path(), state.path()).await;
    let before = followed.shown["a"].clone();
    assert_eq!(before.metadata.generation, Some(1));

    fs::write(&file, document("a", "Two") + "  expose:\n    port: 99999\n").unwrap();
    followed.until("a says what is wrong", |now| now.document_problem("a").is_some()).await;
    assert_eq!(followed.display_name("a"), Some("One"));
    assert_eq!(
        followed.document_problem("a").unwrap(),
        format!("{}:8:5: spec.expose.port: expose.port must be 1 to 65535", file.display())
    );
    assert_eq!(followed.shown["a"].metadata.uid, before.metadata.uid);
    assert_eq!(followed.shown["a"].metadata.generation, Some(1));
    followed.problem("a.yaml:8:5: spec.expose.port").await;

    fs::write(&file, document("a", "Two")).unwrap();
    followed.until("a is good again", |now| now.display_name("a") == Some("Two")).await;
    assert_eq!(followed.document_problem("a"), None);
    assert_eq!(followed.shown["a"].metadata.generation, Some(2));
    followed.no_problem().await;
}

#[tokio::test]
async fn a_syntax_error_hides_no_neighbour_and_outlives_a_restart() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = tree.path().join("both.yaml");
    fs::write(&file, document("a", "One") + "---\n" + &document("b", "One")).unwrap();
    let mut followed = Followed::open(tree.path(), state.path()).await;

    fs::write(&file, document("a", "Two").replace("name: a", "name: [a") + "---\n" + &document("b", "Two")).unwrap();
    followed.until("b goes on", |now| now.display_name("b") == Some("Two")).await;
    followed.until("a says what is wrong", |now| now.document_problem("a").is_some()).await;
    assert_eq!(followed.display_name("a"), Some("One"));
    assert!(followed.document_problem("a").unwrap().contains("both.yaml:"), "{:?}", followed.document_problem("a"));
    followed.end().await;

    let followed = Followed::open(tree.path(), state.path()).await;
    assert_eq!(followed.display_name("a"), Some("One"));
    assert!(followed.document_problem("a").unwrap().contains("is not valid YAML"));
    assert_eq!(followed.display_name("b"), Some("Two"));
    assert!(!followed.is_going("a"));
}

#[tokio::test]
async fn a_document_that_was_never_good_is_a_problem_only() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(tree.path().join("a.yaml"), document("a", "One")).unwrap();
    fs::write(tree.path().join("b.yaml"), document("b", "One") + "  sufix: x\n").unwrap();
    let followed = Followed::open(tree.path(), state.path()).await;
    assert_eq!(followed.shown.keys().collect::<Vec<_>>(), ["a"]);
    followed.problem("b.yaml:7:3: spec.sufix: unknown field").await;
    // Another process sees the same.
    let seen = mai_operator::state::State::open_read_only(state.path()).await.unwrap().problems().await.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].instance, Some(("default".to_owned(), "b".to_owned())));
}

#[tokio::test]
async fn one_name_in_two_files_applies_neither() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(tree.path().join("a.yaml"), document("a", "One")).unwrap();
    let mut followed = Followed::open(tree.path(), state.path()).await;

    fs::write(tree.path().join("copy.yaml"), document("a", "Two")).unwrap();
    followed.until("a says that it is doubled", |now| now.document_problem("a").is_some()).await;
    assert_eq!(followed.display_name("a"), Some("One"));
    let problem = followed.document_problem("a").unwrap();
    assert!(problem.contains("a.yaml:4:3") && problem.contains("copy.yaml:4"), "{problem}");

    fs::remove_file(tree.path().join("a.yaml")).unwrap();
    followed.until("the one that is left is applied", |now| now.display_name("a") == Some("Two")).await;
    assert_eq!(followed.document_problem("a"), None);
}

#[tokio::test]
async fn what_may_not_change_is_refused_against_what_runs() {
    let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = tree.path().join("a.yaml");
    fs::write(&file, document("a", "One") + "  server:\n    kind: Mai\n").unwrap();
    let mut followed = Followed::open(tree.path(), state.path()).await;
    fs::write(&file, document("a", "One") + "  server:\n    kind: OpenWebUI\n").unwrap();
    followed.until("a says what is wrong", |now| now.document_problem("a").is_some()).await;
    assert!(followed.document_problem("a").unwrap().contains("server.kind cannot change"));
}
