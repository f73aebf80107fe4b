//! Kinds of rows that are written in batches.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    time::Duration,
};

use futures::future::BoxFuture;
use sqlx::SqliteConnection;

use super::error::DatabaseError;
use super::transaction;

/// A kind of row of which many are written with one statement (`INSERT … SELECT … FROM json_each(?)
/// ON CONFLICT DO UPDATE`). Rows are kept and tried again when the database fails; of rows with the
/// same key that wait, the last is written.
pub trait Batch: Send + Sync + Sized + 'static {
    /// Longest wait of the first row of a batch. A crash loses the rows of that time.
    const LINGER: Duration = Duration::ZERO;

    /// The key. A later row of it replaces an earlier one, and says all that it said.
    fn key(&self) -> &str;

    /// The bytes of memory that the row takes, about.
    fn bytes(&self) -> usize;

    /// Returns what can be written where the database refuses the content of the row.
    fn without_content(&self) -> Option<Self> {
        None
    }

    /// Called when the row was committed.
    fn written(&self) {}

    /// Writes all rows; the caller has opened the transaction.
    fn write<'c>(rows: &'c [Self], connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>>;
}

/// Rows of one kind behind a common type, so that the writer can hold any.
pub(super) trait PendingRows: Send {
    fn kind(&self) -> TypeId;
    fn name(&self) -> &'static str;
    fn linger(&self) -> Duration;
    fn len(&self) -> usize;
    fn bytes(&self) -> usize;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
    /// Adds later rows of the same kind.
    fn append(&mut self, later: Box<dyn Any>);
    /// Writes all rows in one transaction, or fails without writing any.
    fn write<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>>;
    /// Writes row by row and sets aside those whose content is refused, so that one impossible row
    /// does not block the others. It stops at any other error and keeps what is left.
    fn write_singly<'c>(&'c mut self, connection: &'c mut SqliteConnection)
    -> BoxFuture<'c, Result<(), DatabaseError>>;
}

/// Rows of kind `B`, one for each key.
pub(super) struct Rows<B> {
    rows: Vec<B>,
    positions: HashMap<String, usize>,
    bytes: usize,
}

impl<B: Batch> Rows<B> {
    pub(super) fn new(row: B) -> Self {
        let mut rows = Self { rows: Vec::new(), positions: HashMap::new(), bytes: 0 };
        rows.add(row);
        rows
    }

    fn add(&mut self, row: B) {
        self.bytes += row.bytes();
        match self.positions.get(row.key()) {
            Some(&position) => {
                self.bytes -= self.rows[position].bytes();
                self.rows[position] = row;
            }
            None => {
                self.positions.insert(row.key().to_owned(), self.rows.len());
                self.rows.push(row);
            }
        }
    }

    fn take(&mut self) -> Vec<B> {
        self.positions.clear();
        self.bytes = 0;
        std::mem::take(&mut self.rows)
    }

    async fn write_slice(rows: &[B], connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
        transaction::begin(connection).await?;
        let outcome = B::write(rows, connection).await;
        transaction::end(connection, outcome).await?;
        rows.iter().for_each(B::written);
        Ok(())
    }

    /// Writes a row, or what is left of it without its content.
    async fn write_one(row: &B, connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
        let refused = match Self::write_slice(std::slice::from_ref(row), connection).await {
            Err(error) if error.is_content() => error,
            outcome => return outcome,
        };
        let kind = std::any::type_name::<B>();
        let Some(reduced) = row.without_content() else {
            tracing::error!(error = %refused, kind, key = row.key(), "the content of a row is refused; the row is dropped");
            return Ok(());
        };
        tracing::error!(error = %refused, kind, key = row.key(), "the content of a row is refused; it is written without");
        match Self::write_slice(&[reduced], connection).await {
            Err(error) if error.is_content() => {
                tracing::error!(%error, kind, key = row.key(), "a row is refused without its content, too, and dropped");
                Ok(())
            }
            outcome => outcome,
        }
    }
}

impl<B: Batch> PendingRows for Rows<B> {
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
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn append(&mut self, later: Box<dyn Any>) {
        if let Ok(mut later) = later.downcast::<Self>() {
            later.take().into_iter().for_each(|row| self.add(row));
        }
    }

    fn write<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>> {
        Box::pin(async move {
            Self::write_slice(&self.rows, connection).await?;
            self.take();
            Ok(())
        })
    }

    fn write_singly<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, Result<(), DatabaseError>> {
        Box::pin(async move {
            let mut rows = self.take().into_iter();
            while let Some(row) = rows.next() {
                if let Err(error) = Self::write_one(&row, connection).await {
                    self.add(row);
                    rows.for_each(|row| self.add(row));
                    return Err(error);
                }
            }
            Ok(())
        })
    }
}
