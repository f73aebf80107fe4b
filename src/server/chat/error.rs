//! Errors of chat completions and of stored chats.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::ApiError;
use crate::database::DatabaseError;
use crate::error::HttpStatus;
use mai_openrouter::UpstreamError;

/// A completion that did not reach a model.
#[derive(Debug, thiserror::Error)]
pub enum CompletionError {
    /// No upstream is configured.
    #[error("No AI provider is connected yet. An administrator can connect one under Settings → Connection.")]
    NoConnection,
    /// The model is not offered, or not allowed here.
    #[error("Model not found")]
    ModelNotFound,
    /// The body is no valid chat request.
    #[error("The request is not valid: {0}.")]
    Malformed(#[source] serde_json::Error),
    /// The body is over the limit.
    #[error("The request is larger than {0} MiB, which is the most this server takes.")]
    TooLarge(usize),
    /// The upload was cut off.
    #[error("The request ended before it was complete.")]
    Incomplete,
    /// The upstream could not be reached, or left without an answer.
    #[error("{}", capitalised(.0))]
    Upstream(#[from] UpstreamError),
}

/// Returns the error as a sentence of its own: the client's errors begin in lower case.
fn capitalised(error: &UpstreamError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).chain(".".chars()).collect(),
        None => text,
    }
}

impl CompletionError {
    /// Returns OpenAI's type and code of the error.
    fn kind(&self) -> (&'static str, serde_json::Value) {
        match self {
            Self::NoConnection => ("server_error", json!("no_connection")),
            Self::ModelNotFound => ("invalid_request_error", json!("model_not_found")),
            Self::Malformed(_) | Self::Incomplete => ("invalid_request_error", json!("invalid_request")),
            // A number, as OpenRouter has it for its own limit.
            Self::TooLarge(_) => ("invalid_request_error", json!(413)),
            Self::Upstream(_) => ("upstream_error", json!("upstream_unreachable")),
        }
    }
}

impl IntoResponse for CompletionError {
    /// Answers OpenAI's `{"error":{message,type,code}}`; for an unknown model and a malformed body
    /// Open WebUI's `{"detail"}`, which its clients expect.
    fn into_response(self) -> Response {
        let status = self.status();
        let sentence = self.to_string();
        if status == StatusCode::BAD_REQUEST {
            return ApiError::new(status, sentence).into_response();
        }
        let (kind, code) = self.kind();
        let body = json!({ "error": { "message": sentence, "type": kind, "code": code }, "detail": sentence });
        let mut response = (status, Json(body)).into_response();
        if let Self::TooLarge(_) = self {
            // The rest of the upload is not read.
            response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        }
        response
    }
}

/// An operation on a stored chat that failed.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// No such chat, or another user's, which is answered alike.
    #[error("There is no such chat.")]
    NotFound,
    /// An answer is being written in this chat.
    #[error("An answer is still being written in this chat. Wait for it, or stop it first.")]
    Busy,
    /// The question is empty.
    #[error("Please write a question first.")]
    Empty,
    /// The question is too long.
    #[error("A question can have at most {0} characters. Please shorten it.")]
    TooLong(usize),
    /// The title is empty or too long.
    #[error("A title has 1 to {0} characters.")]
    BadTitle(usize),
    /// The model cannot be asked.
    #[error(transparent)]
    Completion(#[from] CompletionError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
