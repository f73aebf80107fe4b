//! The text inside a streamed completion.

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use mai_openrouter::UpstreamErrorBody;
use mai_openrouter::lines::event_data;

/// Reads the events of a streamed completion.
#[derive(Default)]
pub(super) struct EventReader {
    /// The text read since the caller last took it.
    pub(super) text: String,
    /// The upstream's message, when it failed.
    pub(super) error: Option<String>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Delta>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
}

impl EventReader {
    pub(super) fn read_line(&mut self, line: &[u8]) {
        let Some(chunk) = event_data(line).and_then(|data| serde_json::from_slice::<Chunk>(data).ok()) else { return };
        for choice in chunk.choices {
            if let Some(content) = choice.delta.and_then(|delta| delta.content) {
                self.text.push_str(&content);
            }
        }
        if let Some(error) = chunk.error {
            let body = json!({ "error": error }).to_string();
            self.error = Some(UpstreamErrorBody::parse(StatusCode::BAD_GATEWAY, body.as_bytes()).message);
        }
    }
}
