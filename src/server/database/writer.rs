//! The handle of the writer task.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use sqlx::SqliteConnection;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::batch::{Batch, Rows};
use super::error::DatabaseError;
use super::transaction;
use super::waiting::Waiting;
use super::writer_task::WriterTask;

/// Longest wait of a job: another program may keep the database locked for half a minute.
const PATIENCE: Duration = Duration::from_secs(45);
/// Bytes that a job counts for, besides those that it says it holds.
const JOB_BYTES: usize = 4 * 1024;

/// A write in its own transaction, which is given up at this time.
pub(super) type Job = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection, Instant) -> BoxFuture<'c, ()> + Send>;

/// A message to the writer task.
pub(super) enum Message {
    Job {
        job: Job,
        until: Instant,
        bytes: usize,
    },
    /// Rows wait.
    Rows,
    Close(oneshot::Sender<()>),
}

/// The sending end of the writer's queue. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Writer {
    /// Unbounded, because `Drop` can't wait; [`Waiting`] has the bound.
    queue: mpsc::UnboundedSender<Message>,
    waiting: Arc<Waiting>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (queue, messages) = mpsc::unbounded_channel();
        let waiting = Arc::<Waiting>::default();
        tokio::spawn(WriterTask::new(connection, messages, Arc::clone(&waiting)).run());
        Self { queue, waiting }
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.is_full()
    }

    pub(super) async fn write<T, F>(&self, bytes: usize, job: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, DatabaseError>> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        let job: Job = Box::new(move |connection, until| {
            Box::pin(async move {
                // A caller that left does not cancel the write.
                answer.send(in_transaction(connection, until, job).await).ok();
            })
        });
        self.send(bytes, job)?;
        outcome.await.map_err(|_| DatabaseError::Closed)?
    }

    pub(super) fn write_later<F>(&self, job: F)
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>> + Send + 'static,
    {
        let job: Job = Box::new(move |connection, until| {
            Box::pin(async move {
                if let Err(error) = in_transaction(connection, until, job).await {
                    tracing::warn!(%error, "a background write failed");
                }
            })
        });
        if let Err(error) = self.send(0, job) {
            tracing::warn!(%error, "a background write was not queued");
        }
    }

    fn send(&self, bytes: usize, job: Job) -> Result<(), DatabaseError> {
        if self.is_full() {
            return Err(DatabaseError::QueueFull);
        }
        let bytes = bytes + JOB_BYTES;
        self.waiting.add_job(bytes);
        let message = Message::Job { job, until: Instant::now() + PATIENCE, bytes };
        self.queue.send(message).map_err(|_| DatabaseError::Closed)
    }

    pub(super) fn enqueue<B: Batch>(&self, row: B) {
        let is_first = self.waiting.add_rows(Box::new(Rows::new(row)));
        if is_first && self.queue.send(Message::Rows).is_err() {
            self.waiting.take_rows();
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

async fn in_transaction<T, F>(connection: &mut SqliteConnection, until: Instant, job: F) -> Result<T, DatabaseError>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, DatabaseError>>,
{
    transaction::begin_until(connection, until).await?;
    let outcome = job(connection).await;
    transaction::end(connection, outcome).await
}
