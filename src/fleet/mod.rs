//! The provider's view of its clients.
//!
//! [`InternalClient`] asks one server what it tells the reconciler alone. [`CountsMonitor`] asks each
//! server that is ready for its counts, at an interval, and keeps the last ones; [`LimitUse`] is how
//! much of a month's limit they say is used. Nothing here decides about an instance.

mod counts;
mod internal_client;
mod known_counts;
mod limit;

pub use counts::{CountedServer, CountsMonitor, CountsOptions};
pub use internal_client::{InternalClient, InternalError};
pub use known_counts::KnownCounts;
pub use limit::LimitUse;
