//! The per-client chat server: accounts, chat, usage, pages. Configured by environment alone.
//!
//! # Layout
//!
//! * [`Config`]: every setting, each an environment variable and a flag.
//! * [`run`]: one server process from lock to clean shutdown.
//! * [`App`]: what every request handler shares.
//! * [`database`]: SQLite, read by a pool and written by one task.
//! * [`auth`]: passwords, sessions, API keys, and who may do what.
//! * [`users`]: the people of the client.
//! * [`connection`]: where the upstream is and the key to it.
//! * [`models`], [`chat`], [`usage`]: the proxy, stored chats, and what they cost.
//! * [`pages`]: what people see in a browser, in the languages of `i18n`, with answers rendered by `markdown`.
//! * [`api`]: the JSON routes over the same functions the pages call.

pub mod api;
pub mod auth;
pub mod chat;
mod config;
pub mod connection;
mod csrf;
pub mod database;
mod deferred_router;
mod error;
mod i18n;
mod lock;
mod markdown;
pub mod models;
mod offline_data;
pub mod pages;
mod request_log;
mod route;
mod run;
mod secret_key;
mod state;
mod status;
pub mod usage;
pub mod users;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tower::ServiceBuilder;
use tower_http::set_header::SetResponseHeaderLayer;

pub use config::{Config, Environment, LogFormat, Signup};
pub use error::{ApiError, ServeError};
pub use offline_data::OfflineData;
pub use route::Endpoint;
pub use run::run;
pub use state::{App, Parts};

/// The largest request body any route but chat completions accepts.
pub const BODY_LIMIT: usize = 64 * 1024;

/// Every route of the server, room by room; what the authorisation test walks over.
pub fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    let api = [api::ROUTES, chat::ROUTES, models::ROUTES, usage::ROUTES];
    api.into_iter().chain(pages::ROUTES.iter().copied()).flatten()
}

/// The whole server over a started [`App`].
pub fn router(app: App) -> Router {
    let router = Router::new()
        .merge(api::routes())
        .merge(usage::routes())
        .merge(models::routes())
        .merge(pages::routes())
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .merge(chat::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(
            ServiceBuilder::new()
                .layer(header_unless_set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
                .layer(header_unless_set(header::REFERRER_POLICY, "no-referrer"))
                .layer(csrf::CsrfForCookies),
        )
        .with_state(app);
    // Asked once: a server that doesn't log requests pays nothing for it.
    if request_log::is_on() { router.layer(axum::middleware::from_fn(request_log::log)) } else { router }
}

/// Sets a response header a handler has not set itself.
fn header_unless_set(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// True for the paths programs call, whose errors are JSON; all others belong to people and get pages.
pub fn is_api_path(path: &str) -> bool {
    ["/api/", "/v1/", "/openai/"].iter().any(|prefix| path.starts_with(prefix))
}

async fn not_found(State(app): State<App>, request: Request) -> Response {
    if is_api_path(request.uri().path()) {
        ApiError::new(StatusCode::NOT_FOUND, "Not Found").into_response()
    } else {
        pages::not_found(app, request).await
    }
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}
