//! A chunk of a streamed answer, or a whole answer, in any of the shapes that are met in practice.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::text::JsonText;
use crate::error_body::UpstreamErrorBody;
use crate::json;
use crate::name::{LONGEST_NAME, is_name};
use crate::usage::{Usage, UsageObject};

/// The parts of a chunk. Each is kept as it was written, so that one of another type hides no other.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    provider: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    /// An event of the Responses API, and what it is about.
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    /// Groq's own part, with the usage in it.
    #[serde(borrow)]
    x_groq: Option<&'a RawValue>,
}

/// One of the answers in a chunk.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    native_finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// The addition of a choice to the answer.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta<'a> {
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    images: Option<&'a RawValue>,
}

/// A part of a text that comes in parts.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow)]
    function: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
}

/// Why a model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// It had said everything.
    Stop,
    /// The limit of tokens was reached.
    Length,
    /// A filter of the provider held the answer back.
    ContentFilter,
    /// It wants a tool to be called.
    ToolCalls,
    /// The provider failed, for this reason where one is named.
    Error(Option<String>),
}

impl FinishReason {
    fn from_words(reason: &str, native: Option<String>) -> Self {
        match reason.to_ascii_lowercase().as_str() {
            "length" | "max_tokens" | "max_output_tokens" | "model_length" => Self::Length,
            "content_filter" | "safety" | "refusal" | "recitation" | "sensitive" => Self::ContentFilter,
            "tool_calls" | "tool_use" | "function_call" => Self::ToolCalls,
            "error" => Self::Error(native.filter(|native| !native.eq_ignore_ascii_case("error"))),
            _ => Self::Stop,
        }
    }
}

impl<'a> Chunk<'a> {
    /// Reads a JSON object; `None` for anything else.
    pub(super) fn read(json: &'a str) -> Option<Self> {
        if !json.trim_start().starts_with('{') {
            return None;
        }
        serde_json::from_str(json).ok()
    }

    pub(super) fn id(&self) -> Option<String> {
        name(self.id)
    }

    pub(super) fn model(&self) -> Option<String> {
        name(self.model)
    }

    pub(super) fn provider(&self) -> Option<String> {
        name(self.provider)
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let groq = || Chunk::read(self.x_groq?.get())?.usage;
        usage(self.usage.or_else(groq)?)
    }

    /// The response that an event of the Responses API is about.
    pub(super) fn response(&self) -> Option<Chunk<'a>> {
        Chunk::read(self.response?.get())
    }

    /// The end that an event of the Responses API reports.
    pub(super) fn finish_of_response(&self) -> Option<FinishReason> {
        match name(self.kind)?.as_str() {
            "response.completed" | "message_stop" => Some(FinishReason::Stop),
            "response.incomplete" => Some(FinishReason::Length),
            "response.failed" => Some(FinishReason::Error(None)),
            _ => None,
        }
    }

    pub(super) fn has_choices(&self) -> bool {
        self.choices.is_some_and(|choices| choices.get().starts_with('['))
    }

    /// The error beside the choices.
    pub(super) fn error(&self) -> Option<UpstreamErrorBody> {
        error(self.error?)
    }

    /// The choices: a list, a single one, or nothing.
    pub(super) fn choices(&self) -> Vec<Choice<'a>> {
        let Some(raw) = self.choices else { return Vec::new() };
        entries(raw)
            .into_iter()
            .filter_map(|choice| serde_json::from_str::<Choice>(choice.get()).ok())
            // Whoever asks for several answers reads them itself.
            .filter(|choice| choice.index.is_none_or(|index| index.get() == "0"))
            .collect()
    }
}

impl<'a> Choice<'a> {
    pub(super) fn finish(&self) -> Option<FinishReason> {
        let reason = name(self.finish_reason)?;
        Some(FinishReason::from_words(&reason, name(self.native_finish_reason)))
    }

    pub(super) fn error(&self) -> Option<UpstreamErrorBody> {
        error(self.error?)
    }

    /// The usage, which Moonshot puts here.
    pub(super) fn usage(&self) -> Option<Usage> {
        usage(self.usage?)
    }

    /// Its addition: a chunk has a delta, a whole answer a message, an old one a bare text.
    pub(super) fn delta(&self) -> Delta<'a> {
        let read = |raw: &'a RawValue| serde_json::from_str::<Delta>(raw.get()).ok();
        let delta = self.delta.and_then(read).or_else(|| self.message.and_then(read)).unwrap_or_default();
        Delta { content: delta.content.or(self.text), ..delta }
    }
}

impl Delta<'_> {
    pub(super) fn has_reasoning(&self) -> bool {
        [self.reasoning, self.reasoning_content, self.reasoning_details].into_iter().any(says_something)
    }

    pub(super) fn has_images(&self) -> bool {
        says_something(self.images)
    }

    /// The names of the tools that are to be called; fragments of arguments name none.
    pub(super) fn tools(&self) -> Vec<String> {
        let calls = self.tool_calls.map(entries).unwrap_or_default();
        calls
            .into_iter()
            .chain(self.function_call)
            .filter_map(|call| {
                let call = serde_json::from_str::<Part>(call.get()).ok()?;
                let function = call.function.and_then(|function| serde_json::from_str::<Part>(function.get()).ok());
                name(function.and_then(|function| function.name)).or_else(|| name(call.name))
            })
            .collect()
    }

    pub(super) fn has_tools(&self) -> bool {
        says_something(self.tool_calls) || says_something(self.function_call)
    }
}

/// A text is a part of a part of a list at most. Raw values have no limit of their own to how deep
/// they are nested.
const DEEPEST_PART: u8 = 4;

/// The text of a content, and the signs of everything else in it.
#[derive(Default)]
pub(super) struct Content {
    /// The bytes of its text, as [`JsonText`] has them.
    pub(super) text: Vec<u8>,
    pub(super) refusal: Vec<u8>,
    pub(super) has_images: bool,
}

impl Content {
    /// Adds a content: a text, a part, or a list of both.
    pub(super) fn add(&mut self, raw: &RawValue) {
        self.add_within(raw, DEEPEST_PART);
    }

    fn add_within(&mut self, raw: &RawValue, depth: u8) {
        let Some(depth) = depth.checked_sub(1) else { return };
        match raw.get().as_bytes().first() {
            Some(b'"') => self.text.extend(text(raw)),
            Some(b'[') => entries(raw).into_iter().for_each(|part| self.add_within(part, depth)),
            Some(b'{') => {
                let Ok(part) = serde_json::from_str::<Part>(raw.get()) else { return };
                if let Some(content) = part.text.or(part.content) {
                    self.add_within(content, depth);
                }
                self.refusal.extend(part.refusal.map(text).unwrap_or_default());
                self.has_images |= part.image_url.is_some();
            }
            _ => {}
        }
    }
}

/// The bytes of a string; nothing for anything else.
pub(super) fn text(raw: &RawValue) -> Vec<u8> {
    serde_json::from_str::<JsonText>(raw.get()).map(|text| text.0).unwrap_or_default()
}

/// A short text, such as an id. No name is longer than [`LONGEST_NAME`].
fn name(raw: Option<&RawValue>) -> Option<String> {
    let raw = raw.filter(|raw| raw.get().len() <= 6 * LONGEST_NAME)?;
    json::from_str::<String>(raw.get()).ok().filter(|text| is_name(text))
}

fn usage(raw: &RawValue) -> Option<Usage> {
    serde_json::from_str::<Option<UsageObject>>(raw.get()).ok()?.map(Usage::from)
}

fn error(raw: &RawValue) -> Option<UpstreamErrorBody> {
    UpstreamErrorBody::from_value(&json::from_str::<Value>(raw.get()).ok()?)
}

/// The entries of a list, or the value itself.
fn entries(raw: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str::<Vec<&RawValue>>(raw.get()).unwrap_or_else(|_| vec![raw])
}

fn says_something(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| !matches!(raw.get(), "null" | "\"\"" | "[]" | "{}" | "false"))
}
