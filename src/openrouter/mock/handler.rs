//! The mock's routes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::body::MockBody;
use super::catalogue::{self, dollars};
use super::completion::{self, Shape};
use super::keys::{KeyId, Keys, label};
use super::management;
use super::options::MockOptions;
use super::records::Records;
use super::response;
use super::template::Template;

const REQUEST_CAP: usize = 64 << 20;

/// A running mock.
pub(super) struct Mock {
    pub(super) options: MockOptions,
    pub(super) records: Arc<Records>,
    pub(super) keys: Arc<Keys>,
    pub(super) made_first_key: AtomicBool,
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
            keys: Arc::default(),
            made_first_key: AtomicBool::new(false),
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
    let caller = match identify(&mock, &head.headers) {
        Ok(caller) => caller,
        Err(message) if openrouter => return Ok(response::error(StatusCode::UNAUTHORIZED, message)),
        Err(_) => Caller::Any,
    };
    if openrouter && management::is_managed(path) {
        let Caller::Management = caller else {
            return Ok(response::error(StatusCode::FORBIDDEN, "Only management keys can perform this operation"));
        };
        let Ok(body) = Limited::new(body, REQUEST_CAP).collect().await else {
            return Ok(response::error(StatusCode::PAYLOAD_TOO_LARGE, "Request payload too large"));
        };
        let query = head.uri.query().unwrap_or_default();
        let answer = management::answer(&mock, &head.method, path, query, &body.to_bytes()).await;
        return Ok(answer.unwrap_or_else(|refusal| refusal));
    }
    Ok(match (&head.method, path) {
        (&Method::POST, "/chat/completions") if openrouter && matches!(caller, Caller::Management) => {
            response::error(StatusCode::FORBIDDEN, "Management keys cannot be used for inference")
        }
        (&Method::POST, "/chat/completions") => match Limited::new(body, REQUEST_CAP).collect().await {
            Ok(body) => completion::complete(&mock, openrouter, caller.key().filter(|_| openrouter), &body.to_bytes())
                .await
                .unwrap_or_else(|refusal| refusal),
            Err(_) => response::error(StatusCode::PAYLOAD_TOO_LARGE, "Request payload too large"),
        },
        (&Method::GET, "/models") => {
            let list = if openrouter { &mock.openrouter_list } else { &mock.ollama_list };
            response::document(StatusCode::OK, list.clone())
        }
        (&Method::GET, "/key" | "/auth/key") if openrouter => {
            response::document(StatusCode::OK, key(&mock, &caller).to_string().into())
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

/// The owner of the key of a request.
enum Caller {
    /// Of the key in the settings, or of any where all are accepted.
    Any,
    /// Of the management key.
    Management,
    /// Of a key that was made with it.
    Made(KeyId),
}

impl Caller {
    /// Returns the key that is charged, where it has a limit of its own.
    fn key(&self) -> Option<&KeyId> {
        match self {
            Self::Made(key) => Some(key),
            Self::Any | Self::Management => None,
        }
    }
}

/// Returns the owner of the key of a request, or why there is none.
fn identify(mock: &Mock, headers: &HeaderMap) -> Result<Caller, &'static str> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(given) = given.filter(|given| !given.is_empty()) else { return Err("Missing Authentication header") };
    let is = |key: &Option<SecretString>| key.as_ref().is_some_and(|key| key.expose_secret() == given);
    let MockOptions { key, management_key, .. } = &mock.options;
    if is(management_key) {
        return Ok(Caller::Management);
    }
    if let Some(made) = mock.keys.find(given) {
        return Ok(Caller::Made(made));
    }
    match is(key) || (key.is_none() && management_key.is_none()) {
        true => Ok(Caller::Any),
        false => Err("User not found."),
    }
}

fn key(mock: &Mock, caller: &Caller) -> Value {
    let common = json!({
        "is_free_tier": false, "is_management_key": matches!(caller, Caller::Management), "is_provisioning_key": false,
        "creator_user_id": null, "expires_at": null,
        "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."}
    });
    let mut data = match caller.key().and_then(|key| mock.keys.document(key.hash())) {
        Some(made) => made,
        None => unlimited_key(mock),
    };
    if let (Some(data), Value::Object(common)) = (data.as_object_mut(), common) {
        for secret in ["hash", "name", "disabled"] {
            data.remove(secret);
        }
        data.extend(common);
    }
    json!({ "data": data })
}

fn unlimited_key(mock: &Mock) -> Value {
    let spent: serde_json::Number =
        serde_json::from_str(&dollars(mock.records.spent())).unwrap_or_else(|_| serde_json::Number::from(0));
    let label = mock.options.key.as_ref().map_or_else(|| "mock".to_owned(), |key| label(key.expose_secret()));
    json!({
        "label": label, "limit": null, "limit_remaining": null, "limit_reset": null, "include_byok_in_limit": false,
        "usage": spent, "usage_daily": spent, "usage_weekly": spent, "usage_monthly": spent,
        "byok_usage": 0, "byok_usage_daily": 0, "byok_usage_weekly": 0, "byok_usage_monthly": 0
    })
}
