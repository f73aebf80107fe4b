//! The pages people see in a browser: rendered on the server, updated by htmx, usable without a
//! script.
//!
//! # Layout
//!
//! * `account`, `audit`, `chat`, `connection`, `new_password`, `register`, `sign_in`, `usage`, `users`: one folder per page,
//!   with its handlers and routes (`mod.rs`), its templates and its texts.
//! * `layout`: the frame around every page: navigation, notices, icons, appearance, and who is
//!   looking.
//! * `navigation`: the list of its entries.
//! * `error_page`, `form_problem`: what is shown instead of a page, and above a form that was
//!   refused.
//! * `audit_entry`, `budget_words`: entries of the audit log, and budgets, worded for a reader.
//! * `upstream_problem`: problems with the provider or the connection to it, worded for a reader.
//! * `response`, `assets`, `theme`: headers and redirects, embedded style and scripts, the
//!   appearance cookie.
//!
//! Pages call the same functions as the JSON API and hold no rules of their own. A page imports
//! `layout` and the modules above it, never another page.

mod account;
mod assets;
mod audit;
mod audit_entry;
mod budget_words;
mod chat;
mod connection;
mod error_page;
mod form_problem;
mod layout;
mod navigation;
mod new_password;
mod register;
mod response;
mod sign_in;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod snapshot;
mod statements;
mod theme;
mod upstream_problem;
mod usage;
mod users;

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts, Request},
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{Config, Endpoint, auth::Sessions};

/// The routes of every page, each declared next to its handlers.
pub const ROUTES: &[&[Endpoint]] = &[
    account::ROUTES,
    assets::ROUTES,
    audit::ROUTES,
    chat::ROUTES,
    connection::ROUTES,
    users::invitations::ROUTES,
    new_password::ROUTES,
    register::ROUTES,
    sign_in::ROUTES,
    statements::ROUTES,
    theme::ROUTES,
    usage::ROUTES,
    users::ROUTES,
];

/// Answers with the page for an address that nothing is served under. Chats of other people look
/// the same, so that nobody learns which exist.
pub(super) async fn not_found<S>(state: &S, request: Request) -> Response
where
    S: Send + Sync,
    Sessions: FromRef<S>,
    Arc<Config>: FromRef<S>,
{
    let (mut parts, _) = request.into_parts();
    match layout::Visitor::from_request_parts(&mut parts, state).await {
        Ok(visitor) => visitor.layout.refuse(error_page::PageError::NotFound).into_response(),
        Err(response) => (StatusCode::NOT_FOUND, response).into_response(),
    }
}
