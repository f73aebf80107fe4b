//! The mock's routes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::body::{Events, MockBody};
use super::catalogue::{self, Offer, dollars};
use super::records::{Records, Running};
use super::template::{Template, generation_id};
use super::{MockOptions, answer};

const REQUEST_CAP: usize = 64 << 20;
const STORE_DELAY: Duration = Duration::from_millis(500);
/// Distinct shapes of plain answers whose bytes are kept.
const TEMPLATES: usize = 64;

/// Model, chunks, and bytes of text in each.
type Shape = (&'static str, usize, usize);

/// A running mock.
pub(super) struct Mock {
    options: MockOptions,
    records: Arc<Records>,
    serial: AtomicU64,
    templates: Mutex<HashMap<Shape, Arc<Template>>>,
    openrouter_list: Bytes,
    ollama_list: Bytes,
}

impl Mock {
    pub(super) fn new(options: MockOptions) -> Self {
        Self {
            options,
            records: Arc::default(),
            // Ids must differ from those of a former run: they end up in databases that outlive this process.
            serial: AtomicU64::new(rand::random()),
            templates: Mutex::default(),
            openrouter_list: catalogue::openrouter_list(),
            ollama_list: catalogue::ollama_list(),
        }
    }
}

/// The part of a chat request the mock looks at.
#[derive(Deserialize)]
struct Asked<'a> {
    model: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
    user: Option<String>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    metadata: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(default)]
    role: Option<String>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

/// Answers one request.
pub(super) async fn handle(mock: Arc<Mock>, request: Request<Incoming>) -> Result<Response<MockBody>, Infallible> {
    let (head, body) = request.into_parts();
    let (openrouter, path) = match (head.uri.path().strip_prefix("/api/v1"), head.uri.path().strip_prefix("/v1")) {
        (Some(path), _) => (true, path),
        (None, Some(path)) => (false, path),
        (None, None) => return Ok(error(StatusCode::NOT_FOUND, "Not Found")),
    };
    if openrouter && let Some(refusal) = refuse(&mock, &head.headers) {
        return Ok(refusal);
    }
    Ok(match (&head.method, path) {
        (&Method::POST, "/chat/completions") => match Limited::new(body, REQUEST_CAP).collect().await {
            Ok(body) => complete(&mock, openrouter, &body.to_bytes()).await.unwrap_or_else(|refusal| refusal),
            Err(_) => error(StatusCode::PAYLOAD_TOO_LARGE, "Request payload too large"),
        },
        (&Method::GET, "/models") => {
            let list = if openrouter { &mock.openrouter_list } else { &mock.ollama_list };
            document(StatusCode::OK, list.clone())
        }
        (&Method::GET, "/key" | "/auth/key") if openrouter => document(StatusCode::OK, key(&mock).to_string().into()),
        (&Method::GET, "/generation") if openrouter => {
            let query = head.uri.query().unwrap_or_default();
            let id = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "id");
            match id.and_then(|(_, id)| mock.records.tell(&id)) {
                Some(data) => document(StatusCode::OK, json!({ "data": data }).to_string().into()),
                None => error(StatusCode::NOT_FOUND, "Generation not found"),
            }
        }
        _ => error(StatusCode::NOT_FOUND, "Not Found"),
    })
}

fn refuse(mock: &Mock, headers: &HeaderMap) -> Option<Response<MockBody>> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match (given, &mock.options.key) {
        (None | Some(""), _) => Some(error(StatusCode::UNAUTHORIZED, "Missing Authentication header")),
        (Some(given), Some(key)) if given != key.expose_secret() => {
            Some(error(StatusCode::UNAUTHORIZED, "User not found."))
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

async fn complete(mock: &Mock, openrouter: bool, body: &[u8]) -> Result<Response<MockBody>, Response<MockBody>> {
    let bad = |message: &str| error(StatusCode::BAD_REQUEST, message);
    let asked: Asked = serde_json::from_slice(body).map_err(|_| bad("Invalid request parameters"))?;
    let model = asked.model.as_deref().unwrap_or_default();
    let offers = if openrouter { catalogue::OPENROUTER } else { catalogue::OLLAMA };
    let offer = offers
        .iter()
        .find(|offer| offer.id == model)
        .ok_or_else(|| bad(&format!("{model} is not a valid model ID")))?;
    let settings = asked.metadata.as_ref().and_then(|metadata| metadata.get("mock"));
    // The messages are read only when they decide something: the bench says all in its metadata.
    let question = if settings.is_some() { String::new() } else { question(asked.messages) };
    let settings = settings.map(String::as_str).or_else(|| question.trim().strip_prefix("mock:")).unwrap_or_default();
    let behaviour = Behaviour::parse(settings).map_err(|sentence| bad(&sentence))?;

    pause(behaviour.head).await;
    if let Some(code) = behaviour.error {
        return Err(refusal(code));
    }
    let template = template(mock, offer, &behaviour, &question);
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let id = match openrouter {
        true => generation_id(created, mock.serial.fetch_add(1, Ordering::Relaxed)),
        // Ollama's ids are small numbers that come again and again.
        false => format!("chatcmpl-{}", mock.serial.fetch_add(1, Ordering::Relaxed) % 1000),
    };
    let running = Running {
        records: Arc::clone(&mock.records),
        id: id.clone(),
        offer,
        user: asked.user,
        created,
        streamed: asked.stream == Some(true),
        prompt_tokens: (asked.messages.map_or(0, |raw| raw.get().len() as u64) / 4).max(1),
        completion_tokens: 0,
        store_delay: behaviour.store.unwrap_or(STORE_DELAY),
        finish: None,
    };
    let delay = behaviour.delay.unwrap_or(if behaviour.chunks.is_some() { Duration::ZERO } else { mock.options.delay });
    let mut response = if running.streamed {
        stream(&template, &behaviour, delay, running)
    } else {
        whole(&template, &behaviour, delay, running).await?
    };
    if openrouter && let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-generation-id", id);
    }
    Ok(response)
}

/// The last thing the user said.
fn question(messages: Option<&RawValue>) -> String {
    let said: Vec<Said> = messages.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let last = said.iter().rev().find(|said| said.role.as_deref() == Some("user")).and_then(|said| said.content);
    match last.and_then(|raw| serde_json::from_str(raw.get()).ok()) {
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

fn template(mock: &Mock, offer: &'static Offer, behaviour: &Behaviour, question: &str) -> Arc<Template> {
    let Some(chunks) = behaviour.chunks else {
        return Arc::new(Template::build(offer, &answer::friendly(question, offer.id)));
    };
    let size = behaviour.size.unwrap_or(8);
    let mut templates = mock.templates.lock();
    if templates.len() >= TEMPLATES {
        templates.clear();
    }
    let make = || Arc::new(Template::build(offer, &answer::plain(chunks, size)));
    Arc::clone(templates.entry((offer.id, chunks, size)).or_insert_with(make))
}

fn usage(running: &Running, completion_tokens: u64) -> String {
    let (prompt, total) = (running.prompt_tokens, running.prompt_tokens + completion_tokens);
    let paid = if running.offer.provider.is_empty() {
        String::new()
    } else {
        let prompt_cost = prompt * running.offer.prompt;
        let completion_cost = completion_tokens * running.offer.completion;
        format!(
            r#","cost":{},"is_byok":false,"cost_details":{{"upstream_inference_cost":null,"upstream_inference_prompt_cost":{},"upstream_inference_completions_cost":{}}},"prompt_tokens_details":{{"cached_tokens":0,"cache_write_tokens":0,"audio_tokens":0,"video_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"image_tokens":0}}"#,
            dollars(prompt_cost + completion_cost),
            dollars(prompt_cost),
            dollars(completion_cost)
        )
    };
    format!(r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion_tokens},"total_tokens":{total}{paid}}}"#)
}

fn stream(template: &Template, behaviour: &Behaviour, delay: Duration, running: Running) -> Response<MockBody> {
    let (id, created, offer) = (&running.id, running.created, running.offer);
    let texts = template.texts;
    let limit = behaviour.cut.or(behaviour.fail).unwrap_or(usize::MAX).min(texts);
    let stopped = behaviour.cut.is_some() || behaviour.fail.is_some();
    let head = format!(
        r#""id":"{id}","provider":"{}","model":"{}","object":"chat.completion.chunk","created":{created}"#,
        offer.provider, offer.id
    );
    let closing = if behaviour.cut.is_some() {
        None
    } else if behaviour.fail.is_some() {
        Some(format!(
            "data: {{{head},\"error\":{{\"code\":502,\"message\":\"Provider disconnected unexpectedly\",\"metadata\":{{\"error_type\":\"provider_unavailable\"}}}},\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"\"}},\"finish_reason\":\"error\"}}]}}\n\n"
        ))
    } else if behaviour.no_usage {
        Some("data: [DONE]\n\n".to_owned())
    } else {
        Some(format!("data: {{{head},\"choices\":[],\"usage\":{}}}\n\ndata: [DONE]\n\n", usage(&running, texts as u64)))
    };
    let events = Events {
        stamped: template.stamp(id, created),
        opening: Some(Bytes::from_static(b": OPENROUTER PROCESSING\n\n")).filter(|_| !offer.provider.is_empty()),
        closing: closing.map(Bytes::from),
        chunks: if stopped { limit } else { texts + 1 },
        next: 0,
        cut: behaviour.cut.is_some(),
        delay,
        first: behaviour.first,
        pause: None,
        paused: false,
        running,
        texts,
        finish: if behaviour.fail.is_some() { "error" } else { "stop" },
    };
    let mut response = Response::new(MockBody::Events(Box::new(events)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn whole(
    template: &Template,
    behaviour: &Behaviour,
    delay: Duration,
    mut running: Running,
) -> Result<Response<MockBody>, Response<MockBody>> {
    // Going away now saves nothing: an answer that is not streamed is generated, and charged, whole.
    running.completion_tokens = template.texts as u64;
    let pieces = u32::try_from(template.texts).unwrap_or(u32::MAX);
    pause(behaviour.first + delay.saturating_mul(pieces)).await;
    if behaviour.fail.is_some() || behaviour.cut.is_some() {
        running.finish = Some("error");
        return Err(refusal(502));
    }
    running.finish = Some("stop");
    let id = &running.id;
    let stamped = template.stamp(id, running.created);
    let text: String = (0..template.texts).filter_map(|n| stamped.chunk(n)).filter_map(|chunk| said(&chunk)).collect();
    let mut answer = json!({
        "id": id, "provider": running.offer.provider, "model": running.offer.id, "object": "chat.completion",
        "created": running.created, "system_fingerprint": null,
        "choices": [{
            "index": 0, "finish_reason": "stop", "native_finish_reason": "stop", "logprobs": null,
            "message": {"role": "assistant", "content": text, "refusal": null, "reasoning": null}
        }]
    });
    if !behaviour.no_usage {
        answer["usage"] = json!("here");
    }
    let answer = answer.to_string().replacen("\"here\"", &usage(&running, running.completion_tokens), 1);
    Ok(document(StatusCode::OK, answer.into()))
}

/// The text inside one chunk.
fn said(chunk: &[u8]) -> Option<String> {
    let chunk: Value = serde_json::from_slice(chunk.strip_prefix(b"data: ")?).ok()?;
    Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())
}

/// OpenRouter's error of this code, in its words.
fn refusal(code: u16) -> Response<MockBody> {
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

fn error(status: StatusCode, message: &str) -> Response<MockBody> {
    document(status, json!({"error": {"message": message, "code": status.as_u16()}}).to_string().into())
}

fn document(status: StatusCode, body: Bytes) -> Response<MockBody> {
    let mut response = Response::new(MockBody::Whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A timer is never over at once, not even one of no length.
async fn pause(length: Duration) {
    if !length.is_zero() {
        tokio::time::sleep(length).await;
    }
}
