//! Writes events, and drops the oldest.

use jiff::{SignedDuration, Timestamp};
use sqlx::SqliteConnection;

use super::event::{Credential, Event};
use crate::database::DatabaseError;
use crate::user::UserId;

/// Days that an entry is kept.
const DAYS: i64 = 365;
/// Most entries of one account, of strangers, or of the server. Nobody pushes out what others did.
const MOST_OF_ONE: i64 = 2_000;
/// Most entries in total.
const MOST: i64 = 50_000;

/// The entries that strangers cause.
const STRANGERS: &str = "strangers";
/// The entries that the server causes.
const SERVER: &str = "server";

/// Records an event in the transaction of what it tells.
pub(crate) async fn record(connection: &mut SqliteConnection, event: Event) -> Result<(), DatabaseError> {
    let kept_with = kept_with(event.actor.user.as_ref(), SERVER);
    let now = Timestamp::now().as_millisecond();
    insert(connection, &event, &kept_with, Times { first: now, last: now, count: 1 }, None).await
}

/// The times of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) count: u64,
}

/// Records failures of strangers, or of the account that they were made in. A later call with the
/// same `sum` replaces the times.
pub(super) async fn record_failures(
    connection: &mut SqliteConnection,
    event: &Event,
    times: Times,
    sum: &str,
) -> Result<(), DatabaseError> {
    let kept_with = kept_with(event.actor.user.as_ref(), STRANGERS);
    insert(connection, event, &kept_with, times, Some(sum)).await
}

fn kept_with(user: Option<&UserId>, otherwise: &str) -> String {
    user.map_or(otherwise, UserId::as_str).to_owned()
}

async fn insert(
    connection: &mut SqliteConnection,
    event: &Event,
    kept_with: &str,
    times: Times,
    sum: Option<&str>,
) -> Result<(), DatabaseError> {
    let Event { action, actor, subject, details } = event;
    let (session, api_key) = match &actor.credential {
        Some(Credential::Session(id)) => (Some(id.as_str()), None),
        Some(Credential::ApiKey(id)) => (None, Some(&**id)),
        None => (None, None),
    };
    let details = serde_json::to_string(details).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(
        "INSERT INTO audit (at, last_at, count, action, user_id, subject_id, address, session, api_key_id, details,
                            kept_with, sum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (sum) DO UPDATE SET
             last_at = max(last_at, excluded.last_at), count = max(count, excluded.count)",
    )
    .bind(times.first)
    .bind(times.last)
    .bind(i64::try_from(times.count).unwrap_or(i64::MAX))
    .bind(action.as_str())
    .bind(actor.user.as_ref().map(UserId::as_str))
    .bind(subject.as_ref().map(UserId::as_str))
    .bind(actor.address.map(|address| address.to_string()))
    .bind(session)
    .bind(api_key)
    .bind(details)
    .bind(kept_with)
    .bind(sum)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM audit WHERE kept_with = ?1 AND id <=
         (SELECT id FROM audit WHERE kept_with = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(kept_with)
    .bind(MOST_OF_ONE)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?")
        .bind(MOST)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM audit WHERE last_at < ?").bind(oldest()).execute(connection).await?;
    Ok(())
}

/// Returns the time in milliseconds before which entries are no longer kept.
pub(super) fn oldest() -> i64 {
    (Timestamp::now() - SignedDuration::from_hours(24 * DAYS)).as_millisecond()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::event::{Action, Actor};
    use super::*;
    use crate::database::Database;

    async fn database() -> (tempfile::TempDir, Database) {
        let directory = tempfile::tempdir().unwrap();
        let db = Database::open(directory.path().join("mai.db")).await.unwrap();
        (directory, db)
    }

    async fn record_many(db: &Database, user: &str, number: i64) {
        let actor = Actor::account(UserId::from(user), None);
        db.write(move |connection| {
            Box::pin(async move {
                for _ in 0..number {
                    record(connection, Event::new(Action::KeyCreated, actor.clone())).await?;
                }
                Ok(())
            })
        })
        .await
        .unwrap();
    }

    async fn number(db: &Database, user: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM audit WHERE user_id = ?")
            .bind(user)
            .fetch_one(db.reader())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn entries_of_one_account_push_out_no_others() {
        let (_directory, db) = database().await;
        record_many(&db, "ann", 3).await;
        record_many(&db, "bob", MOST_OF_ONE + 5).await;
        assert_eq!((number(&db, "ann").await, number(&db, "bob").await), (3, MOST_OF_ONE));
    }

    #[tokio::test]
    async fn old_entries_are_removed_with_the_next() {
        let (_directory, db) = database().await;
        record_many(&db, "ann", 2).await;
        db.write(|connection| {
            Box::pin(async move {
                sqlx::query("UPDATE audit SET last_at = ? WHERE id = 1").bind(oldest() - 1).execute(connection).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
        record_many(&db, "bob", 1).await;
        assert_eq!((number(&db, "ann").await, number(&db, "bob").await), (1, 1));
    }
}
