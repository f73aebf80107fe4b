//! The task that writes: jobs in their order, each in its own transaction, and rows of a kind in
//! batches.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection, SqliteConnection};
use tokio::{sync::mpsc, time::Instant};

use super::waiting::Waiting;
use super::writer::Message;

/// Most messages taken off the queue at once; as many pending rows end a linger early.
const BATCH_SIZE: usize = 512;
/// Pause before rows that the database refused are tried again.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// Time that rows have at the end to be written to a database that refuses them.
const CLOSING_PATIENCE: Duration = Duration::from_secs(5);

/// Owns the one writing connection.
pub(super) struct WriterTask {
    connection: SqliteConnection,
    messages: mpsc::UnboundedReceiver<Message>,
    waiting: Arc<Waiting>,
    /// Set while the database refuses the pending rows.
    retry_at: Option<Instant>,
}

impl WriterTask {
    pub(super) fn new(
        connection: SqliteConnection,
        messages: mpsc::UnboundedReceiver<Message>,
        waiting: Arc<Waiting>,
    ) -> Self {
        Self { connection, messages, waiting, retry_at: None }
    }

    /// Runs until the queue is closed or a close message comes.
    pub(super) async fn run(mut self) {
        let mut buffer = Vec::new();
        // The time by which the pending rows are written.
        let mut due: Option<Instant> = None;
        loop {
            match due {
                None => {
                    if self.messages.recv_many(&mut buffer, BATCH_SIZE).await == 0 {
                        break;
                    }
                }
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep_until(at) => {}
                        received = self.messages.recv_many(&mut buffer, BATCH_SIZE) => if received == 0 { break },
                    }
                }
            }
            for message in buffer.drain(..) {
                match message {
                    Message::Rows => {}
                    Message::Job { job, until, bytes } => {
                        // Rows queued before a job are written before it, so that it can read them.
                        self.write_pending().await;
                        job(&mut self.connection, until).await;
                        self.waiting.remove_job(bytes);
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
                self.write_pending().await;
                due = self.due(None);
            }
        }
        self.close().await;
    }

    fn due(&self, former: Option<Instant>) -> Option<Instant> {
        self.retry_at.or_else(|| self.waiting.due(former, BATCH_SIZE))
    }

    async fn write_pending(&mut self) {
        if self.retry_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        self.retry_at = None;
        let mut failed = Vec::new();
        for mut rows in self.waiting.take_rows() {
            let outcome = match rows.write(&mut self.connection).await {
                Err(error) if error.is_content() => rows.write_singly(&mut self.connection).await,
                outcome => outcome,
            };
            if let Err(error) = outcome {
                tracing::error!(%error, kind = rows.name(), rows = rows.len(), "rows could not be written; trying again");
                failed.push(rows);
            }
        }
        if !failed.is_empty() {
            self.retry_at = Some(Instant::now() + RETRY);
        }
        self.waiting.put_back(failed);
    }

    async fn close(mut self) {
        let until = Instant::now() + CLOSING_PATIENCE;
        loop {
            self.retry_at = None;
            self.write_pending().await;
            if self.retry_at.is_none() || Instant::now() >= until {
                break;
            }
            tokio::time::sleep(RETRY / 4).await;
        }
        for rows in self.waiting.take_rows() {
            tracing::error!(
                kind = rows.name(),
                rows = rows.len(),
                "the database failed until shutdown; these rows are lost"
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
