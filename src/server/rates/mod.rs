//! Exchange rates of the US dollar in złoty.
//!
//! * [`Rate`]: the mid rate of one table of the National Bank of Poland (NBP), table A. Rates and
//!   amounts in złoty are integers (`zloty`).
//! * `table`: the rates that are known, and the pure choice of the one of a month.
//! * `nbp`: asks NBP. `schedule` says when, `fetcher` does it in the background; no request of a
//!   person waits for it.
//! * `store`: the rows of rates, and of the rate that a closed month keeps for ever.
//! * [`Rates`]: the handle that pages, routes and statements use.
//!
//! A rate comes from NBP, from an administrator who typed it in, or from the document of the
//! instance. Amounts in dollars come from the ledger; none is stored in złoty.

mod fetcher;
mod handle;
mod nbp;
mod rate;
mod schedule;
mod store;
mod table;

pub(crate) use fetcher::RateFetcher;
pub use handle::{RateError, Rates};
pub(crate) use nbp::address;
pub use rate::{InvalidRate, MonthRate, Rate, RateBasis, RateSource};
