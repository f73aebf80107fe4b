//! `POST /api/chat/completions`: OpenAI's chat API, passed to the upstream and back with no byte
//! changed but `user`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, Response, header};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, http::StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde_json::json;

use super::chat_request::{ChatRequest, with_user};
use crate::auth::CurrentUser;
use crate::chat::{CompletionError, CompletionRequest, Completions};
use crate::error::HttpStatus;
use crate::usage::Via;
use crate::{ApiError, Endpoint};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::POST, path: "/api/chat/completions", handler: || post(complete) },
    Endpoint { method: Method::POST, path: "/api/v1/chat/completions", handler: || post(complete) },
    Endpoint { method: Method::POST, path: "/v1/chat/completions", handler: || post(complete) },
];

/// The largest request body, in MiB.
const LIMIT_MIB: usize = 20;
const LIMIT: usize = LIMIT_MIB << 20;
/// A body that is too large is read on up to this size and for this time, because a client that is
/// still sending cannot read the refusal.
const DRAIN_LIMIT: usize = 100 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(20);

/// Request headers that OpenRouter reads; all others are dropped.
static FORWARDED_HEADERS: [HeaderName; 7] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    HeaderName::from_static("http-referer"),
    HeaderName::from_static("x-title"),
    HeaderName::from_static("x-openrouter-title"),
    HeaderName::from_static("x-openrouter-categories"),
    HeaderName::from_static("x-openrouter-metadata"),
];

/// Response headers of the hop to the upstream, or of its host; not forwarded.
static HOP_HEADERS: [HeaderName; 12] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::SET_COOKIE,
    header::ALT_SVC,
    header::STRICT_TRANSPORT_SECURITY,
    header::CONTENT_SECURITY_POLICY,
];

/// Handles the three paths of the API.
pub(super) async fn complete(
    State(completions): State<Completions>,
    user: CurrentUser,
    request: Request,
) -> Result<Response<Body>, CompletionError> {
    let (head, body) = request.into_parts();
    let body = read(&head.headers, body).await?;
    let question = ChatRequest::read(&body).map_err(CompletionError::Malformed)?;
    let model = question.model.as_deref().unwrap_or_default();
    let fallbacks = question.models.as_deref().unwrap_or_default();
    let pieces = with_user(&body, question.user_span(&body), &completions.upstream_user(&user.id));
    let mut headers = HeaderMap::with_capacity(FORWARDED_HEADERS.len());
    for name in &FORWARDED_HEADERS {
        if let Some(value) = head.headers.get(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    let answer = completions
        .send(CompletionRequest {
            user: &user.id,
            model,
            fallbacks,
            streamed: question.stream == Some(true),
            via: Via::Api,
            chat: None,
            headers,
            body: pieces,
        })
        .await?;
    let (mut head, body) = answer.into_parts();
    for name in &HOP_HEADERS {
        head.headers.remove(name);
    }
    // For a reverse proxy such as nginx, which would otherwise buffer a stream.
    head.headers.insert(HeaderName::from_static("x-accel-buffering"), header::HeaderValue::from_static("no"));
    head.extensions.clear();
    Ok(Response::from_parts(head, Body::new(body)).into_response())
}

/// Reads the whole body, up to the limit.
async fn read(headers: &HeaderMap, mut body: Body) -> Result<Bytes, CompletionError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > LIMIT) {
        return Err(too_large(body).await);
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| CompletionError::Incomplete)?.into_data() else { continue };
        if first.is_empty() {
            // Most bodies come in one piece and need no copy.
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(length.unwrap_or(0).max(first.len() + data.len()));
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&data);
        if whole.len() > LIMIT {
            drop(whole);
            return Err(too_large(body).await);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

async fn too_large(mut body: Body) -> CompletionError {
    let drain = async {
        let mut drained = 0;
        while let Some(Ok(frame)) = body.frame().await {
            drained += frame.data_ref().map_or(0, Bytes::len);
            if drained > DRAIN_LIMIT {
                break;
            }
        }
    };
    // The answer is the same if it was not drained.
    let _ = tokio::time::timeout(DRAIN_TIME, drain).await;
    CompletionError::TooLarge(LIMIT_MIB)
}

/// Returns OpenAI's type and code of the error.
fn kind(error: &CompletionError) -> (&'static str, serde_json::Value) {
    match error {
        CompletionError::NoConnection => ("server_error", json!("no_connection")),
        CompletionError::ModelNotFound => ("invalid_request_error", json!("model_not_found")),
        CompletionError::Malformed(_) | CompletionError::Incomplete => {
            ("invalid_request_error", json!("invalid_request"))
        }
        // A number, as OpenRouter has it for its own limit.
        CompletionError::TooLarge(_) => ("invalid_request_error", json!(413)),
        CompletionError::Upstream(_) => ("upstream_error", json!("upstream_unreachable")),
    }
}

impl IntoResponse for CompletionError {
    /// Answers OpenAI's `{"error":{message,type,code}}`; for an unknown model and a malformed body
    /// Open WebUI's `{"detail"}`, which its clients expect.
    fn into_response(self) -> Response<Body> {
        let status = self.status();
        let sentence = self.to_string();
        if status == StatusCode::BAD_REQUEST {
            return ApiError::new(status, sentence).into_response();
        }
        let (kind, code) = kind(&self);
        let body = json!({ "error": { "message": sentence, "type": kind, "code": code }, "detail": sentence });
        let mut response = (status, Json(body)).into_response();
        if let Self::TooLarge(_) = self {
            // The rest of the upload is not read.
            response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        }
        response
    }
}
