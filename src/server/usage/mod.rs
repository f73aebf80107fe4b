//! The usage of the client's people and its cost.
//!
//! * [`Ledger`]: writes a row for each generation when it starts and closes it when it ends,
//!   exactly once. `row` is the row and its batched statement.
//! * `lookup`: completes rows from the upstream's records when an answer was cut off.
//! * `pricing`: makes the price that the client is billed of the cost that the upstream charges.
//! * [`Budgets`]: limits of what may be spent, and what is reserved of them.
//! * `rollup`: sums by hour and day, which the database keeps in the transaction of each row.
//! * [`UsageReports`]: reads the sums, by [`Month`], those of an API key (`key_usage`), and the newest
//!   rows (`calls`). `groups` adds up by person and by model; `export` and `csv` write files of rows
//!   and sums; `provider` reads what concerns the provider: people who asked, and what is billed.
//!
//! Chat completions write to the ledger; pages and JSON routes read the reports and set budgets.

mod budget;
mod calls;
mod csv;
mod export;
mod groups;
mod key_usage;
mod ledger;
mod lookup;
mod period;
mod pricing;
mod provider;
mod report;
mod rollup;
#[cfg(test)]
mod rollup_tests;
mod row;

pub use budget::{
    Budget, BudgetAmount, BudgetError, BudgetPeriod, BudgetScope, BudgetState, Budgets, InvalidBudget, Limiter,
    NewBudget, OverBudget, Raise,
};
pub use calls::{Call, CallsPage};
pub(crate) use csv::Csv;
pub use export::sums_csv;
pub use groups::{Account, ModelUsage, PersonModel, UserUsage, by_model, by_user};
pub use key_usage::KeyUsage;
pub use ledger::{Entry, Ledger, NewGeneration};
pub(super) use lookup::{UsageLookup, close_interrupted};
pub use period::{InvalidMonth, Month};
pub use pricing::{InvalidFactor, Millionths, Pricing};
pub use provider::{ActivePeople, BilledMonth};
pub use report::{DayUsage, Summary, Totals, UsageReports};
pub(super) use rollup::prepare;
pub use row::{GenerationStatus, Purpose, UsageSource, Via};
