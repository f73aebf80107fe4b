//! What people see in a browser: rendered on the server, alive with htmx, usable without a script.
//!
//! # Layout
//!
//! * `shell`, `reply`, `refusal`: who is looking, how a page leaves, and pages that say no.
//! * `door`, `chat`, `answer`, `users`, `connection`, `usage`, `account`, `theme`: one file per noun.
//! * `assets`, `icons`, `templates/`: how it looks. All of it is part of the binary.
//!
//! Pages call the same functions as the JSON API and hold no rules of their own.

mod account;
mod answer;
mod assets;
mod chat;
mod chat_list;
mod connection;
mod door;
mod icons;
mod notice;
mod refusal;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod rendered;
mod reply;
mod said;
mod shell;
mod theme;
mod usage;
mod usage_report;
mod users;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts, Request},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use super::{App, Endpoint, chat::QUESTION_LENGTH, route};

/// The routes of this room.
pub const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/", handler: || get(door::home) },
    Endpoint { method: Method::GET, path: "/register", handler: || get(door::register) },
    Endpoint { method: Method::POST, path: "/register", handler: || post(door::join) },
    Endpoint { method: Method::GET, path: "/sign-in", handler: || get(door::sign_in) },
    Endpoint { method: Method::POST, path: "/sign-in", handler: || post(door::enter) },
    Endpoint { method: Method::POST, path: "/sign-out", handler: || post(door::leave) },
    Endpoint { method: Method::GET, path: "/chat", handler: || get(chat::fresh) },
    Endpoint { method: Method::POST, path: "/chat", handler: || post(chat::begin).layer(long_texts()) },
    Endpoint { method: Method::GET, path: "/chats", handler: || get(chat_list::search) },
    Endpoint { method: Method::GET, path: "/chat/{id}", handler: || get(chat::show) },
    Endpoint { method: Method::POST, path: "/chat/{id}/rename", handler: || post(chat::rename) },
    Endpoint { method: Method::POST, path: "/chat/{id}/delete", handler: || post(chat::delete) },
    Endpoint { method: Method::POST, path: "/chat/{id}/stop", handler: || post(chat::stop) },
    Endpoint { method: Method::POST, path: "/chat/{id}/messages", handler: || post(answer::ask).layer(long_texts()) },
    Endpoint { method: Method::GET, path: "/chat/{id}/messages/{message}", handler: || get(answer::show) },
    Endpoint {
        method: Method::POST,
        path: "/chat/{id}/messages/{message}/regenerate",
        handler: || post(answer::regenerate),
    },
    Endpoint {
        method: Method::GET,
        path: "/chat/{id}/messages/{message}/stream",
        handler: || get(answer::stream_answer),
    },
    Endpoint { method: Method::GET, path: "/users", handler: || get(users::show) },
    Endpoint { method: Method::POST, path: "/users", handler: || post(users::add) },
    Endpoint { method: Method::POST, path: "/users/{id}/password", handler: || post(users::reset_password) },
    Endpoint { method: Method::POST, path: "/users/{id}/remove", handler: || post(users::remove) },
    Endpoint { method: Method::GET, path: "/connection", handler: || get(connection::show) },
    Endpoint { method: Method::POST, path: "/connection", handler: || post(connection::save) },
    Endpoint { method: Method::POST, path: "/connection/forget", handler: || post(connection::forget) },
    Endpoint { method: Method::GET, path: "/usage", handler: || get(usage::show) },
    Endpoint { method: Method::GET, path: "/usage/live", handler: || get(usage::live) },
    Endpoint { method: Method::GET, path: "/account", handler: || get(account::show) },
    Endpoint { method: Method::POST, path: "/account/profile", handler: || post(account::change_profile) },
    Endpoint { method: Method::POST, path: "/account/password", handler: || post(account::change_password) },
    Endpoint { method: Method::POST, path: "/account/keys", handler: || post(account::create_key) },
    Endpoint { method: Method::POST, path: "/account/keys/{id}/revoke", handler: || post(account::revoke_key) },
    Endpoint { method: Method::POST, path: "/theme", handler: || post(theme::choose) },
    Endpoint { method: Method::GET, path: "/assets/{hash}/{name}", handler: || get(assets::serve) },
    Endpoint { method: Method::GET, path: "/favicon.ico", handler: || get(assets::favicon) },
];

/// A question may be as long as [`QUESTION_LENGTH`] says; in a form, a letter takes up to twelve bytes.
fn long_texts() -> DefaultBodyLimit {
    DefaultBodyLimit::max(QUESTION_LENGTH * 12 + super::BODY_LIMIT)
}

pub(super) fn routes() -> Router<App> {
    route::build(ROUTES)
}

/// The page for an address nobody serves. The chat's own refusals look the same, so that nobody learns what exists.
pub(super) async fn not_found(app: App, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    match shell::Guest::from_request_parts(&mut parts, &app).await {
        Ok(guest) => guest.shell.refuse(refusal::Refusal::NotFound).into_response(),
        Err(response) => (StatusCode::NOT_FOUND, response).into_response(),
    }
}
