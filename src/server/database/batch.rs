//! Rows that come in such numbers that they are gathered and written together.

use std::{
    any::{Any, TypeId},
    time::Duration,
};

use futures::future::BoxFuture;
use sqlx::SqliteConnection;

use super::{DatabaseError, transaction};

/// A kind of row that comes in such numbers that rows are gathered and written with one statement
/// (`INSERT … SELECT … FROM json_each(?) ON CONFLICT DO UPDATE`). Rows are kept and tried again when the database fails.
pub trait Batch: Send + Sync + Sized + 'static {
    /// How long the first row may wait for company. Rows of a crash within that time are lost.
    const LINGER: Duration = Duration::ZERO;

    /// Writes all rows; the caller has opened the transaction. Later rows of the same key must win.
    fn write<'c>(rows: &'c [Self], connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>>;
}

/// Rows of one kind, with the kind forgotten, so that the writer can hold any.
pub(super) trait Gather: Send {
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

pub(super) struct Rows<B>(Vec<B>);

impl<B: Batch> Rows<B> {
    pub(super) fn of(row: B) -> Self {
        Self(vec![row])
    }

    async fn write_slice(rows: &[B], connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
        transaction::begin(connection).await?;
        let outcome = B::write(rows, connection).await;
        transaction::end(connection, outcome).await
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
