//! The top-level fields of a request to a model that decide who may send it, and where to.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::chat::CompletionError;
use crate::models::RequestSize;

/// Names of these fields. A name that differs from one of them by letter case alone is refused: some
/// upstreams take it for the same field, and the last one counts.
const FIELDS: [&str; 15] = [
    "model",
    "models",
    "stream",
    "provider",
    "user",
    "safety_identifier",
    "preset",
    "fallbacks",
    "tools",
    "plugins",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "best_of",
];
/// Names longer than this are none of them in any spelling.
const LONGEST_FIELD: usize = 64;

/// The fields of a request. The rest of the body is only checked to be JSON.
#[derive(Debug, Default)]
pub(super) struct RequestFields<'a> {
    /// The model requested; absent counts as unknown.
    pub(super) model: Option<Cow<'a, str>>,
    /// OpenRouter's fallbacks, which must be allowed just like the first.
    pub(super) models: Vec<String>,
    /// True for a streamed answer.
    pub(super) stream: bool,
    /// Tokens of an answer, if any field limits them; of several fields the most.
    longest_answer: Option<u64>,
    /// Answers that are asked for at once.
    answers: u64,
    /// The fields that may bring in other models than those it names.
    pub(super) choices: Choices<'a>,
    /// The values of the fields that tell the upstream who asks.
    identities: Vec<(&'static str, &'a RawValue)>,
}

/// The fields that may bring in other models than those a request names.
#[derive(Debug, Default)]
pub(super) struct Choices<'a> {
    /// True if a preset of the upstream's account is named.
    pub(super) preset: bool,
    /// True if the fallbacks of a LiteLLM are named.
    pub(super) fallbacks: bool,
    pub(super) tools: Option<&'a RawValue>,
    pub(super) plugins: Option<&'a RawValue>,
}

impl Choices<'_> {
    /// Returns false where there is nothing to check.
    pub(super) fn are_any(&self) -> bool {
        self.preset || self.fallbacks || self.tools.is_some() || self.plugins.is_some()
    }
}

/// The values as they stand, and the first thing that is wrong with their names.
#[derive(Default)]
struct RawFields<'a> {
    values: Vec<(&'static str, &'a RawValue)>,
    problem: Option<(&'static str, &'static str)>,
}

impl<'a> RequestFields<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, CompletionError> {
        let raw: RawFields<'a> = serde_json::from_slice(body).map_err(CompletionError::Malformed)?;
        if let Some((field, problem)) = raw.problem {
            return Err(CompletionError::InvalidField { field, problem });
        }
        let mut fields = Self::default();
        for (field, raw) in raw.values {
            match field {
                "model" => fields.model = value::<Text>(field, raw, "has to be a text")?.map(|text| text.0),
                "models" => fields.models = value(field, raw, "has to be a list of texts")?.unwrap_or_default(),
                "stream" => fields.stream = value(field, raw, "has to be true or false")?.unwrap_or_default(),
                // Read where the rules of privacy are put into it.
                "provider" => {}
                "preset" => fields.choices.preset = raw.get() != "null",
                "fallbacks" => fields.choices.fallbacks = raw.get() != "null",
                "tools" => fields.choices.tools = Some(raw),
                "plugins" => fields.choices.plugins = Some(raw),
                "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
                    fields.longest_answer = fields.longest_answer.max(count(raw));
                }
                "n" | "best_of" => fields.answers = fields.answers.max(count(raw).unwrap_or(1)),
                _ => fields.identities.push((field, raw)),
            }
        }
        Ok(fields)
    }

    /// Returns what the request holds at most.
    pub(super) fn size(&self, body: &[u8]) -> RequestSize {
        let (images, image_bytes) = images(body);
        RequestSize {
            bytes: (body.len() - image_bytes) as u64,
            images,
            answer: self.longest_answer,
            choices: self.answers,
        }
    }

    /// Returns the positions in the body of the values that tell the upstream who asks, in their
    /// order, and whether `field` is among them.
    pub(super) fn identity_spans(&self, body: &[u8], field: &str) -> (Vec<Range<usize>>, bool) {
        let spans = self.identities.iter().filter_map(|(_, raw)| {
            let start = raw.get().as_ptr().addr().checked_sub(body.as_ptr().addr())?;
            Some(start..start + raw.get().len())
        });
        (spans.collect(), self.identities.iter().any(|(name, _)| *name == field))
    }
}

/// A text that is borrowed where it holds no escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Reads a count; what is none is left to the upstream to refuse.
fn count(raw: &RawValue) -> Option<u64> {
    serde_json::from_str(raw.get()).ok()
}

/// Returns the number of images that stand in a body, and of their bytes.
fn images(body: &[u8]) -> (u64, usize) {
    let ends = memchr::memmem::find_iter(body, b"data:image/").map(|start| {
        let rest = &body[start..];
        memchr::memchr(b'"', rest).unwrap_or(rest.len())
    });
    ends.fold((0, 0), |(images, bytes), length| (images + 1, bytes + length))
}

/// Reads a value; `None` for null.
fn value<'a, T: Deserialize<'a>>(
    field: &'static str,
    raw: &'a RawValue,
    problem: &'static str,
) -> Result<Option<T>, CompletionError> {
    serde_json::from_str(raw.get()).map_err(|_| CompletionError::InvalidField { field, problem })
}

impl<'de> Deserialize<'de> for RawFields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawFieldsVisitor)
    }
}

struct RawFieldsVisitor;

impl<'de> Visitor<'de> for RawFieldsVisitor {
    type Value = RawFields<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawFields<'de>, A::Error> {
        let mut fields = RawFields::default();
        while let Some(Text(name)) = map.next_key()? {
            let Some(field) = field_of(&name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value()?;
            let problem = if field != name {
                Some("has to be written in small letters")
            } else if fields.values.iter().any(|(known, _)| *known == field) {
                Some("stands more than once")
            } else {
                None
            };
            if let (Some(problem), None) = (problem, fields.problem) {
                fields.problem = Some((field, problem));
            }
            fields.values.push((field, value));
        }
        Ok(fields)
    }
}

/// Returns the field with this name in any letter case, as readers that ignore it compare: by
/// Unicode's simple case folding, to which `ſ` is an `s`.
fn field_of(name: &str) -> Option<&'static str> {
    let exact = FIELDS.into_iter().find(|field| *field == name);
    if exact.is_some() || name.len() > LONGEST_FIELD || name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_')) {
        return exact;
    }
    let folded = name.to_uppercase().to_lowercase();
    FIELDS.into_iter().find(|field| *field == folded)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_wherever_they_stand() {
        let body = r#"{"messages":[{"model":"inner"}],"models":["c"],"mod\u0065l":"a\/b","stream":true,"preset":null}"#;
        let fields = RequestFields::read(body.as_bytes()).unwrap();
        assert_eq!(fields.model.as_deref(), Some("a/b"));
        assert_eq!((fields.models, fields.stream, fields.choices.preset), (vec!["c".to_owned()], true, false));
        let nulls = RequestFields::read(br#"{"model":null,"models":null,"stream":null,"preset":"p"}"#).unwrap();
        assert!(nulls.model.is_none() && nulls.models.is_empty() && !nulls.stream && nulls.choices.preset);
    }

    #[test]
    fn wrong_fields_are_refused_by_their_name() {
        for (body, words) in [
            (r#"{"model":"a","model":"b"}"#, "The field `model` stands more than once."),
            (r#"{"user":"1","user":"2"}"#, "The field `user` stands more than once."),
            (r#"{"model":"a","Model":"b"}"#, "The field `model` has to be written in small letters."),
            (r#"{"MODELS":["b"]}"#, "The field `models` has to be written in small letters."),
            ("{\"u\u{17f}er\":\"x\"}", "The field `user` has to be written in small letters."),
            (r#"{"\u0055ser":"x"}"#, "The field `user` has to be written in small letters."),
            (r#"{"model":1}"#, "The field `model` has to be a text."),
            (r#"{"models":"a"}"#, "The field `models` has to be a list of texts."),
            (r#"{"stream":"true"}"#, "The field `stream` has to be true or false."),
            (r#"{"stream":1}"#, "The field `stream` has to be true or false."),
        ] {
            assert_eq!(RequestFields::read(body.as_bytes()).unwrap_err().to_string(), words, "{body}");
        }
        for body in [r#"["model"]"#, r#" ["model",null,false,"user"]"#, r#"{"model":"a"} x"#, r#"{"a":"#, "", "\"a\""] {
            let error = RequestFields::read(body.as_bytes()).unwrap_err();
            assert!(matches!(error, CompletionError::Malformed(_)), "{body}: {error}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(body in "\\PC{0,60}") {
            let _ = RequestFields::read(body.as_bytes());
        }
    }
}
