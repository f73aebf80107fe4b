//! The content of an answer, put together from its chunks.

use memchr::memmem::Finder;
use serde_json::Value;
use serde_json::value::RawValue;

use super::chunk::{self, Chunk, Content, Delta, FinishReason};
use super::summary::{AnswerEnd, AnswerSummary};
use super::text::TextJoiner;
use crate::error_body::{UpstreamErrorBody, printable};
use crate::json;

/// Chunks that are searched for the id of the generation.
const CHUNKS_WITH_ID: u32 = 64;

/// Most bytes of a refusal, and most names of tools, for the message about them.
const MOST_OF_A_REFUSAL: usize = 4096;
const MOST_TOOLS: usize = 16;

/// The content that was read so far.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) summary: AnswerSummary,
    /// True where the text is wanted; otherwise most chunks need not be parsed.
    pub(super) with_text: bool,
    /// The text that was not taken yet.
    pub(super) text: String,
    pub(super) joiner: TextJoiner,
    /// True when something was too long to be read.
    pub(super) has_left_out: bool,
    refusal: Vec<u8>,
    tools: Vec<String>,
    has_text: bool,
    has_reasoning: bool,
    has_tools: bool,
    has_images: bool,
    chunks: u32,
    keys: Box<Keys>,
}

/// The keys that make a chunk worth parsing, quotes included; built once an answer.
#[derive(Debug)]
struct Keys {
    usage: Finder<'static>,
    error: Finder<'static>,
    finish: Finder<'static>,
}

impl Reading {
    pub(super) fn new() -> Self {
        Self {
            summary: AnswerSummary::default(),
            with_text: false,
            text: String::new(),
            joiner: TextJoiner::default(),
            has_left_out: false,
            refusal: Vec::new(),
            tools: Vec::new(),
            has_text: false,
            has_reasoning: false,
            has_tools: false,
            has_images: false,
            chunks: 0,
            keys: Box::new(Keys {
                usage: Finder::new(b"\"usage\""),
                error: Finder::new(b"\"error\""),
                finish: Finder::new(b"\"finish_reason\""),
            }),
        }
    }

    /// Reads the data of an event; false when it is not understood.
    pub(super) fn event(&mut self, data: &[u8], is_error: bool) -> bool {
        if data.trim_ascii_start().starts_with(b"[DONE]") {
            self.summary.finished = true;
            self.summary.is_answer = true;
            return true;
        }
        self.chunks = self.chunks.saturating_add(1);
        // An id is all there is to go by when the rest never comes.
        let may_name = self.summary.generation_id.is_none() && self.chunks <= CHUNKS_WITH_ID;
        if !self.with_text && !may_name && !is_error && !self.is_of_interest(data) {
            return true;
        }
        self.object(data, is_error, false)
    }

    /// True for a chunk with usage, an error or the reason of the end. Inside a JSON string the
    /// quotes would be escaped, so what is found is a key (or a short value) and never prose.
    fn is_of_interest(&self, data: &[u8]) -> bool {
        let Keys { usage, error, finish } = &*self.keys;
        let finishes = || {
            let after = data.get(finish.find(data)? + finish.needle().len()..)?;
            let value = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
            Some(value.starts_with(b"\""))
        };
        usage.find(data).is_some() || error.find(data).is_some() || finishes().unwrap_or(false)
    }

    /// Reads a whole answer: one object, or several after each other.
    pub(super) fn document(&mut self, body: &[u8], complete: bool) {
        let text = String::from_utf8_lossy(body);
        let values = serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>();
        for value in values.map_while(Result::ok) {
            let understood = self.object(value.get().as_bytes(), false, true);
            if !understood && let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(value.get()) {
                for value in list {
                    self.object(value.get().as_bytes(), false, true);
                }
            }
        }
        self.summary.finished |= complete && self.summary.is_answer;
    }

    /// Reads an object; false when it is none. An object that is called an error, or is all that
    /// came, is an error when it holds no answer.
    fn object(&mut self, data: &[u8], is_error: bool, is_whole: bool) -> bool {
        let text = String::from_utf8_lossy(data);
        if let Some(chunk) = Chunk::read(&text) {
            self.chunk(&chunk);
            if is_error || (is_whole && !self.summary.is_answer) {
                self.reported_error(&text);
            }
            return true;
        }
        match json::from_str::<Value>(&text) {
            // A key that stands twice: the last one counts.
            Ok(value @ Value::Object(_)) => {
                let text = value.to_string();
                Chunk::read(&text).inspect(|chunk| self.chunk(chunk)).is_some()
            }
            Ok(_) if is_whole => false,
            Ok(_) => {
                if is_error {
                    self.reported_error(&text);
                }
                // Without, it is a ping of its own kind, such as null or a list.
                true
            }
            Err(_) if is_error && !text.trim_start().starts_with('{') => {
                self.summary.error.get_or_insert_with(|| UpstreamErrorBody::worded(&text));
                true
            }
            Err(_) => false,
        }
    }

    /// Takes a value for an error, if it says anything and no error is known.
    fn reported_error(&mut self, text: &str) {
        if self.summary.error.is_none()
            && let Ok(value) = json::from_str::<Value>(text)
        {
            self.summary.error = UpstreamErrorBody::from_value(&value);
        }
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) {
        if let Some(response) = chunk.response() {
            self.facts(&response);
        }
        self.facts(chunk);
        if let Some(finish) = chunk.finish_of_response() {
            self.summary.is_answer = true;
            self.summary.finish = Some(finish);
        }
        for choice in chunk.choices() {
            self.summary.is_answer = true;
            if let Some(finish) = choice.finish() {
                // The chunk with the usage repeats it.
                self.summary.finish.get_or_insert(finish);
            }
            if let Some(usage) = choice.usage() {
                self.summary.add_usage(usage);
            }
            if let Some(error) = choice.error() {
                self.summary.error.get_or_insert(error);
            }
            if self.with_text {
                self.delta(&choice.delta());
            }
        }
    }

    fn facts(&mut self, chunk: &Chunk<'_>) {
        let summary = &mut self.summary;
        if summary.generation_id.is_none() {
            summary.generation_id = chunk.id();
        }
        summary.model = chunk.model().or(summary.model.take());
        summary.provider = chunk.provider().or(summary.provider.take());
        if let Some(usage) = chunk.usage() {
            summary.add_usage(usage);
        }
        if let Some(error) = chunk.error() {
            summary.error = Some(error);
        }
        summary.is_answer |= chunk.has_choices() || summary.usage.is_some();
    }

    fn delta(&mut self, delta: &Delta<'_>) {
        let mut content = Content::default();
        if let Some(raw) = delta.content {
            content.add(raw);
        }
        if let Some(raw) = delta.refusal {
            content.refusal.extend(chunk::text(raw));
        }
        self.has_text |= content.text.iter().any(|byte| !byte.is_ascii_whitespace());
        self.joiner.push(&content.text, &mut self.text);
        let room = MOST_OF_A_REFUSAL.saturating_sub(self.refusal.len());
        self.refusal.extend(content.refusal.into_iter().take(room));
        let room = MOST_TOOLS.saturating_sub(self.tools.len());
        self.tools.extend(delta.tools().into_iter().take(room));
        self.has_tools |= delta.has_tools();
        self.has_reasoning |= delta.has_reasoning();
        self.has_images |= content.has_images || delta.has_images();
    }

    /// The end of the answer for the person who asked; `None` when it is no answer.
    pub(super) fn end(&self) -> Option<AnswerEnd> {
        let summary = &self.summary;
        if let Some(error) = &summary.error {
            return Some(AnswerEnd::Error(error.clone()));
        }
        if let Some(FinishReason::Error(reason)) = &summary.finish {
            let words = reason.as_deref().unwrap_or("finish_reason: error");
            return Some(AnswerEnd::Error(UpstreamErrorBody::worded(words)));
        }
        if !summary.is_answer {
            return None;
        }
        if !summary.finished && summary.finish.is_none() {
            return Some(AnswerEnd::CutOff);
        }
        let refusal = printable(&String::from_utf8_lossy(&self.refusal));
        Some(match &summary.finish {
            _ if !refusal.is_empty() => AnswerEnd::Refused(refusal),
            Some(FinishReason::ContentFilter) => AnswerEnd::Filtered,
            Some(FinishReason::Length) if self.has_text => AnswerEnd::Length,
            Some(FinishReason::ToolCalls) if self.has_tools || !self.has_text => {
                AnswerEnd::ToolCalls(self.tools.clone())
            }
            _ if self.has_images => AnswerEnd::Images,
            _ if self.has_left_out => AnswerEnd::LeftOut,
            _ if self.has_text => AnswerEnd::Complete,
            _ if self.has_tools => AnswerEnd::ToolCalls(self.tools.clone()),
            _ if self.has_reasoning => AnswerEnd::OnlyReasoning,
            Some(FinishReason::Length) => AnswerEnd::Length,
            _ => AnswerEnd::Empty,
        })
    }
}
