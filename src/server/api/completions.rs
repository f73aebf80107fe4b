//! The routes of OpenAI's API that run a model: completions of chats and texts, responses and
//! embeddings, passed to the upstream and back with no byte changed but the user's id.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, Response, header};
use axum::response::IntoResponse;
use axum::routing::post;

use super::identified_body::identified;
use super::request_fields::RequestFields;
use super::{model_choice, upload, upstream_answer};
use crate::auth::{ChatAccess, CurrentUser};
use crate::chat::{CompletionError, CompletionRequest, Completions, Operation};
use crate::error::HttpStatus;
use crate::usage::Via;
use crate::{ApiError, Endpoint, ErrorCode};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::POST, path: "/api/chat/completions", handler: || post(chat) },
    Endpoint { method: Method::POST, path: "/api/v1/chat/completions", handler: || post(chat) },
    Endpoint { method: Method::POST, path: "/v1/chat/completions", handler: || post(chat) },
    Endpoint { method: Method::POST, path: "/api/v1/completions", handler: || post(completion) },
    Endpoint { method: Method::POST, path: "/v1/completions", handler: || post(completion) },
    Endpoint { method: Method::POST, path: "/api/embeddings", handler: || post(embeddings) },
    Endpoint { method: Method::POST, path: "/api/v1/embeddings", handler: || post(embeddings) },
    Endpoint { method: Method::POST, path: "/v1/embeddings", handler: || post(embeddings) },
    Endpoint { method: Method::POST, path: "/api/v1/responses", handler: || post(responses) },
    Endpoint { method: Method::POST, path: "/v1/responses", handler: || post(responses) },
];

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

async fn chat(
    State(completions): State<Completions>,
    ChatAccess(user): ChatAccess,
    request: Request,
) -> Result<Response<Body>, CompletionError> {
    forward(&completions, &user, request, Operation::Chat).await
}

async fn completion(
    State(completions): State<Completions>,
    ChatAccess(user): ChatAccess,
    request: Request,
) -> Result<Response<Body>, CompletionError> {
    forward(&completions, &user, request, Operation::Completion).await
}

async fn embeddings(
    State(completions): State<Completions>,
    ChatAccess(user): ChatAccess,
    request: Request,
) -> Result<Response<Body>, CompletionError> {
    forward(&completions, &user, request, Operation::Embeddings).await
}

async fn responses(
    State(completions): State<Completions>,
    ChatAccess(user): ChatAccess,
    request: Request,
) -> Result<Response<Body>, CompletionError> {
    forward(&completions, &user, request, Operation::Responses).await
}

/// Sends a request to the upstream of its model and returns the answer as it comes.
async fn forward(
    completions: &Completions,
    user: &CurrentUser,
    request: Request,
    operation: Operation,
) -> Result<Response<Body>, CompletionError> {
    let (head, body) = request.into_parts();
    let body = upload::read(&head.headers, body).await?;
    let fields = RequestFields::read(&body)?;
    if fields.choices.are_any() && completions.is_restricted().await {
        model_choice::check(&fields.choices)?;
    }
    let identity = match operation {
        Operation::Chat | Operation::Completion | Operation::Embeddings => "user",
        Operation::Responses => "safety_identifier",
    };
    let (spans, present) = fields.identity_spans(&body, identity);
    let id = completions.upstream_user(&user.id);
    let pieces = identified(&body, &spans, (!present).then_some(identity), &id);
    let mut headers = HeaderMap::with_capacity(FORWARDED_HEADERS.len());
    for name in &FORWARDED_HEADERS {
        if let Some(value) = head.headers.get(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    let answer = completions
        .send(CompletionRequest {
            operation,
            user: &user.id,
            key: user.api_key().map(|key| &key.id),
            model: fields.model.as_deref().unwrap_or_default(),
            fallbacks: &fields.models,
            streamed: fields.stream,
            via: Via::Api,
            chat: None,
            size: fields.size(&body),
            headers,
            body: pieces,
        })
        .await?;
    upstream_answer::pass(answer)
}

/// Returns OpenAI's type, code and wrong field of the error.
fn kind(error: &CompletionError) -> (&'static str, ErrorCode, Option<&'static str>) {
    const INVALID: &str = "invalid_request_error";
    match error {
        CompletionError::NoConnection => ("server_error", ErrorCode::Text("no_connection"), None),
        CompletionError::NotPrivate { .. } => ("server_error", ErrorCode::Text("not_private"), None),
        CompletionError::ModelNotFound => (INVALID, ErrorCode::Text("model_not_found"), Some("model")),
        CompletionError::InvalidField { field, .. } | CompletionError::MayChooseModel { field, .. } => {
            (INVALID, ErrorCode::Text("invalid_request"), Some(field))
        }
        CompletionError::Malformed(_)
        | CompletionError::Incomplete
        | CompletionError::UnknownCoding
        | CompletionError::NotUnpacked => (INVALID, ErrorCode::Text("invalid_request"), None),
        // A number, as OpenRouter has it for its own limit.
        CompletionError::TooLarge(_) => (INVALID, ErrorCode::Number(413), None),
        CompletionError::OverBudget(_) => ("insufficient_quota", ErrorCode::Text("budget_exceeded"), None),
        CompletionError::Overloaded => ("server_error", ErrorCode::Text("overloaded"), None),
        CompletionError::NoApiAnswer(_) => ("upstream_error", ErrorCode::Text("upstream_answer"), None),
        CompletionError::Upstream(_) => ("upstream_error", ErrorCode::Text("upstream_unreachable"), None),
    }
}

impl IntoResponse for CompletionError {
    fn into_response(self) -> Response<Body> {
        let (kind, code, param) = kind(&self);
        let mut answer = ApiError::new(self.status(), self.to_string()).kind(kind).code(code).param(param);
        if let Self::OverBudget(refusal) = &self {
            answer = answer.metadata(refusal);
        }
        let mut response = answer.into_response();
        if let Self::TooLarge(_) = self {
            // The rest of the upload is not read.
            response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        }
        response
    }
}
