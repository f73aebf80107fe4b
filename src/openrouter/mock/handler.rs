//! The mock's routes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::body::MockBody;
use super::catalogue::{self, dollars};
use super::completion::{self, Shape};
use super::options::MockOptions;
use super::records::Records;
use super::response;
use super::template::Template;

const REQUEST_CAP: usize = 64 << 20;
/// A running mock.
pub(super) struct Mock {
    pub(super) options: MockOptions,
    pub(super) records: Arc<Records>,
    pub(super) serial: AtomicU64,
    pub(super) templates: Mutex<HashMap<Shape, Arc<Template>>>,
    openrouter_list: Bytes,
    ollama_list: Bytes,
}

impl Mock {
    pub(super) fn new(options: MockOptions) -> Self {
        Self {
            options,
            records: Arc::default(),
            // Ids must differ from those of a former run: they end up in databases that outlive
            // this process.
            serial: AtomicU64::new(rand::random()),
            templates: Mutex::default(),
            openrouter_list: catalogue::openrouter_list(),
            ollama_list: catalogue::ollama_list(),
        }
    }
}

/// Answers one request.
pub(super) async fn handle(mock: Arc<Mock>, request: Request<Incoming>) -> Result<Response<MockBody>, Infallible> {
    let (head, body) = request.into_parts();
    let (openrouter, path) = match (head.uri.path().strip_prefix("/api/v1"), head.uri.path().strip_prefix("/v1")) {
        (Some(path), _) => (true, path),
        (None, Some(path)) => (false, path),
        (None, None) => return Ok(response::error(StatusCode::NOT_FOUND, "Not Found")),
    };
    if openrouter && let Some(refusal) = refuse(&mock, &head.headers) {
        return Ok(refusal);
    }
    Ok(match (&head.method, path) {
        (&Method::POST, "/chat/completions") => match Limited::new(body, REQUEST_CAP).collect().await {
            Ok(body) => {
                completion::complete(&mock, openrouter, &body.to_bytes()).await.unwrap_or_else(|refusal| refusal)
            }
            Err(_) => response::error(StatusCode::PAYLOAD_TOO_LARGE, "Request payload too large"),
        },
        (&Method::GET, "/models") => {
            let list = if openrouter { &mock.openrouter_list } else { &mock.ollama_list };
            response::document(StatusCode::OK, list.clone())
        }
        (&Method::GET, "/key" | "/auth/key") if openrouter => {
            response::document(StatusCode::OK, key(&mock).to_string().into())
        }
        (&Method::GET, "/generation") if openrouter => {
            let query = head.uri.query().unwrap_or_default();
            let id = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "id");
            match id.and_then(|(_, id)| mock.records.document(&id)) {
                Some(data) => response::document(StatusCode::OK, json!({ "data": data }).to_string().into()),
                None => response::error(StatusCode::NOT_FOUND, "Generation not found"),
            }
        }
        _ => response::error(StatusCode::NOT_FOUND, "Not Found"),
    })
}

fn refuse(mock: &Mock, headers: &HeaderMap) -> Option<Response<MockBody>> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match (given, &mock.options.key) {
        (None | Some(""), _) => Some(response::error(StatusCode::UNAUTHORIZED, "Missing Authentication header")),
        (Some(given), Some(key)) if given != key.expose_secret() => {
            Some(response::error(StatusCode::UNAUTHORIZED, "User not found."))
        }
        _ => None,
    }
}

fn key(mock: &Mock) -> Value {
    let spent: serde_json::Number =
        serde_json::from_str(&dollars(mock.records.spent())).unwrap_or_else(|_| serde_json::Number::from(0));
    let label = match &mock.options.key {
        Some(key) => key.expose_secret().chars().take(12).chain("...".chars()).collect(),
        None => "mock".to_owned(),
    };
    json!({"data": {
        "label": label, "limit": null, "limit_remaining": null, "limit_reset": null, "include_byok_in_limit": false,
        "usage": spent, "usage_daily": spent, "usage_weekly": spent, "usage_monthly": spent,
        "byok_usage": 0, "byok_usage_daily": 0, "byok_usage_weekly": 0, "byok_usage_monthly": 0,
        "is_free_tier": false, "is_management_key": false, "is_provisioning_key": false, "creator_user_id": null,
        "expires_at": null, "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."}
    }})
}
