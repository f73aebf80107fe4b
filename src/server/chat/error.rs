//! Why a chat could not be had, for API clients and for the pages.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::ApiError;
use crate::database::DatabaseError;
use mai_openrouter::UpstreamError;

/// A question that did not reach a model.
#[derive(Debug, thiserror::Error)]
pub enum CompletionError {
    /// No upstream is configured.
    #[error("No AI provider is connected yet. An administrator can connect one under Settings → Connection.")]
    NoConnection,
    /// The model is not offered, or not allowed here.
    #[error("Model not found")]
    ModelNotFound,
    /// The body is no JSON object that a chat request can be.
    #[error("The request is not valid: {0}.")]
    Malformed(String),
    /// The body is over the limit.
    #[error("The request is larger than {0} MiB, which is the most this server takes.")]
    TooLarge(usize),
    /// The caller's upload broke off.
    #[error("The request ended before it was complete.")]
    Incomplete,
    /// The upstream could not be reached, or left without an answer.
    #[error("{}", capitalised(.0))]
    Upstream(#[from] UpstreamError),
}

/// Errors of the upstream begin in lower case, to follow what was tried; here they stand alone.
fn capitalised(error: &UpstreamError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).chain(".".chars()).collect(),
        None => text,
    }
}

impl CompletionError {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoConnection => StatusCode::SERVICE_UNAVAILABLE,
            Self::ModelNotFound | Self::Malformed(_) | Self::Incomplete => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Upstream(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// OpenAI's kind and code of the error.
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
    /// OpenAI's `{"error":{message,type,code}}`; for an unknown model and a malformed body Open WebUI's `{"detail"}`,
    /// which its clients know.
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
            // What is left of the upload is not read.
            response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        }
        response
    }
}

/// Why something could not be done with a stored chat.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// It is not there, or it is somebody else's, which is the same to whoever asks.
    #[error("There is no such chat.")]
    NotFound,
    /// An answer is being written in this chat.
    #[error("An answer is still being written in this chat. Wait for it, or stop it first.")]
    Busy,
    /// There is nothing to ask.
    #[error("Please write a question first.")]
    Empty,
    /// The question is too long.
    #[error("A question can have at most {0} characters. Please shorten it.")]
    TooLong(usize),
    /// The title is empty or too long.
    #[error("A title has 1 to {0} characters.")]
    BadTitle(usize),
    /// The question cannot be put to this model.
    #[error(transparent)]
    Completion(#[from] CompletionError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<ChatError> for ApiError {
    fn from(error: ChatError) -> Self {
        let sentence = error.to_string();
        match error {
            ChatError::Database(error) => error.into(),
            ChatError::NotFound => Self::new(StatusCode::NOT_FOUND, sentence),
            ChatError::Busy => Self::new(StatusCode::CONFLICT, sentence),
            ChatError::Empty | ChatError::TooLong(_) | ChatError::BadTitle(_) => {
                Self::new(StatusCode::BAD_REQUEST, sentence)
            }
            ChatError::Completion(error) => Self::new(error.status(), sentence),
        }
    }
}
