//! The statements of closed months.
//!
//! * `closing`: the task that freezes a month once it is over, with a day of grace for what settles
//!   late; `due` says which months these are.
//! * `freeze`: writes a statement from the roll-ups of the ledger, in one transaction.
//! * [`Statements`]: reads what was frozen, with the names that people have now and the month's
//!   exchange rate. `report` adds it up, with costs for the provider and without for the client.
//! * `csv`: the same as a table.
//!
//! A statement never changes. What settles after it is a correction in the next one, so that all
//! statements together are the ledger.

mod closing;
mod csv;
mod due;
mod freeze;
mod read;
mod report;
#[cfg(test)]
mod tests;

pub(crate) use closing::StatementCloser;
pub(crate) use csv::csv;
pub use read::{StatementError, Statements};
pub use report::Audience;
