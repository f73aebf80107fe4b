//! The provider's view of its clients.
//!
//! [`keys`] decides about the keys of instances at the upstream and makes the calls for them; the loop of
//! `reconcile` feeds it and records what comes of it. [`InternalClient`] asks one server what it tells the reconciler alone.
//! [`CountsMonitor`] asks each server that is ready for its counts, at an interval, and keeps the last ones;
//! [`LimitUse`] is how much of a month's limit they say is used. Once a day it compares the ledger of a server with
//! the [`Bill`] of the upstream for the keys of its [`BilledAccount`].

mod bill;
mod billed_account;
mod counts;
mod internal_client;
pub mod keys;
mod known_counts;
mod limit;

pub use bill::{Bill, Difference};
pub use billed_account::BilledAccount;
pub use counts::{CountedServer, CountsMonitor, CountsOptions};
pub use internal_client::{InternalClient, InternalError};
pub use known_counts::KnownCounts;
pub use limit::LimitUse;
