//! Events of an instance, as `kubectl describe` would show them.

use jiff::{SignedDuration, Timestamp};

use super::{State, StateError, from_millis};
use crate::core::EventKind;

/// Maximal number of events stored per instance.
const MAX_EVENTS: i64 = 200;
/// Time within which the same event is counted instead of listed again.
const REPEAT_WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// An event of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its kind.
    pub kind: EventKind,
    /// Its reason, one word.
    pub reason: String,
    /// Its message, a sentence.
    pub message: String,
    /// Number of times it happened, each within an hour of the last.
    pub count: u32,
    /// Time of the first.
    pub first_seen: Timestamp,
    /// Time of the last.
    pub last_seen: Timestamp,
}

impl State {
    /// Records an event at `now`. The same one within an hour is counted.
    pub async fn record_event(
        &self,
        namespace: &str,
        name: &str,
        kind: EventKind,
        reason: &str,
        message: &str,
        now: Timestamp,
    ) -> Result<(), StateError> {
        let write = async {
            let mut transaction = self.inner.writer.begin().await?;
            let counted = sqlx::query(
                "UPDATE events SET count = count + 1, last_seen = max(last_seen, ?5)
                 WHERE id = (SELECT max(id) FROM events WHERE namespace = ?1 AND name = ?2 AND reason = ?3 AND message = ?4)
                   AND last_seen > ?6 AND kind = ?7",
            )
            .bind(namespace)
            .bind(name)
            .bind(reason)
            .bind(message)
            .bind(now.as_millisecond())
            .bind((now - REPEAT_WINDOW).as_millisecond())
            .bind(kind.as_str())
            .execute(&mut *transaction)
            .await?
            .rows_affected();
            if counted == 0 {
                sqlx::query(
                    "INSERT INTO events (namespace, name, kind, reason, message, count, first_seen, last_seen)
                     VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6)",
                )
                .bind(namespace)
                .bind(name)
                .bind(kind.as_str())
                .bind(reason)
                .bind(message)
                .bind(now.as_millisecond())
                .execute(&mut *transaction)
                .await?;
                sqlx::query(
                    "DELETE FROM events WHERE id IN (
                         SELECT id FROM events WHERE namespace = ?1 AND name = ?2
                         ORDER BY last_seen DESC, id DESC LIMIT -1 OFFSET ?3)",
                )
                .bind(namespace)
                .bind(name)
                .bind(MAX_EVENTS)
                .execute(&mut *transaction)
                .await?;
            }
            transaction.commit().await
        };
        write.await.map_err(|source| self.failed(source))
    }

    /// Returns the newest `limit` events of an instance, newest first.
    pub async fn events(&self, namespace: &str, name: &str, limit: usize) -> Result<Vec<Event>, StateError> {
        let rows: Vec<(String, String, String, i64, i64, i64)> = sqlx::query_as(
            "SELECT kind, reason, message, count, first_seen, last_seen FROM events
             WHERE namespace = ? AND name = ? ORDER BY last_seen DESC, id DESC LIMIT ?",
        )
        .bind(namespace)
        .bind(name)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.inner.readers)
        .await
        .map_err(|source| self.failed(source))?;
        Ok(rows
            .into_iter()
            .map(|(kind, reason, message, count, first_seen, last_seen)| Event {
                kind: if kind == "Warning" { EventKind::Warning } else { EventKind::Normal },
                reason,
                message,
                count: u32::try_from(count).unwrap_or(u32::MAX),
                first_seen: from_millis(first_seen),
                last_seen: from_millis(last_seen),
            })
            .collect())
    }
}
