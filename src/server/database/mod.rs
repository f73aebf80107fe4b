//! The server's database: one SQLite file, read by a small pool, written by one task.

mod open;
mod writer;

pub use open::{Database, DatabaseError};
pub use writer::{Batch, Job};
