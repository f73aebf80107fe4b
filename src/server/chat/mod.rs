//! Chat completions, stored chats and live answers.
//!
//! * `proxy`: OpenAI's API, passed on byte for byte.
//! * [`create`], [`list`], [`get`], [`rename`], [`remove`]: stored chats.
//! * [`send`], [`regenerate`], [`stop`], [`follow`]: answers that are written whether anybody looks or not.
//!
//! Both ask through the same function (`ask`), so both are in the ledger.

mod answer;
mod completions;
mod error;
mod live_answers;
mod proxy;
mod request;
mod routes;
mod store;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::routing::{delete, get as get_route, post};

use super::{App, Endpoint, route};

pub(super) use answer::close;
pub use answer::{QUESTION_LENGTH, SentQuestion, regenerate, send, stop};
pub use error::{ChatError, CompletionError};
pub use live_answers::{AnswerEvent, Answers, follow};
pub(super) use store::close_interrupted;
pub use store::{Chat, Message, MessageRole, MessageStatus, TITLE_LENGTH, create, get, list, message, remove, rename};

/// The routes of this room.
pub const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::POST, path: "/api/chat/completions", handler: || post(proxy::complete) },
    Endpoint { method: Method::POST, path: "/api/v1/chat/completions", handler: || post(proxy::complete) },
    Endpoint { method: Method::POST, path: "/v1/chat/completions", handler: || post(proxy::complete) },
    Endpoint { method: Method::GET, path: "/api/v1/chats/", handler: || get_route(routes::list) },
    Endpoint { method: Method::GET, path: "/api/v1/chats/{id}", handler: || get_route(routes::get) },
    Endpoint { method: Method::DELETE, path: "/api/v1/chats/{id}", handler: || delete(routes::remove) },
];

/// The proxy has a limit of its own, with its own answer.
pub(super) fn routes() -> Router<App> {
    route::build(ROUTES).layer(DefaultBodyLimit::disable())
}
