//! The state database survives a restart, and is not written without a change.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use mai_operator::api::MaiInstanceStatus;
use mai_operator::core::EventKind;
use mai_operator::state::{Problem, State, StateError};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::fixtures::lock::wait_unlocked;

fn document(display_name: &str) -> Value {
    json!({"kind": "MaiInstance", "metadata": {"name": "a"}, "spec": {"displayName": display_name}})
}

/// Detects commits by other connections to the database.
struct CommitDetector(sqlx::SqlitePool);

impl CommitDetector {
    async fn open(directory: &Path) -> Self {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(directory.join("state.db"));
        Self(sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap())
    }

    /// Returns a number that changes with each commit of another connection.
    async fn version(&self) -> i64 {
        sqlx::query_scalar("PRAGMA data_version").fetch_one(&self.0).await.unwrap()
    }
}

#[tokio::test]
async fn instance_identity_survives_edits_deletion_and_restart() {
    let directory = tempfile::tempdir().unwrap();
    let state = State::open(directory.path()).await.unwrap();
    let first = state.accept("default", "a", &document("One"), Some("a.yaml")).await.unwrap();
    assert_eq!((first.generation, first.resource_version), (1, 1));
    let second = state.accept("default", "a", &document("Two"), Some("a.yaml")).await.unwrap();
    assert_eq!((second.generation, &second.uid), (2, &first.uid));
    let moved = state.accept("default", "a", &document("Two"), Some("b.yaml")).await.unwrap();
    assert_eq!((moved.generation, moved.resource_version), (2, 3));

    let kept = state.release("default", "a").await.unwrap();
    assert_eq!(kept.released_at, None, "what was not deleted is not released");
    assert!(state.mark_deleted("default", "a").await.unwrap().deleted_at.is_some());
    assert!(state.release("default", "a").await.unwrap().released_at.is_some());
    state.close().await;
    drop(state);

    wait_unlocked(&directory.path().join("mai.lock")).await;
    let state = State::open(directory.path()).await.unwrap();
    assert!(state.documents().await.unwrap()[0].released_at.is_some());
    let back = state.accept("default", "a", &document("Two"), Some("b.yaml")).await.unwrap();
    assert_eq!((back.uid, back.generation, back.deleted_at, back.released_at), (first.uid, 2, None, None));
    let unknown = state.mark_deleted("default", "b").await.unwrap_err();
    assert_eq!(unknown.to_string(), "instance default/b is not known to the state database");
}

#[tokio::test]
async fn unchanged_values_write_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let state = State::open(directory.path()).await.unwrap();
    let status = MaiInstanceStatus { restarts: 2, ..MaiInstanceStatus::default() };
    let memory = BTreeMap::from([("since", 5)]);
    let problem = Problem {
        file: "a.yaml".to_owned(),
        line: 3,
        column: 1,
        document: Some(0),
        instance: Some(("default".to_owned(), "a".to_owned())),
        field: "spec".to_owned(),
        message: "is wrong".to_owned(),
        refused: false,
    };
    let write_all = async || {
        state.accept("default", "a", &document("One"), Some("a.yaml")).await.unwrap();
        state.keep_last_good("default", "b", "x", false).await.unwrap_err();
        state.put_status("u", &status).await.unwrap();
        state.put_memory("u", &memory).await.unwrap();
        state.put_problems(std::slice::from_ref(&problem)).await.unwrap();
        state.generated_secret("u", "key").await.unwrap();
    };
    write_all().await;
    let witness = CommitDetector::open(directory.path()).await;
    let before = witness.version().await;
    write_all().await;
    assert_eq!(witness.version().await, before);
    state.put_memory("u", &BTreeMap::from([("since", 6)])).await.unwrap();
    assert_ne!(witness.version().await, before, "something new is written");

    let other = State::open_read_only(directory.path()).await.unwrap();
    assert_eq!(other.status("u").await.unwrap(), Some(status));
    assert_eq!(other.problems().await.unwrap(), [problem]);
    assert_eq!(other.memory::<BTreeMap<String, i32>>("u").await.unwrap()["since"], 6);
    assert_eq!(other.memory::<BTreeMap<String, i32>>("none").await.unwrap(), BTreeMap::new());
    assert!(matches!(other.put_status("v", &MaiInstanceStatus::default()).await, Err(StateError::Database { .. })));
}

#[tokio::test]
async fn secret_is_generated_once() {
    let directory = tempfile::tempdir().unwrap();
    let state = State::open(directory.path()).await.unwrap();
    let (a, b) = tokio::join!(state.generated_secret("u", "key"), state.generated_secret("u", "key"));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.expose_secret(), b.expose_secret());
    assert_eq!(a.expose_secret().len(), 64);
    assert_ne!(state.generated_secret("u", "other").await.unwrap().expose_secret(), a.expose_secret());
    assert_ne!(state.generated_secret("v", "key").await.unwrap().expose_secret(), a.expose_secret());
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    assert_eq!(state.generated_secret("u", "key").await.unwrap().expose_secret(), a.expose_secret());
}

#[tokio::test]
async fn events_are_counted_and_limited() {
    let directory = tempfile::tempdir().unwrap();
    let state = State::open(directory.path()).await.unwrap();
    let start: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
    let at = |minutes: i64| start + SignedDuration::from_mins(minutes);
    for minutes in [0, 30, 80] {
        state.record_event("default", "a", EventKind::Warning, "Unhealthy", "no answer", at(minutes)).await.unwrap();
    }
    state.record_event("default", "a", EventKind::Warning, "Unhealthy", "no answer", at(200)).await.unwrap();
    state.record_event("default", "b", EventKind::Normal, "Ready", "answers", at(0)).await.unwrap();
    let events = state.events("default", "a", 10).await.unwrap();
    let counts: Vec<_> = events.iter().map(|event| (event.count, event.first_seen, event.last_seen)).collect();
    assert_eq!(counts, [(1, at(200), at(200)), (3, at(0), at(80))]);
    assert_eq!(events[0].kind, EventKind::Warning);

    for minute in 0..250 {
        state
            .record_event("default", "a", EventKind::Normal, "Ready", &minute.to_string(), at(300 + minute))
            .await
            .unwrap();
    }
    let events = state.events("default", "a", 1000).await.unwrap();
    assert_eq!((events.len(), events[0].message.as_str()), (200, "249"));
    assert_eq!(state.events("default", "b", 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn missing_state_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let error = State::open_read_only(directory.path()).await.unwrap_err().to_string();
    assert!(error.starts_with("there is no state in "), "{error}");
}
