//! The row of an answer while it is written and when it has ended.

use futures::future::BoxFuture;
use sqlx::SqliteConnection;
use tokio::sync::watch;

use super::failure::AnswerFailure;
use super::message::MessageStatus;
use super::search;
use crate::database::{Batch, DatabaseError};

/// The columns of an answer that change. A later row replaces an earlier one that still waits, so
/// that a database that is locked holds up one text of each answer.
pub(super) struct AnswerRow {
    pub(super) id: String,
    pub(super) chat: String,
    pub(super) text: String,
    /// The row of the ledger.
    pub(super) generation: Option<String>,
    pub(super) end: Option<AnswerRowEnd>,
    /// Set to true when the row is written.
    pub(super) written: watch::Sender<bool>,
}

/// The end of an answer.
pub(super) struct AnswerRowEnd {
    pub(super) status: MessageStatus,
    pub(super) failure: Option<AnswerFailure>,
    /// Milliseconds since the epoch.
    pub(super) at: i64,
}

impl Batch for AnswerRow {
    fn key(&self) -> &str {
        &self.id
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.text.len()
    }

    fn written(&self) {
        self.written.send_replace(true);
    }

    fn write<'c>(rows: &'c [Self], connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>> {
        Box::pin(async move {
            for row in rows {
                match &row.end {
                    None => row.update_text(connection).await?,
                    Some(end) => row.update_end(end, connection).await?,
                }
            }
            Ok(())
        })
    }
}

impl AnswerRow {
    async fn update_text(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "UPDATE message SET content = ?, generation = coalesce(?, generation) WHERE id = ? AND status = 'streaming'",
        )
        .bind(&self.text)
        .bind(&self.generation)
        .bind(&self.id)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn update_end(&self, end: &AnswerRowEnd, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let failure = end.failure.as_ref();
        sqlx::query(
            "UPDATE message SET content = ?, generation = coalesce(?, generation), status = ?, failure = ?,
             failure_status = ?, failure_words = ? WHERE id = ?",
        )
        .bind(&self.text)
        .bind(&self.generation)
        .bind(end.status.as_str())
        .bind(failure.and_then(|failure| failure.code.as_str()))
        .bind(failure.and_then(|failure| failure.status))
        .bind(failure.and_then(|failure| failure.words.clone()))
        .bind(&self.id)
        .execute(&mut *connection)
        .await?;
        search::index(connection, &self.id).await;
        sqlx::query("UPDATE chat SET updated_at = max(updated_at, ?) WHERE id = ?")
            .bind(end.at)
            .bind(&self.chat)
            .execute(connection)
            .await?;
        Ok(())
    }
}
