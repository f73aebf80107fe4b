//! The JSON API: routes, request bodies and answers, over the same functions that the pages call.
//!
//! A handler extracts who is calling and the parts it needs, calls a function of a room (`users`,
//! `chat`, `usage`, …) and shapes its result. Rules stand in those rooms, not here. Each file lists
//! its routes above their handlers.

mod api_keys;
mod audit;
mod auths;
mod body;
mod budgets;
mod chats;
mod completions;
mod connection;
mod facts;
mod identified_body;
mod internal;
mod invitations;
mod model_choice;
mod models;
mod rates;
mod request_fields;
mod statements;
mod upload;
mod upstream_answer;
mod usage;
mod users;

use axum::{Router, extract::DefaultBodyLimit};

pub use body::{JsonBody, UrlPath, UrlQuery};

use super::{App, Endpoint, route};

/// The routes of this room but those that run a model, file by file.
pub const ROUTES: &[&[Endpoint]] = &[
    facts::ROUTES,
    internal::ROUTES,
    auths::ROUTES,
    api_keys::ROUTES,
    audit::ROUTES,
    users::ROUTES,
    invitations::ROUTES,
    connection::ROUTES,
    usage::ROUTES,
    budgets::ROUTES,
    rates::ROUTES,
    statements::ROUTES,
    models::ROUTES,
    chats::ROUTES,
];

/// The routes that run a model.
pub const COMPLETION_ROUTES: &[&[Endpoint]] = &[completions::ROUTES];

/// Builds the routes that run a model, which limit the body themselves.
pub(super) fn completion_routes() -> Router<App> {
    route::build(COMPLETION_ROUTES).layer(DefaultBodyLimit::disable())
}
