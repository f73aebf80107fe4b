//! The mock's plain answers: documents and errors in OpenRouter's shapes.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::body::MockBody;

/// OpenRouter's error answer of this status.
pub(super) fn refusal(code: u16) -> Response<MockBody> {
    let message = match code {
        400 => "Invalid request parameters",
        401 => "User not found.",
        402 => "Insufficient credits. Add more using https://openrouter.ai/credits",
        403 => "Request blocked: the key's guardrail does not allow it",
        404 => "Resource not found",
        408 => "Operation timed out. Please try again later.",
        413 => "Request payload too large",
        422 => "Invalid argument",
        429 => "Rate limit exceeded",
        502 => "Provider returned error",
        503 => "Service temporarily unavailable",
        _ => "Internal Server Error",
    };
    let mut response = error(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), message);
    if code == 429 {
        for (name, value) in [
            ("x-ratelimit-limit", "20"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1795499700000"),
            ("retry-after", "7"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// An error in OpenRouter's shape.
pub(super) fn error(status: StatusCode, message: &str) -> Response<MockBody> {
    document(status, json!({"error": {"message": message, "code": status.as_u16()}}).to_string().into())
}

/// An error in OpenRouter's shape, with metadata.
pub(super) fn error_with(status: StatusCode, message: &str, metadata: Value) -> Response<MockBody> {
    let error = json!({"message": message, "code": status.as_u16(), "metadata": metadata});
    document(status, json!({ "error": error }).to_string().into())
}

/// An answer that is one JSON document.
pub(super) fn document(status: StatusCode, body: Bytes) -> Response<MockBody> {
    let mut response = Response::new(MockBody::Whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
