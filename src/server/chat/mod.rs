//! Chat completions, stored chats, and the answers being written in them.
//!
//! * [`Completions`]: the only way to a model. It routes a request to the model's upstream, enters
//!   it in the ledger, and returns the answer as a `metered_body`, which closes the ledger row when
//!   it ends.
//! * `proxy`: OpenAI's API, passed through [`Completions`] byte for byte.
//! * [`Answers`]: asks in a stored chat. An `answer_task` streams the answer into a `live_answer`,
//!   saves it, and goes on without readers; [`Answers::follow`] streams it to any number of them.
//! * [`create`], [`list`], [`get`], [`rename`], [`remove`]: rows of stored chats (`store`).
//! * [`AnswerFailure`]: the reason of a failed answer, stored as a code and worded for each reader.
//!
//! No page is drawn here, and no price is computed.

mod answer_task;
mod answers;
mod begin_answer;
mod completions;
mod error;
mod event_reader;
mod failure;
mod failure_texts;
mod live_answer;
mod message;
mod metered_body;
mod proxy;
mod request;
mod routes;
mod store;
mod title;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::routing::{delete, get as get_route, post};

use super::{App, Endpoint, route};

pub use answers::{Answers, QUESTION_LENGTH, SentQuestion};
pub use completions::Completions;
pub use error::{ChatError, CompletionError};
pub use failure::{AnswerFailure, FailureCode};
pub use live_answer::AnswerEvent;
pub use message::{Chat, Message, MessageRole, MessageStatus};
pub(super) use store::close_interrupted;
pub use store::{create, get, list, message, remove, rename};
pub use title::TITLE_LENGTH;

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
