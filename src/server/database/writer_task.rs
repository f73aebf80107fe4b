//! The task that writes: jobs in their order, each in its own transaction, and rows of a kind in
//! batches.

use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::{sync::mpsc, time::Instant};

use super::batch::PendingRows;
use super::writer::Message;

/// Most messages taken off the queue at once; as many pending rows end a linger early.
const BATCH_SIZE: usize = 512;
/// Pause before rows that the database refused are tried again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// Owns the one writing connection.
pub(super) struct WriterTask {
    connection: SqliteConnection,
    messages: mpsc::UnboundedReceiver<Message>,
    /// Rows waiting to be written, one entry for each kind.
    pending: Vec<Box<dyn PendingRows>>,
    /// Set while the database refuses the pending rows.
    retry_at: Option<Instant>,
}

impl WriterTask {
    pub(super) fn new(connection: SqliteConnection, messages: mpsc::UnboundedReceiver<Message>) -> Self {
        Self { connection, messages, pending: Vec::new(), retry_at: None }
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
                    Message::Row(rows) => self.add_rows(rows),
                    Message::Job(job) => {
                        // Rows queued before a job are written before it, so that it can read them.
                        self.write_pending().await;
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
                self.write_pending().await;
                due = self.retry_at;
            }
        }
        self.close().await;
    }

    /// Returns the time by which the pending rows are written: the former one, or the end of the
    /// shortest linger.
    fn due(&self, former: Option<Instant>) -> Option<Instant> {
        let now = Instant::now();
        if let Some(retry_at) = self.retry_at {
            return Some(retry_at);
        }
        if self.pending.iter().map(|rows| rows.len()).sum::<usize>() >= BATCH_SIZE {
            return Some(now);
        }
        let linger = self.pending.iter().map(|rows| rows.linger()).min()?;
        Some(former.map_or(now + linger, |former| former.min(now + linger)))
    }

    fn add_rows(&mut self, rows: Box<dyn PendingRows>) {
        match self.pending.iter_mut().find(|pending| pending.kind() == rows.kind()) {
            Some(pending) => pending.append(rows.into_any()),
            None => self.pending.push(rows),
        }
    }

    async fn write_pending(&mut self) {
        if self.retry_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        self.retry_at = None;
        let mut kept = Vec::new();
        for mut rows in std::mem::take(&mut self.pending) {
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
        self.pending = kept;
    }

    async fn close(mut self) {
        self.retry_at = None;
        self.write_pending().await;
        for rows in &self.pending {
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
