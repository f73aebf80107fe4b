//! Chat completions of the mock, streamed and whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer;
use super::behaviour::Behaviour;
use super::body::{Events, MockBody};
use super::catalogue::{self, MockModel, dollars};
use super::handler::Mock;
use super::keys::KeyId;
use super::records::Running;
use super::response;
use super::template::{Template, generation_id};

/// Time after its end until the record of a generation is served.
const STORE_DELAY: Duration = Duration::from_millis(500);
/// Most shapes of plain answers whose bytes are kept.
const TEMPLATES: usize = 64;

/// Most tokens of an answer, which count for a request without a limit of its own.
const MOST_TOKENS: u64 = 16_384;

/// Model, chunks, and bytes of text in each.
pub(super) type Shape = (&'static str, usize, usize);

/// The part of a chat request that the mock reads.
#[derive(Deserialize)]
struct ChatRequest<'a> {
    model: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
    user: Option<String>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    metadata: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
struct ChatMessage<'a> {
    #[serde(default)]
    role: Option<String>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

/// Answers `POST /chat/completions`. Both results are answers; the error is a refusal.
pub(super) async fn complete(
    mock: &Mock,
    openrouter: bool,
    key: Option<&KeyId>,
    body: &[u8],
) -> Result<Response<MockBody>, Response<MockBody>> {
    let bad = |message: &str| response::error(StatusCode::BAD_REQUEST, message);
    let request: ChatRequest = serde_json::from_slice(body).map_err(|_| bad("Invalid request parameters"))?;
    let wanted = request.model.as_deref().unwrap_or_default();
    let models = if openrouter { catalogue::OPENROUTER } else { catalogue::OLLAMA };
    let model = models
        .iter()
        .find(|candidate| candidate.id == wanted)
        .ok_or_else(|| bad(&format!("{wanted} is not a valid model ID")))?;
    let settings = request.metadata.as_ref().and_then(|metadata| metadata.get("mock"));
    // The messages are read only when they decide something: the bench puts all in its metadata.
    let question = if settings.is_some() { String::new() } else { question(request.messages) };
    let settings = settings.map(String::as_str).or_else(|| question.trim().strip_prefix("mock:")).unwrap_or_default();
    let behaviour = Behaviour::parse(settings).map_err(|sentence| bad(&sentence))?;

    pause(behaviour.head).await;
    if let Some(code) = behaviour.error {
        return Err(response::refusal(code));
    }
    let prompt_tokens = (request.messages.map_or(0, |raw| raw.get().len() as u64) / 4).max(1);
    if let Some(key) = key {
        let tokens = request.max_completion_tokens.or(request.max_tokens).unwrap_or(MOST_TOKENS).min(MOST_TOKENS);
        let most = prompt_tokens * model.prompt + tokens * model.completion;
        if let Some(refusal) = mock.keys.refusal(key, tokens, most) {
            return Err(refusal);
        }
    }
    let template = template(mock, model, &behaviour, &question);
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let id = match openrouter {
        true => generation_id(created, mock.serial.fetch_add(1, Ordering::Relaxed)),
        // Ollama's ids are small numbers that come again and again.
        false => format!("chatcmpl-{}", mock.serial.fetch_add(1, Ordering::Relaxed) % 1000),
    };
    let running = Running {
        records: Arc::clone(&mock.records),
        key: key.map(|key| (Arc::clone(&mock.keys), key.clone())),
        id: id.clone(),
        model,
        user: request.user,
        created,
        streamed: request.stream == Some(true),
        prompt_tokens,
        completion_tokens: 0,
        store_delay: behaviour.store.unwrap_or(STORE_DELAY),
        finish: None,
    };
    let delay = behaviour.delay.unwrap_or(if behaviour.chunks.is_some() { Duration::ZERO } else { mock.options.delay });
    let mut answer = if running.streamed {
        stream(&template, &behaviour, delay, running)
    } else {
        whole(&template, &behaviour, delay, running).await?
    };
    if openrouter && let Ok(id) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert("x-generation-id", id);
    }
    Ok(answer)
}

/// The last message of the user.
fn question(messages: Option<&RawValue>) -> String {
    let messages: Vec<ChatMessage> = messages.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let last = messages
        .iter()
        .rev()
        .find(|message| message.role.as_deref() == Some("user"))
        .and_then(|message| message.content);
    match last.and_then(|raw| serde_json::from_str(raw.get()).ok()) {
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

fn template(mock: &Mock, model: &'static MockModel, behaviour: &Behaviour, question: &str) -> Arc<Template> {
    let Some(chunks) = behaviour.chunks else {
        return Arc::new(Template::build(model, &answer::friendly(question, model.id)));
    };
    let size = behaviour.size.unwrap_or(8);
    if let Some(text) = &behaviour.text {
        return Arc::new(Template::build(model, &vec![answer::repeated(text, size); chunks]));
    }
    let mut templates = mock.templates.lock();
    if templates.len() >= TEMPLATES {
        templates.clear();
    }
    let make = || Arc::new(Template::build(model, &answer::plain(chunks, size)));
    Arc::clone(templates.entry((model.id, chunks, size)).or_insert_with(make))
}

fn usage(running: &Running, completion_tokens: u64) -> String {
    let (prompt, total) = (running.prompt_tokens, running.prompt_tokens + completion_tokens);
    let paid = if running.model.provider.is_empty() {
        String::new()
    } else {
        let prompt_cost = prompt * running.model.prompt;
        let completion_cost = completion_tokens * running.model.completion;
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
    let (id, created, model) = (&running.id, running.created, running.model);
    let texts = template.texts;
    let limit = behaviour.cut.or(behaviour.fail).unwrap_or(usize::MAX).min(texts);
    let stopped = behaviour.cut.is_some() || behaviour.fail.is_some();
    let head = format!(
        r#""id":"{id}","provider":"{}","model":"{}","object":"chat.completion.chunk","created":{created}"#,
        model.provider, model.id
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
        opening: Some(Bytes::from_static(b": OPENROUTER PROCESSING\n\n")).filter(|_| !model.provider.is_empty()),
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
    let mut answer = Response::new(MockBody::Events(Box::new(events)));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

async fn whole(
    template: &Template,
    behaviour: &Behaviour,
    delay: Duration,
    mut running: Running,
) -> Result<Response<MockBody>, Response<MockBody>> {
    // A client that leaves now saves nothing: an answer that is not streamed is generated, and
    // charged, whole.
    running.completion_tokens = template.texts as u64;
    let pieces = u32::try_from(template.texts).unwrap_or(u32::MAX);
    pause(behaviour.first + delay.saturating_mul(pieces)).await;
    if behaviour.fail.is_some() || behaviour.cut.is_some() {
        running.finish = Some("error");
        return Err(response::refusal(502));
    }
    running.finish = Some("stop");
    let id = &running.id;
    let stamped = template.stamp(id, running.created);
    let text: String =
        (0..template.texts).filter_map(|n| stamped.chunk(n)).filter_map(|chunk| text_of(&chunk)).collect();
    let mut answer = json!({
        "id": id, "provider": running.model.provider, "model": running.model.id, "object": "chat.completion",
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
    Ok(response::document(StatusCode::OK, answer.into()))
}

/// The text inside one chunk.
fn text_of(chunk: &[u8]) -> Option<String> {
    let chunk: Value = serde_json::from_slice(chunk.strip_prefix(b"data: ")?).ok()?;
    Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())
}

/// Waits. Even an empty timer is not over at once, so none is made.
async fn pause(length: Duration) {
    if !length.is_zero() {
        tokio::time::sleep(length).await;
    }
}
