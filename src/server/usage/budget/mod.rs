//! Limits of what may be spent in a day or a month: of the company, a person or an API key, and of
//! the provider over all.
//!
//! * [`Budget`]: a limit; `store` keeps them in the database.
//! * `spending`: what is spent and reserved in the current day and month, in memory.
//! * [`Budgets`]: both together. It reserves what a generation may cost at most before the model is
//!   asked, and settles it when the cost is known.
//! * [`OverBudget`]: the refusal.
//!
//! All generations pass through one process, which has the database for itself, so comparing and
//! reserving under one lock is enough: no two calls ever get the same money. After a start the
//! counts are read from the sums and rows of the database.

mod budgets;
mod definition;
mod over_budget;
mod spending;
mod store;

pub use budgets::{BudgetError, BudgetState, Budgets, Raise};
pub use definition::{Budget, BudgetAmount, BudgetPeriod, BudgetScope, InvalidBudget, NewBudget};
pub use over_budget::{Limiter, OverBudget};
pub(super) use spending::Reservation;
pub(super) use store::{LONGEST_RESERVATION_MS, oldest_reservation, reservation, reservations};
