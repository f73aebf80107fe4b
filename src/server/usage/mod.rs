//! The usage of the client's people and its cost.
//!
//! * [`Ledger`]: writes a row for each generation when it starts and closes it when it ends,
//!   exactly once. `row` is the row and its batched statement.
//! * `lookup`: completes rows from the upstream's records when an answer was cut off.
//! * [`UsageReports`]: reads the rows, by [`Month`], and by API key (`key_usage`).
//!
//! Chat completions write to the ledger; pages and JSON routes read the reports. No price and no
//! limit is decided here.

mod key_usage;
mod ledger;
mod lookup;
mod period;
mod report;
mod row;

pub use key_usage::KeyUsage;
pub use ledger::{Entry, Ledger, NewGeneration};
pub(super) use lookup::{UsageLookup, close_interrupted};
pub use period::{InvalidMonth, Month};
pub use report::{DayUsage, ModelUsage, Summary, Totals, UsageReports, UserUsage};
pub use row::{GenerationStatus, UsageSource, Via};
