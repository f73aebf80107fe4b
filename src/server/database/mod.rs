//! The server's database: one SQLite file, read by two small pools, written by one task.
//!
//! Rooms read through [`Database::reader`], what everything else waits for through
//! [`Database::quick_reader`], and write through [`Database::write`]; rows that come in
//! great numbers are a [`Batch`]. SQL of a table stands in the room that owns it; only migrations
//! are here.

mod batch;
mod error;
mod migrations;
mod open;
mod readers;
mod transaction;
mod waiting;
mod writer;
mod writer_task;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod writer_tests;

pub use batch::Batch;
pub use error::DatabaseError;
pub use open::Database;
pub use readers::Readers;
