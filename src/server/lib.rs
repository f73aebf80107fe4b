//! The per-client chat server: accounts, chat, usage, pages. Configured by its environment alone.
//!
//! # A request
//!
//! ```text
//! deferred_router ─ csrf ─ handler of api or pages
//!                          │ extracts who is calling (auth) and the parts it needs (App)
//!                          ├─ users, auth, connection, chat::store ──── database (readers, one writer)
//!                          └─ chat::Completions ── mai-openrouter ──── upstream
//!                                    └─ usage::Ledger ──────────────── database
//! ```
//!
//! # Layout
//!
//! * [`Config`]: every setting, each an environment variable and a flag.
//! * [`run()`]: one server process from the lock on its data to a clean shutdown.
//! * [`App`]: the parts of a started server, put together in one place (`state`).
//! * [`Endpoint`]: one route. Each room lists its own with their handlers; [`endpoints`] are all.
//!   `paths` brings other spellings of their paths to the one they have.
//! * `status`: the HTTP status of every error.
//! * `csrf` and `cors`: what pages of other sites may make a browser send, and what they may read.
//! * [`TrustedProxies`]: who says where a request comes from (`client_address`), and under which
//!   name the browser knows this server (`public_origin`).
//! * [`database`]: SQLite, read by a pool and written by one task; the migrations.
//! * [`audit`]: who did what to accounts, keys and settings, recorded in the transaction of the change.
//! * [`auth`]: who may do what: passwords, sessions, API keys, and the extractors that require
//!   them.
//! * [`users`]: the rules of registering, inviting, adding, changing and removing users, whose types are in
//!   `user`. The addresses of one-time links are in `account_link`.
//! * [`connection`]: the upstream's address and the key to it.
//! * `counts`: the numbers that the reconciler reads.
//! * [`models`]: the models on offer, and the upstream of each.
//! * [`chat`]: chat completions, stored chats, and the task that streams an answer (`answer_task`).
//! * [`usage`]: the one room that writes generations and their cost: the [ledger](usage::Ledger)
//!   opens and settles a row, `lookup` settles it later; and the reports.
//! * `zloty`: amounts in złoty, and the arithmetic between them and dollars.
//! * [`rates`]: exchange rates, asked of NBP in the background, and the rate that a closed month keeps.
//! * [`statement`]: the bill of a closed month, frozen from the sums of the ledger.
//! * [`api`]: the JSON routes, chat completions of OpenAI's API among them.
//! * [`pages`]: the pages, in the languages of `i18n`, with answers rendered by `markdown`. Pages
//!   and JSON routes call the same functions.
//! * [`import`]: takes over the data of another program into that of a stopped server.
//! * [`OfflineData`]: the data of a stopped server, for the reconciler's maintenance commands and for
//!   drills, which add an account to a copy (`probe_account`).
//!
//! Rooms are given the parts they use (`&Database`, `&Connections`, …), never the whole [`App`].

mod account_link;
pub mod api;
pub mod audit;
pub mod auth;
pub mod chat;
mod client_address;
mod config;
pub mod connection;
mod cors;
mod counts;
mod csrf;
pub mod database;
mod deferred_router;
mod error;
mod i18n;
pub mod import;
mod lock;
mod markdown;
pub mod models;
mod offline_data;
pub mod pages;
mod paths;
mod probe_account;
mod public_origin;
pub mod rates;
mod request_log;
mod route;
mod run;
mod secret_key;
mod state;
pub mod statement;
mod status;
pub mod usage;
mod user;
pub mod users;
mod zloty;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tower::ServiceBuilder;
use tower_http::set_header::SetResponseHeaderLayer;

pub use client_address::TrustedProxies;
pub use config::{Config, Environment, LogFormat, Region, Signup};
pub use error::{ApiError, ErrorCode, ServeError};
pub use offline_data::OfflineData;
pub use paths::is_api_path;
pub use probe_account::{ProbeAccount, ProbeError};
pub use route::Endpoint;
pub use run::run;
pub use state::{App, Parts};

/// The largest request body any route but chat completions accepts.
pub const BODY_LIMIT: usize = 64 * 1024;

/// The content security policy of everything that is not a page: a browser that shows it anyway
/// loads and runs nothing.
const NO_CONTENT_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Every route of the server, room by room; the authorisation test walks over them.
pub fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    api::ROUTES.iter().chain(api::COMPLETION_ROUTES).chain(pages::ROUTES).copied().flatten()
}

/// The router of a started [`App`].
pub fn router(app: App) -> Router {
    let origins = app.allowed_origins.clone();
    let router = Router::new()
        .merge(route::build(api::ROUTES))
        .merge(route::build(pages::ROUTES))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .merge(api::completion_routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(
            ServiceBuilder::new()
                .layer(header_unless_set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
                .layer(header_unless_set(header::REFERRER_POLICY, "no-referrer"))
                .layer(header_unless_set(header::CONTENT_SECURITY_POLICY, NO_CONTENT_POLICY))
                .layer(header_unless_set(header::CACHE_CONTROL, "no-store"))
                .layer(csrf::CsrfForCookies),
        )
        .with_state(app);
    let router = match origins.is_empty() {
        true => router,
        false => router.layer(axum::middleware::from_fn_with_state(origins, cors::apply)),
    };
    // Decided once: a server that does not log requests pays nothing for it.
    if request_log::is_enabled() { router.layer(axum::middleware::from_fn(request_log::log)) } else { router }
}

/// Sets a response header that the handler has not set.
fn header_unless_set(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

async fn not_found(State(app): State<App>, request: Request) -> Response {
    if let Some(answer) = without_version(request.uri().path()) {
        answer.into_response()
    } else if is_api_path(request.uri().path()) {
        ApiError::new(StatusCode::NOT_FOUND, "Not Found").code("unknown_url").into_response()
    } else {
        pages::not_found(&app, request).await
    }
}

async fn method_not_allowed(uri: Uri) -> ApiError {
    without_version(uri.path()).unwrap_or_else(|| ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"))
}

/// Returns the answer to a program whose base URL lacks `/v1`. Its path is one of pages, so it is not
/// served there.
fn without_version(path: &str) -> Option<ApiError> {
    let meant = paths::versioned(path)?;
    let message = format!("There is no API at {path}, but at {meant}: end the base URL in your program with /v1.");
    Some(ApiError::new(StatusCode::NOT_FOUND, message).code("unknown_url"))
}
