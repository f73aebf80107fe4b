//! Failures, summed up: those of an account from one network within ten minutes are one entry.
//!
//! The first of them is written at once, the number of the others at the end, when the log is read,
//! and at shutdown. So an attack costs a few rows, however many attempts it has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use mai_listener::subscriber_network;
use parking_lot::Mutex;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::event::{Action, Actor, Event};
use super::record::{Times, record_failures};
use crate::database::{Database, DatabaseError};
use crate::user::UserId;

/// Time that a sum is open for, in milliseconds.
const OPEN_MS: i64 = 10 * 60 * 1000;
/// Most sums that are open at once. Further failures of their kind are one sum without an account
/// and an address.
const MOST_OPEN: usize = 64;

/// A failure to record.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The kind of failure.
    pub action: Action,
    /// Who caused it.
    pub actor: Actor,
    /// The account that somebody tried to get into.
    pub subject: Option<UserId>,
}

/// The properties of failures that are one sum.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    action: &'static str,
    user: Option<UserId>,
    subject: Option<UserId>,
    network: Option<IpAddr>,
}

#[derive(Debug, Clone)]
struct Sum {
    id: String,
    event: Event,
    times: Times,
    /// False when the database has the present number.
    changed: bool,
}

/// Sums up failures. Cloning is cheap; clones count together.
#[derive(Debug, Clone)]
pub struct FailureLog {
    db: Database,
    open: Arc<Mutex<HashMap<Key, Sum>>>,
}

impl FailureLog {
    pub(crate) fn new(db: &Database) -> Self {
        Self { db: db.clone(), open: Arc::default() }
    }

    /// Records a failure.
    pub fn add(&self, failure: Failure) {
        let now = Timestamp::now().as_millisecond();
        let mut written = Vec::new();
        {
            let mut open = self.open.lock();
            let is_open = |sum: &Sum| (0..OPEN_MS).contains(&(now - sum.times.first));
            written.extend(open.extract_if(|_, sum| !is_open(sum)).map(|(_, sum)| sum).filter(|sum| sum.changed));
            let (key, event) = key_and_event(failure, open.len() < MOST_OPEN, &open);
            let sum = open.entry(key).or_insert_with(|| Sum {
                id: Uuid::now_v7().to_string(),
                event,
                times: Times { first: now, last: now, count: 0 },
                changed: false,
            });
            sum.times.count += 1;
            sum.times.last = now;
            sum.changed = sum.times.count > 1;
            if !sum.changed {
                written.push(sum.clone());
            }
        }
        if written.is_empty() {
            return;
        }
        self.db.write_later(move |connection| Box::pin(async move { write(connection, &written).await }));
    }

    /// Writes the numbers of the open sums.
    pub(crate) async fn flush(&self) -> Result<(), DatabaseError> {
        let mut changed = Vec::new();
        for sum in self.open.lock().values_mut().filter(|sum| sum.changed) {
            changed.push(sum.clone());
            sum.changed = false;
        }
        if changed.is_empty() {
            return Ok(());
        }
        self.db.write(move |connection| Box::pin(async move { write(connection, &changed).await })).await
    }
}

async fn write(connection: &mut SqliteConnection, sums: &[Sum]) -> Result<(), DatabaseError> {
    for sum in sums {
        record_failures(connection, &sum.event, sum.times, &sum.id).await?;
    }
    Ok(())
}

/// Returns what a failure is summed up by. Where there are too many sums, it is its kind alone.
fn key_and_event(failure: Failure, has_room: bool, open: &HashMap<Key, Sum>) -> (Key, Event) {
    let Failure { action, actor, subject } = failure;
    let network = actor.address.map(subscriber_network);
    let key = Key { action: action.as_str(), user: actor.user.clone(), subject: subject.clone(), network };
    if has_room || open.contains_key(&key) {
        let event = Event::new(action, actor);
        let event = match &subject {
            Some(subject) => event.of(subject),
            None => event,
        };
        return (key, event);
    }
    let key = Key { action: action.as_str(), user: None, subject: None, network: None };
    (key, Event::new(action, Actor::default()).with("many", true))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn failures() -> (tempfile::TempDir, Database, FailureLog) {
        let directory = tempfile::tempdir().unwrap();
        let db = Database::open(directory.path().join("mai.db")).await.unwrap();
        let failures = FailureLog::new(&db);
        (directory, db, failures)
    }

    fn failed(failures: &FailureLog, subject: &str, address: &str) {
        let actor = Actor { address: Some(address.parse().unwrap()), ..Actor::default() };
        failures.add(Failure { action: Action::SignInFailed, actor, subject: Some(UserId::from(subject)) });
    }

    async fn rows(db: &Database) -> Vec<(Option<String>, Option<String>, i64)> {
        db.flush().await.unwrap();
        sqlx::query_as("SELECT subject_id, address, count FROM audit ORDER BY id").fetch_all(db.reader()).await.unwrap()
    }

    #[tokio::test]
    async fn repeated_failures_are_one_row() {
        let (_directory, db, failures) = failures().await;
        for _ in 0..5 {
            failed(&failures, "ann", "2001:db8::1");
        }
        failed(&failures, "ann", "2001:db8::2");
        failed(&failures, "bob", "2001:db8::1");
        let row = |subject: &str, count| (Some(subject.to_owned()), Some("2001:db8::1".to_owned()), count);
        assert_eq!(rows(&db).await, [row("ann", 1), row("bob", 1)], "the first of each is there at once");
        failures.flush().await.unwrap();
        failures.flush().await.unwrap();
        assert_eq!(rows(&db).await, [row("ann", 6), row("bob", 1)]);
    }

    #[tokio::test]
    async fn failures_from_everywhere_are_few_rows() {
        let (_directory, db, failures) = failures().await;
        for n in 0..1000 {
            failed(&failures, "ann", &format!("10.0.{}.{}", n / 250, n % 250));
        }
        failures.flush().await.unwrap();
        let rows = rows(&db).await;
        assert_eq!(rows.len(), MOST_OPEN + 1);
        assert_eq!(rows.last().unwrap(), &(None, None, 1000 - i64::try_from(MOST_OPEN).unwrap()));
    }
}
