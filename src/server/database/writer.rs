//! The one task that writes: jobs in the order they came, each in its own transaction; rows of a kind in one statement.

use std::{
    any::{Any, TypeId},
    fmt,
    time::Duration,
};

use futures::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::DatabaseError;

/// A write of its own, run inside the writer's task.
pub type Job = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, ()> + Send>;

/// A kind of row that comes in such numbers that rows are gathered and written with one statement
/// (`INSERT … SELECT … FROM json_each(?) ON CONFLICT DO UPDATE`). Rows are kept and tried again when the database fails.
pub trait Batch: Send + Sync + Sized + 'static {
    /// How long the first row may wait for company. Rows of a crash within that time are lost.
    const LINGER: Duration = Duration::ZERO;

    /// Writes all rows; the caller has opened the transaction. Later rows of the same key must win.
    fn write<'c>(rows: &'c [Self], connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>>;
}

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
        if self.queue.send(Message::Row(Box::new(Rows(vec![row])))).is_err() {
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
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    match job(&mut transaction).await {
        Ok(value) => {
            transaction.commit().await?;
            Ok(value)
        }
        Err(error) => {
            transaction.rollback().await?;
            Err(error)
        }
    }
}

/// Rows of one kind, with the kind forgotten.
trait Gather: Send {
    fn kind(&self) -> TypeId;
    fn name(&self) -> &'static str;
    fn linger(&self) -> Duration;
    fn len(&self) -> usize;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
    /// Takes in rows of the same kind; what is of another kind is not for it.
    fn take_in(&mut self, more: Box<dyn Any>);
    /// Writes all rows in one transaction, or fails without writing any.
    fn write<'c>(&'c self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>>;
    /// Writes row by row, so that one impossible row can't hold up the others, and keeps those to try again.
    fn write_singly<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, ()>;
}

struct Rows<B>(Vec<B>);

impl<B: Batch> Rows<B> {
    async fn write_slice(rows: &[B], connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        match B::write(rows, &mut transaction).await {
            Ok(()) => Ok(transaction.commit().await?),
            Err(error) => {
                transaction.rollback().await?;
                Err(error)
            }
        }
    }
}

impl<B: Batch> Gather for Rows<B> {
    fn kind(&self) -> TypeId {
        TypeId::of::<B>()
    }

    fn name(&self) -> &'static str {
        std::any::type_name::<B>()
    }

    fn linger(&self) -> Duration {
        B::LINGER
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn take_in(&mut self, more: Box<dyn Any>) {
        if let Ok(more) = more.downcast::<Self>() {
            self.0.extend(more.0);
        }
    }

    fn write<'c>(&'c self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>> {
        Box::pin(Self::write_slice(&self.0, connection))
    }

    fn write_singly<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, ()> {
        Box::pin(async move {
            let mut kept = Vec::new();
            for row in self.0.drain(..) {
                match Self::write_slice(std::slice::from_ref(&row), connection).await {
                    Ok(()) => {}
                    Err(error) if is_constraint(&error) => {
                        tracing::error!(%error, kind = std::any::type_name::<B>(), "a row breaks the schema and is dropped");
                    }
                    Err(_) => kept.push(row),
                }
            }
            self.0 = kept;
        })
    }
}

/// True when the row itself is at fault, so that trying again can't help.
fn is_constraint(error: &DatabaseError) -> bool {
    use sqlx::error::ErrorKind::{CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation};
    matches!(error, DatabaseError::Sqlite(sqlx::Error::Database(error))
        if matches!(error.kind(), CheckViolation | ForeignKeyViolation | NotNullViolation | UniqueViolation))
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
