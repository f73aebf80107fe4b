//! Reads usage, ids and errors out of a response while its bytes are passed on unchanged, however
//! they are cut.

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::UpstreamErrorBody;
use super::lines::{LineSplitter, event_data};
use super::usage::{Usage, UsageObject};

/// A whole JSON answer longer than this is not read; its usage is asked for by generation id
/// instead.
const BODY_CAP: usize = 8 << 20;

/// The facts about a generation that its response holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ResponseSummary {
    /// The upstream's id of the generation.
    pub generation_id: Option<String>,
    /// The model that answered, which may not be the one asked for.
    pub model: Option<String>,
    /// The provider that ran the model.
    pub provider: Option<String>,
    /// Tokens and cost; the last report wins.
    pub usage: Option<Usage>,
    /// The upstream's message when it failed after it had begun to answer.
    pub error: Option<UpstreamErrorBody>,
    /// True after `data: [DONE]`, or a whole JSON body.
    pub finished: bool,
}

/// The part of a chunk, or of a whole answer, that is of interest here.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    provider: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok()).filter(|text| !text.is_empty())
}

impl ResponseSummary {
    fn learn(&mut self, json: &[u8]) {
        let Ok(envelope) = serde_json::from_slice::<Envelope>(json) else { return };
        if self.generation_id.is_none() {
            self.generation_id = text(envelope.id);
        }
        if let Some(model) = text(envelope.model) {
            self.model = Some(model);
        }
        if let Some(provider) = text(envelope.provider) {
            self.provider = Some(provider);
        }
        if let Some(usage) =
            envelope.usage.and_then(|raw| serde_json::from_str::<Option<UsageObject>>(raw.get()).ok()?)
        {
            self.usage = Some(usage.into());
        }
        if let Some(body) = envelope.error.and_then(UpstreamErrorBody::from_raw) {
            self.error = Some(body);
        }
    }
}

/// Scans one response.
#[derive(Debug)]
pub struct Scanner {
    observed: ResponseSummary,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    Events { lines: LineSplitter, begun: bool, keys: Box<Keys> },
    Whole { body: Vec<u8>, oversized: bool },
}

/// The keys that make a line worth parsing, quotes included; built once a stream.
#[derive(Debug)]
struct Keys {
    usage: Finder<'static>,
    error: Finder<'static>,
}

impl Scanner {
    /// For a `text/event-stream` response.
    pub fn for_events() -> Self {
        let mode = Mode::Events {
            lines: LineSplitter::default(),
            begun: false,
            keys: Box::new(Keys { usage: Finder::new(b"\"usage\""), error: Finder::new(b"\"error\"") }),
        };
        Self { observed: ResponseSummary::default(), mode }
    }

    /// For a response that is one JSON document.
    pub fn for_document() -> Self {
        Self { observed: ResponseSummary::default(), mode: Mode::Whole { body: Vec::new(), oversized: false } }
    }

    /// Scans the next piece of the response.
    pub fn feed(&mut self, piece: &[u8]) {
        let observed = &mut self.observed;
        match &mut self.mode {
            Mode::Events { lines, begun, keys } => lines.feed(piece, |line| {
                let Some(data) = event_data(line) else { return };
                if data.starts_with(b"[DONE]") {
                    observed.finished = true;
                } else if !*begun {
                    // The first chunk names the generation, which is all there is to go by when the
                    // rest never comes.
                    *begun = true;
                    observed.learn(data);
                } else if keys.usage.find(data).is_some() || keys.error.find(data).is_some() {
                    // Inside a JSON string the quotes would be escaped, so this is a key (or a
                    // short value) and never prose.
                    observed.learn(data);
                }
            }),
            Mode::Whole { body, oversized } => {
                if *oversized || body.len() + piece.len() > BODY_CAP {
                    *oversized = true;
                    *body = Vec::new();
                } else {
                    body.extend_from_slice(piece);
                }
            }
        }
    }

    /// The upstream's generation id, as far as it is known by now.
    pub fn generation_id(&self) -> Option<&str> {
        self.observed.generation_id.as_deref()
    }

    /// Returns the facts read so far. `complete` is false when the response was cut off.
    pub fn finish(mut self, complete: bool) -> ResponseSummary {
        match self.mode {
            Mode::Events { lines, .. } => {
                if let Some(data) = event_data(lines.rest()).filter(|_| complete) {
                    self.observed.learn(data);
                }
            }
            Mode::Whole { body, .. } => {
                self.observed.learn(&body);
                self.observed.finished = complete;
            }
        }
        self.observed
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::MicroUsd;

    const STREAM: &str = ": OPENROUTER PROCESSING\n\n\
        data: {\"id\":\"gen-1\",\"provider\":\"P\",\"model\":\"a/b\",\"choices\":[{\"delta\":{\"content\":\"say \\\"usage\\\": {\"}}],\"usage\":null}\n\n\
        data: {\"id\":\"gen-1\",\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":{\\\"cost\\\":9}\"}}],\"usage\":null}\r\n\r\n\
        : OPENROUTER PROCESSING\r\n\r\n\
        data:{\"id\":\"gen-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7,\"cost\":0.000123}}\n\n\
        data: [DONE]\n\n";

    fn expected() -> ResponseSummary {
        ResponseSummary {
            generation_id: Some("gen-1".to_owned()),
            model: Some("a/b".to_owned()),
            provider: Some("P".to_owned()),
            usage: Some(Usage {
                prompt_tokens: Some(3),
                completion_tokens: Some(4),
                total_tokens: Some(7),
                cost: Some(MicroUsd::new(123)),
                ..Usage::default()
            }),
            error: None,
            finished: true,
        }
    }

    fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> ResponseSummary {
        let mut scanner = Scanner::for_events();
        pieces.into_iter().for_each(|piece| scanner.feed(piece));
        scanner.finish(true)
    }

    #[test]
    fn scan_is_independent_of_two_cuts() {
        let bytes = STREAM.as_bytes();
        let expected = expected();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let seen = scan([&bytes[..first], &bytes[first..second], &bytes[second..]]);
                assert_eq!(seen, expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn scan_reads_usage_byte_by_byte() {
        assert_eq!(scan(STREAM.as_bytes().chunks(1)), expected());
    }

    #[test]
    fn usage_chunk_without_line_end_counts() {
        assert_eq!(
            scan([b"data: {\"id\":\"g\",\"usage\":{\"total_tokens\":1}}".as_slice()]).usage.unwrap().total_tokens,
            Some(1)
        );
    }

    #[test]
    fn error_in_mid_stream_is_reported() {
        let seen = scan([
            b"data: {\"id\":\"g\"}\n\ndata: {\"id\":\"g\",\"error\":{\"code\":502,\"message\":\"Provider disconnected\"},".as_slice(),
            b"\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n",
        ]);
        assert_eq!(
            seen.error.unwrap(),
            UpstreamErrorBody { code: Some(502), message: "Provider disconnected".to_owned() }
        );
        assert!(!seen.finished);
    }

    #[test]
    fn oversized_line_is_skipped() {
        let mut scanner = Scanner::for_events();
        for _ in 0..40 {
            scanner.feed(&[b'x'; 64 * 1024]);
        }
        scanner.feed(b"\n");
        scanner.feed(STREAM.as_bytes());
        assert_eq!(scanner.finish(true), expected());
    }

    #[test]
    fn document_is_read_at_its_end() {
        let mut scanner = Scanner::for_document();
        for piece in br#"{"id":"gen-2","model":"m","provider":{"odd":1},"choices":[],"usage":{"cost":1e-06}}"#.chunks(7)
        {
            scanner.feed(piece);
        }
        let seen = scanner.finish(true);
        assert_eq!(seen.generation_id.as_deref(), Some("gen-2"));
        assert_eq!(seen.usage.unwrap().cost, Some(MicroUsd::new(1)));
        assert!(seen.finished && seen.provider.is_none());
    }

    proptest! {
        #[test]
        fn scan_is_independent_of_any_cuts(sizes in prop::collection::vec(1_usize..60, 1..40)) {
            let mut rest = STREAM.as_bytes();
            let mut pieces = Vec::new();
            for size in sizes {
                let (piece, after) = rest.split_at(size.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(scan(pieces), expected());
        }

        #[test]
        fn scan_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            scan([bytes.as_slice()]);
        }
    }
}
