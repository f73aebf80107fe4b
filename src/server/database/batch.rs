//! Kinds of rows that are written in batches.

use std::{
    any::{Any, TypeId},
    time::Duration,
};

use futures::future::BoxFuture;
use sqlx::SqliteConnection;

use super::error::DatabaseError;
use super::transaction;

/// A kind of row of which many are written with one statement (`INSERT … SELECT … FROM json_each(?)
/// ON CONFLICT DO UPDATE`). Rows are kept and tried again when the database fails.
pub trait Batch: Send + Sync + Sized + 'static {
    /// Longest wait of the first row of a batch. A crash loses the rows of that time.
    const LINGER: Duration = Duration::ZERO;

    /// Writes all rows; the caller has opened the transaction. Later rows of the same key must win.
    fn write<'c>(rows: &'c [Self], connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>>;
}

/// Rows of one kind behind a common type, so that the writer can hold any.
pub(super) trait PendingRows: Send {
    fn kind(&self) -> TypeId;
    fn name(&self) -> &'static str;
    fn linger(&self) -> Duration;
    fn len(&self) -> usize;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
    /// Appends rows of the same kind.
    fn append(&mut self, more: Box<dyn Any>);
    /// Writes all rows in one transaction, or fails without writing any.
    fn write<'c>(&'c self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>>;
    /// Writes row by row, so that one impossible row does not block the others, and keeps those to
    /// try again.
    fn write_singly<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, ()>;
}

/// Rows of kind `B`.
pub(super) struct Rows<B>(Vec<B>);

impl<B: Batch> Rows<B> {
    pub(super) fn new(row: B) -> Self {
        Self(vec![row])
    }

    async fn write_slice(rows: &[B], connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
        transaction::begin(connection).await?;
        let outcome = B::write(rows, connection).await;
        transaction::end(connection, outcome).await
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
        self.0.len()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn append(&mut self, more: Box<dyn Any>) {
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
                        tracing::error!(%error, kind = std::any::type_name::<B>(), "a row violates the schema and is dropped");
                    }
                    Err(_) => kept.push(row),
                }
            }
            self.0 = kept;
        })
    }
}

/// Returns true when the row itself is at fault, so that another try cannot succeed.
fn is_constraint(error: &DatabaseError) -> bool {
    use sqlx::error::ErrorKind::{CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation};
    matches!(error, DatabaseError::Sqlite(sqlx::Error::Database(error))
        if matches!(error.kind(), CheckViolation | ForeignKeyViolation | NotNullViolation | UniqueViolation))
}
