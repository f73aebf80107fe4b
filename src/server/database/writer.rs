//! The one task that writes: jobs in the order they came, each in its own transaction; rows of a kind in one statement.

use std::{fmt, time::Duration};

use futures::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    Batch, DatabaseError,
    batch::{Gather, Rows},
    transaction,
};

/// A write of its own, run inside the writer's task.
type Job = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, ()> + Send>;

/// How many messages are taken off the queue at once, and how many rows end a linger early.
const AT_ONCE: usize = 512;
/// How long rows which the database refused wait for the next try.
const RETRY: Duration = Duration::from_secs(1);

enum Message {
    Job(Job),
    Row(Box<dyn Gather>),
    Close(oneshot::Sender<()>),
}

/// The sending end of the writer's queue.
#[derive(Clone)]
pub(super) struct Writer {
    /// Unbounded, because `Drop` can't wait; bounded in practice by the requests in flight.
    queue: mpsc::UnboundedSender<Message>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (queue, messages) = mpsc::unbounded_channel();
        tokio::spawn(Task { connection, messages, gathered: Vec::new(), retry_at: None }.run());
        Self { queue }
    }

    pub(super) async fn write<T, F>(&self, job: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, DatabaseError>> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            Box::pin(async move {
                // Nobody to hear the outcome means that the caller went away, which is no reason not to write.
                answer.send(in_transaction(connection, job).await).ok();
            })
        });
        self.queue.send(Message::Job(job)).map_err(|_| DatabaseError::Closed)?;
        outcome.await.map_err(|_| DatabaseError::Closed)?
    }

    pub(super) fn write_later<F>(&self, job: F)
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>> + Send + 'static,
    {
        let job: Job = Box::new(move |connection| {
            Box::pin(async move {
                if let Err(error) = in_transaction(connection, job).await {
                    tracing::warn!(%error, "a background write failed");
                }
            })
        });
        self.queue.send(Message::Job(job)).ok();
    }

    pub(super) fn enqueue<B: Batch>(&self, row: B) {
        if self.queue.send(Message::Row(Box::new(Rows::of(row)))).is_err() {
            tracing::error!(kind = std::any::type_name::<B>(), "a row came after the database was closed and is lost");
        }
    }

    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Message::Close(done)).is_ok() {
            closed.await.ok();
        }
    }
}

async fn in_transaction<T, F>(connection: &mut SqliteConnection, job: F) -> Result<T, DatabaseError>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, DatabaseError>>,
{
    transaction::begin(connection).await?;
    let outcome = job(connection).await;
    transaction::end(connection, outcome).await
}

struct Task {
    connection: SqliteConnection,
    messages: mpsc::UnboundedReceiver<Message>,
    /// Rows waiting to be written, one entry a kind.
    gathered: Vec<Box<dyn Gather>>,
    /// Set while the database refuses the gathered rows.
    retry_at: Option<Instant>,
}

impl Task {
    async fn run(mut self) {
        let mut buffer = Vec::new();
        // When the gathered rows have to be written at the latest.
        let mut due: Option<Instant> = None;
        loop {
            match due {
                None => {
                    if self.messages.recv_many(&mut buffer, AT_ONCE).await == 0 {
                        break;
                    }
                }
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep_until(at) => {}
                        taken = self.messages.recv_many(&mut buffer, AT_ONCE) => if taken == 0 { break },
                    }
                }
            }
            for message in buffer.drain(..) {
                match message {
                    Message::Row(rows) => self.gather(rows),
                    Message::Job(job) => {
                        // Rows queued before a job are written before it, so that it can read them.
                        self.write_gathered().await;
                        job(&mut self.connection).await;
                    }
                    Message::Close(done) => {
                        self.close().await;
                        done.send(()).ok();
                        return;
                    }
                }
            }
            due = self.due(due);
            if due.is_some_and(|at| at <= Instant::now()) {
                self.write_gathered().await;
                due = self.retry_at;
            }
        }
        self.close().await;
    }

    /// When the rows gathered by now have to be written: at the former time, or as soon as the least patient kind wants.
    fn due(&self, former: Option<Instant>) -> Option<Instant> {
        let now = Instant::now();
        if let Some(retry_at) = self.retry_at {
            return Some(retry_at);
        }
        if self.gathered.iter().map(|rows| rows.len()).sum::<usize>() >= AT_ONCE {
            return Some(now);
        }
        let linger = self.gathered.iter().map(|rows| rows.linger()).min()?;
        Some(former.map_or(now + linger, |former| former.min(now + linger)))
    }

    fn gather(&mut self, rows: Box<dyn Gather>) {
        match self.gathered.iter_mut().find(|gathered| gathered.kind() == rows.kind()) {
            Some(gathered) => gathered.take_in(rows.into_any()),
            None => self.gathered.push(rows),
        }
    }

    async fn write_gathered(&mut self) {
        if self.retry_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        self.retry_at = None;
        let mut kept = Vec::new();
        for mut rows in std::mem::take(&mut self.gathered) {
            if let Err(error) = rows.write(&mut self.connection).await {
                tracing::error!(%error, kind = rows.name(), rows = rows.len(), "rows could not be written; trying again");
                rows.write_singly(&mut self.connection).await;
                if rows.len() > 0 {
                    kept.push(rows);
                }
            }
        }
        if !kept.is_empty() {
            self.retry_at = Some(Instant::now() + RETRY);
        }
        self.gathered = kept;
    }

    async fn close(mut self) {
        self.retry_at = None;
        self.write_gathered().await;
        for rows in &self.gathered {
            tracing::error!(
                kind = rows.name(),
                rows = rows.len(),
                "the database failed to the end; these rows are lost"
            );
        }
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.connection).await {
            tracing::warn!(%error, "the write-ahead log could not be folded into the database; the next start will do it");
        }
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::database::Database;

    /// A setting, written in batches; the number of rows in each is noted under the key `batches`.
    struct Setting(&'static str, String);

    impl Batch for Setting {
        const LINGER: Duration = Duration::from_millis(50);

        fn write<'c>(
            rows: &'c [Self],
            connection: &'c mut SqliteConnection,
        ) -> BoxFuture<'c, Result<(), DatabaseError>> {
            Box::pin(async move {
                for Setting(key, value) in rows {
                    sqlx::query(
                        "INSERT INTO setting VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    )
                    .bind(key)
                    // What stands for NULL breaks the schema.
                    .bind((value != "impossible").then_some(value))
                    .execute(&mut *connection)
                    .await?;
                }
                sqlx::query(
                    "INSERT INTO setting VALUES ('batches', ?1) ON CONFLICT (key) DO UPDATE SET value = value || ' ' || ?1",
                )
                .bind(rows.len().to_string())
                .execute(connection)
                .await?;
                Ok(())
            })
        }
    }

    async fn database() -> (tempfile::TempDir, Database) {
        let directory = tempfile::tempdir().unwrap();
        let db = Database::open(directory.path().join("mai.db")).await.unwrap();
        (directory, db)
    }

    async fn setting(db: &Database, key: &str) -> Option<String> {
        sqlx::query_scalar("SELECT value FROM setting WHERE key = ?")
            .bind(key)
            .fetch_optional(db.reader())
            .await
            .unwrap()
    }

    async fn put(db: &Database, key: &'static str, then_fail: bool) -> Result<(), DatabaseError> {
        db.write(move |connection| {
            Box::pin(async move {
                sqlx::query("INSERT INTO setting VALUES (?, 'x')").bind(key).execute(&mut *connection).await?;
                if then_fail {
                    sqlx::query("INSERT INTO nowhere VALUES (1)").execute(connection).await?;
                }
                Ok(())
            })
        })
        .await
    }

    #[tokio::test]
    async fn a_failing_job_is_rolled_back_and_fails_no_other() {
        let (_directory, db) = database().await;
        let (first, second, third) =
            tokio::join!(put(&db, "first", false), put(&db, "second", true), put(&db, "third", false));
        assert!(first.is_ok() && third.is_ok());
        assert!(second.unwrap_err().to_string().contains("nowhere"));
        assert!(setting(&db, "first").await.is_some() && setting(&db, "third").await.is_some());
        assert!(setting(&db, "second").await.is_none());
    }

    #[tokio::test]
    async fn rows_wait_for_company_and_are_written_before_a_later_job() {
        let (_directory, db) = database().await;
        for n in 0..3 {
            db.enqueue(Setting("n", n.to_string()));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(setting(&db, "n").await, None);
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(setting(&db, "batches").await.unwrap(), "3");
        assert_eq!(setting(&db, "n").await.unwrap(), "2");

        db.enqueue(Setting("n", "before".to_owned()));
        db.flush().await.unwrap();
        assert_eq!(setting(&db, "n").await.unwrap(), "before");
    }

    #[tokio::test]
    async fn an_impossible_row_is_dropped_and_its_kin_are_written() {
        let (_directory, db) = database().await;
        for (key, value) in [("a", "1"), ("b", "impossible"), ("c", "3")] {
            db.enqueue(Setting(key, value.to_owned()));
        }
        db.flush().await.unwrap();
        assert_eq!((setting(&db, "a").await.unwrap(), setting(&db, "c").await.unwrap()), ("1".into(), "3".into()));
        assert_eq!(setting(&db, "b").await, None);
    }

    #[tokio::test]
    async fn closing_writes_what_is_queued_and_refuses_what_comes_later() {
        let (directory, db) = database().await;
        db.enqueue(Setting("last", "word".to_owned()));
        db.close().await;
        assert!(matches!(put(&db, "late", false).await, Err(DatabaseError::Closed)));
        assert!(!directory.path().join("mai.db-wal").exists());
        let db = Database::open(directory.path().join("mai.db")).await.unwrap();
        assert_eq!(setting(&db, "last").await.unwrap(), "word");
    }

    #[tokio::test]
    async fn rows_the_database_refused_are_tried_again() {
        let (directory, db) = database().await;
        // Another process that holds the write lock longer than our patience of 5 s would take too long to wait for;
        // a trigger that refuses does the same at once.
        let path = directory.path().join("mai.db");
        let other = Database::open(&path).await.unwrap();
        let trigger = |statement: &'static str| {
            let other = other.clone();
            async move {
                other
                    .write(move |connection| {
                        Box::pin(async move {
                            sqlx::query(statement).execute(connection).await?;
                            Ok(())
                        })
                    })
                    .await
                    .unwrap();
            }
        };
        trigger("ALTER TABLE setting RENAME TO away").await;
        db.enqueue(Setting("patient", "row".to_owned()));
        db.flush().await.unwrap();
        trigger("ALTER TABLE away RENAME TO setting").await;
        tokio::time::sleep(RETRY + Duration::from_millis(500)).await;
        assert_eq!(setting(&db, "patient").await.unwrap(), "row");
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_by_itself_keeps_no_later_write_out() {
        let directory = tempfile::tempdir().unwrap();
        let db = Database::open(directory.path().join("mai.db")).await.unwrap();
        let ended = db.write(|connection| {
            Box::pin(async move {
                // As a full disk does to a statement.
                sqlx::query("ROLLBACK").execute(&mut *connection).await?;
                sqlx::query("INSERT INTO nowhere VALUES (1)").execute(connection).await?;
                Ok(())
            })
        });
        ended.await.unwrap_err();
        for key in ["first", "second"] {
            db.write(move |connection| {
                Box::pin(async move {
                    sqlx::query("INSERT INTO setting VALUES (?, 'x')").bind(key).execute(connection).await?;
                    Ok(())
                })
            })
            .await
            .unwrap();
        }
        db.enqueue(Setting("third", "x".to_owned()));
        db.flush().await.unwrap();
        let kept: i64 =
            sqlx::query_scalar("SELECT count(*) FROM setting WHERE value = 'x'").fetch_one(db.reader()).await.unwrap();
        assert_eq!(kept, 3);
    }
}
