//! Takes over the data of another program into the data directory of a stopped server.
//!
//! The original is never opened: `open_webui::source` makes a private copy and reads that. Rows are
//! written through the server's own database in small transactions, each with its record in table
//! `imported`, so that a run that was killed goes on with the next one, and what is unchanged is
//! left alone. A [`Report`] counts by table and names ids, never content.

mod error;
mod open_webui;
mod record;
mod report;

pub use error::ImportError;
pub use report::{Reason, Report, Table};
