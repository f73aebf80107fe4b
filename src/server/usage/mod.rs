//! What the client's people used and what it cost.
//!
//! * [`Ledger`]: each generation is entered when it starts and closed when it ends, exactly once.
//! * `lookup`: asks the upstream for what a cut-off answer did not tell.
//! * [`summary`], [`by_day`], [`by_user`], [`by_model`]: the reports.

mod ledger;
mod lookup;
mod period;
mod report;
mod routes;
mod row;

use axum::Router;
use axum::http::Method;
use axum::routing::get;

use super::{App, Endpoint, route};

pub use ledger::{Entry, Ledger, NewGeneration};
pub(super) use lookup::{close_interrupted, run as run_lookups};
pub use period::{Month, NotAMonth};
pub use report::{DayUsage, ModelUsage, Summary, Totals, UserUsage, by_day, by_model, by_user, current_month, summary};
pub use row::{GenerationStatus, UsageSource, Via};

/// The routes of this room.
pub const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/v1/usage/summary", handler: || get(routes::summary) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/days", handler: || get(routes::days) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/users", handler: || get(routes::users) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/models", handler: || get(routes::models) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/me", handler: || get(routes::me) },
];

pub(super) fn routes() -> Router<App> {
    route::build(ROUTES)
}
