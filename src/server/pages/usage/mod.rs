//! `/usage` and `/usage/me`: a month's usage of the company or of the reader, kept current without a
//! reload.
//!
//! # Layout
//!
//! * `company`, `own`, `calls`: the pages.
//! * `view`: whose usage is shown, of which month; `numbers` reads it, `report` words it, with `chart`
//!   and `matrix`; `months` is the choice of another month.
//! * `prices`: the price list of the models that were used.
//! * `budgets`: the forms that set, raise and remove budgets.
//! * `live`: the streams of updates.

mod budgets;
mod calls;
mod chart;
mod company;
mod live;
mod matrix;
mod months;
mod numbers;
mod own;
mod prices;
mod report;
mod texts;
mod view;

use axum::{
    http::Method,
    routing::{get, post},
};

use crate::Endpoint;

pub(super) use company::ENTRY;
pub(super) use own::ENTRY as OWN_ENTRY;

/// The routes of these pages.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/usage", handler: || get(company::show) },
    Endpoint { method: Method::GET, path: "/usage/live", handler: || get(live::of_company) },
    Endpoint { method: Method::GET, path: "/usage/calls", handler: || get(calls::show) },
    Endpoint { method: Method::POST, path: "/usage/budgets", handler: || post(budgets::set) },
    Endpoint { method: Method::POST, path: "/usage/budgets/{id}/raise", handler: || post(budgets::raise) },
    Endpoint { method: Method::POST, path: "/usage/budgets/{id}/remove", handler: || post(budgets::remove) },
    Endpoint { method: Method::GET, path: "/usage/me", handler: || get(own::show) },
    Endpoint { method: Method::GET, path: "/usage/me/live", handler: || get(live::of_oneself) },
];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
