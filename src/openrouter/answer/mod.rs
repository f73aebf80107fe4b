//! Reads answers of models while their bytes are passed on: usage, ids and errors for the ledger,
//! and the text for a page.
//!
//! One reader takes every shape of an answer that is met in practice, whatever its content type
//! says: a stream of events, one JSON document, a page of HTML, and each of them compressed.
//! `event_stream` cuts a stream into events, `chunk` reads one, `text` joins what was cut between
//! two halves of a character, and `summary` is the result.

mod chunk;
mod decoding;
mod event_stream;
mod reading;
mod shape;
mod summary;
mod text;

#[cfg(test)]
mod tests;

use http::{HeaderMap, header};

pub use chunk::FinishReason;
pub use decoding::plain_body;
pub use summary::{AnswerEnd, AnswerSummary};

use crate::error_body::{html_title, printable};
use decoding::Decoding;
use reading::Reading;
use shape::Shape;

/// The beginning of an answer that is no answer of a model, for the message about it.
const SAMPLE: usize = 2048;

/// Reads one answer.
#[derive(Debug)]
pub struct AnswerReader {
    reading: Reading,
    decoding: Decoding,
    shape: Shape,
    declared_events: bool,
    /// The bytes that came before the shape could be told.
    head: Vec<u8>,
    sample: Vec<u8>,
}

impl AnswerReader {
    /// A reader of facts for the ledger.
    pub fn new(headers: &HeaderMap) -> Self {
        let value = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self {
            reading: Reading::new(),
            decoding: Decoding::from_headers(headers),
            shape: Shape::Undecided,
            declared_events: value(header::CONTENT_TYPE).trim_start().starts_with("text/event-stream"),
            head: Vec::new(),
            sample: Vec::new(),
        }
    }

    /// A reader that gathers the text as well, for [`AnswerReader::take_text`].
    pub fn with_text(headers: &HeaderMap) -> Self {
        let mut reader = Self::new(headers);
        reader.reading.with_text = true;
        reader
    }

    /// Reads the next piece of the answer.
    pub fn feed(&mut self, piece: &[u8]) {
        if matches!(self.shape, Shape::Undecided) && self.head.is_empty() {
            self.decoding.look_at(piece);
        }
        let Self { reading, decoding, shape, declared_events, head, sample } = self;
        decoding.unpack(piece, |plain| {
            if sample.len() < SAMPLE && !matches!(shape, Shape::Events(_)) {
                sample.extend_from_slice(&plain[..plain.len().min(SAMPLE - sample.len())]);
            }
            if !matches!(shape, Shape::Undecided) {
                return shape.feed(plain, reading);
            }
            head.extend_from_slice(plain);
            match Shape::decide(head, *declared_events) {
                Some(decided) => {
                    *shape = decided;
                    shape.feed(Shape::beginning(head), reading);
                    *head = Vec::new();
                }
                // Nothing but blanks: they need not be kept.
                None if head.len() > SAMPLE => head.clear(),
                None => {}
            }
        });
    }

    /// The upstream's generation id, as far as it is known by now.
    pub fn generation_id(&self) -> Option<&str> {
        self.reading.summary.generation_id.as_deref()
    }

    /// True after the end mark of a stream; what follows is of no interest.
    pub fn is_finished(&self) -> bool {
        self.reading.summary.finished
    }

    /// True once the model has said why it stopped; usage may follow.
    pub fn has_stopped(&self) -> bool {
        self.reading.summary.finish.is_some()
    }

    /// Takes the text that was read since the last call.
    pub fn take_text(&mut self) -> String {
        std::mem::take(&mut self.reading.text)
    }

    /// Reads what is left when the answer has ended, and returns the facts. `complete` is false
    /// when it was cut off. Later calls return the same.
    pub fn finish(&mut self, complete: bool) -> AnswerSummary {
        let reading = &mut self.reading;
        match std::mem::replace(&mut self.shape, Shape::Foreign) {
            Shape::Events(mut splitter) => splitter.finish(|data, is_error| reading.event(data, is_error)),
            // It was too long to be read, which says nothing against it.
            Shape::Document { oversized: true, .. } => {
                reading.summary.is_answer = true;
                reading.summary.finished = complete;
                reading.has_left_out = true;
            }
            Shape::Document { body, .. } => reading.document(&body, complete),
            Shape::Undecided | Shape::Foreign => {}
        }
        reading.joiner.finish(&mut reading.text);
        reading.summary.clone()
    }

    /// The end of the answer for the person who asked; after [`AnswerReader::finish`].
    pub fn end(&self) -> AnswerEnd {
        self.reading.end().unwrap_or_else(|| self.foreign())
    }

    /// The end of something that is no answer.
    fn foreign(&self) -> AnswerEnd {
        if let Decoding::Unknown(name) = &self.decoding {
            return AnswerEnd::NotAnAnswer(format!("content-encoding {}", printable(name)));
        }
        let text = String::from_utf8_lossy(&self.sample);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return AnswerEnd::Empty;
        }
        if text.starts_with('<') {
            let title = html_title(text).map(printable).unwrap_or_default();
            return AnswerEnd::NotAnAnswer(if title.is_empty() {
                "HTML".to_owned()
            } else {
                format!("HTML, “{title}”")
            });
        }
        let short: String = printable(text).chars().take(120).collect();
        AnswerEnd::NotAnAnswer(format!("“{short}”"))
    }
}
