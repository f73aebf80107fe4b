//! The server's database: one SQLite file, read by a small pool, written by one task.

mod batch;
mod migrations;
mod open;
mod transaction;
mod writer;

pub use batch::Batch;
pub use open::{Database, DatabaseError};
