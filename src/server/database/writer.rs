//! The handle of the writer task.

use std::fmt;

use futures::future::BoxFuture;
use sqlx::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::batch::{Batch, PendingRows, Rows};
use super::error::DatabaseError;
use super::transaction;
use super::writer_task::WriterTask;

/// A write in its own transaction.
pub(super) type Job = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, ()> + Send>;

/// A message to the writer task.
pub(super) enum Message {
    Job(Job),
    Row(Box<dyn PendingRows>),
    Close(oneshot::Sender<()>),
}

/// The sending end of the writer's queue. Cloning is cheap.
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
        tokio::spawn(WriterTask::new(connection, messages).run());
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
                // A caller that left does not cancel the write.
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
        if self.queue.send(Message::Row(Box::new(Rows::new(row)))).is_err() {
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
