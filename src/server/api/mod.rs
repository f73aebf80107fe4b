//! The JSON API: routes, request bodies and answers, over the same functions that the pages call.
//!
//! A handler extracts who is calling and the parts it needs, calls a function of a room (`users`,
//! `chat`, `usage`, …) and shapes its result. Rules stand in those rooms, not here. Each file lists
//! its routes above their handlers.

mod api_keys;
mod auths;
mod body;
mod chat_request;
mod chats;
mod completions;
mod connection;
mod facts;
mod models;
mod usage;
mod users;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, header},
};
use tower_http::set_header::SetResponseHeaderLayer;

pub use body::{JsonBody, UrlQuery};

use super::{App, Endpoint, route};

/// The routes of this room, file by file.
pub const ROUTES: &[&[Endpoint]] = &[
    facts::ROUTES,
    auths::ROUTES,
    api_keys::ROUTES,
    users::ROUTES,
    connection::ROUTES,
    usage::ROUTES,
    models::ROUTES,
    chats::ROUTES,
    completions::ROUTES,
];

/// Builds all routes but those of chat completions.
pub(super) fn routes() -> Router<App> {
    let accounts = [facts::ROUTES, auths::ROUTES, api_keys::ROUTES, users::ROUTES, connection::ROUTES];
    let others = [usage::ROUTES, models::ROUTES, chats::ROUTES];
    // Answers about accounts and the present moment must not be cached.
    route::build(&accounts)
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .merge(route::build(&others))
}

/// Builds the routes of chat completions, which limit the body themselves.
pub(super) fn completion_routes() -> Router<App> {
    route::build(&[completions::ROUTES]).layer(DefaultBodyLimit::disable())
}
