//! `GET /models`: the models of an upstream.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::json;
use super::name::is_name;

/// Most models of a list. OpenRouter has about 500.
pub(super) const MOST_MODELS: usize = 5000;
/// Most bytes of an entry; OpenRouter's have about 3,000.
const LONGEST_ENTRY: usize = 64 << 10;
/// Most values of an entry, and of the descriptions of all together. OpenRouter's have about 100
/// each, and a value takes 100 bytes or so.
const MOST_VALUES_OF_ONE: usize = 2000;
const MOST_VALUES: usize = 250_000;

/// One model as the upstream describes it. Fields we do not name are kept as they came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name in requests, for instance `anthropic/claude-sonnet-4.5`.
    pub id: String,
    /// Its name for people; absent at plain OpenAI-compatible upstreams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Model {
    /// The name for people, or else the id.
    pub fn label(&self) -> &str {
        self.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&self.id)
    }

    /// The context length in tokens, when it is stated.
    pub fn context_length(&self) -> Option<u64> {
        let text = self.rest.get("context_length")?.to_string();
        text.strip_suffix(".0").unwrap_or(&text).parse().ok()
    }

    /// USD per token of the question and of the answer, as decimal texts.
    pub fn prices(&self) -> Option<(&str, &str)> {
        let pricing = self.rest.get("pricing")?;
        Some((pricing.get("prompt")?.as_str()?, pricing.get("completion")?.as_str()?))
    }
}

/// The models of an answer, of which one that cannot be read does not hide the others.
///
/// OpenRouter and OpenAI answer `{"data":[…]}`, Together a bare list, Ollama `{"models":[…]}`, and
/// some without a model `{"data":null}`.
#[derive(Debug)]
pub(super) struct ModelList(Vec<Model>);

impl ModelList {
    pub(super) fn into_models(self) -> Vec<Model> {
        self.0
    }

    /// Reads an answer. No entry costs much more memory than its text: one that is too long is left
    /// out, and the description of one with too many values, or after too many of others, is.
    pub(super) fn parse(answer: &[u8]) -> serde_json::Result<Self> {
        let text = String::from_utf8_lossy(answer);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let unknown = || serde_json::Error::custom("it lists no models");
        let (entries, id_keys) = if text.starts_with('[') {
            (entries(text)?, &["id"][..])
        } else {
            let Envelope { data, models } = serde_json::from_str(text)?;
            match (list(data), list(models)) {
                (Some(data), _) => (entries(data)?, &["id"][..]),
                (_, Some(models)) => (entries(models)?, &["id", "model", "name"][..]),
                _ if data.or(models).is_some_and(|raw| raw.get() == "null") => (Vec::new(), &[][..]),
                _ => return Err(unknown()),
            }
        };
        let mut values = MOST_VALUES;
        Ok(Self(entries.into_iter().filter_map(|entry| Model::read(entry.get(), id_keys, &mut values)).collect()))
    }
}

/// The answer, each part as it was written. A value that is null counts as given.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    models: Option<&'a RawValue>,
}

fn given<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Returns the text of a list; `None` for anything else.
fn list(raw: Option<&RawValue>) -> Option<&str> {
    raw.map(RawValue::get).filter(|list| list.starts_with('['))
}

fn entries(list: &str) -> serde_json::Result<Vec<&RawValue>> {
    serde_json::from_str(list)
}

impl Model {
    /// Reads an entry: a bare id, or an object with the id under one of these keys.
    fn read(entry: &str, id_keys: &[&str], values: &mut usize) -> Option<Self> {
        let count = entry.bytes().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count();
        if entry.len() > LONGEST_ENTRY || count > MOST_VALUES_OF_ONE {
            return None;
        }
        let text = |value: &Value| value.as_str().filter(|text| is_name(text)).map(str::to_owned);
        let mut rest = match json::from_str(entry).ok()? {
            id @ Value::String(_) => return Some(Self { id: text(&id)?, name: None, rest: Map::new() }),
            Value::Object(rest) => rest,
            _ => return None,
        };
        let id = id_keys.iter().find_map(|key| text(rest.get(*key)?))?;
        let name = rest.get("name").and_then(text);
        rest.retain(|key, _| key != "id" && key != "name");
        match values.checked_sub(count) {
            Some(left) => *values = left,
            None => rest = Map::new(),
        }
        Some(Self { id, name, rest })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn models_are_read_from_every_known_shape() {
        for (answer, ids) in [
            (r#"{"data":[{"id":"a/b","name":"B"},{"id":"c"}]}"#, Some(&["a/b", "c"][..])),
            (r#"[{"id":"a/b"},"c"]"#, Some(&["a/b", "c"])),
            (r#"{"models":[{"name":"llama:8b","model":"llama:8b"},{"name":"named"}]}"#, Some(&["llama:8b", "named"])),
            (r#"{"object":"list","data":null}"#, Some(&[])),
            (r#"{"data":[]}"#, Some(&[])),
            (
                r#"{"data":[null,5,{"name":"no id"},{"id":7},{"id":""},{"id":"a","name":null},{"id":"b","name":3}]}"#,
                Some(&["a", "b"]),
            ),
            ("{}", None),
            (r#"{"error":"no"}"#, None),
            ("5", None),
        ] {
            let read = ModelList::parse(answer.as_bytes()).ok().map(ModelList::into_models);
            let read = read.map(|models| models.into_iter().map(|model| model.id).collect::<Vec<_>>());
            assert_eq!(read, ids.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect()), "{answer}");
        }
    }

    #[test]
    fn context_length_may_be_written_as_a_fraction() {
        for (length, expected) in [("131072", Some(131_072)), ("131072.0", Some(131_072)), ("null", None), ("-1", None)]
        {
            let list = format!(r#"[{{"id":"a","context_length":{length}}}]"#);
            let models = ModelList::parse(list.as_bytes()).unwrap().into_models();
            assert_eq!(models[0].context_length(), expected, "{length}");
        }
    }

    #[test]
    fn models_are_kept_within_bounds() {
        let read = |list: &str| ModelList::parse(list.as_bytes()).unwrap().into_models();
        let long = "x".repeat(600);
        let odd = format!(
            r#"[{{"id":"a"}},{{"id":"{long}"}},{{"id":"b","name":"{long}"}},{{"id":"c","d":"{}"}},{{"id":"d","e":[{}0]}}]"#,
            "x".repeat(LONGEST_ENTRY),
            "0,".repeat(MOST_VALUES_OF_ONE)
        );
        let names: Vec<_> = read(&odd).into_iter().map(|model| (model.id, model.name)).collect();
        assert_eq!(names, [("a".to_owned(), None), ("b".to_owned(), None)]);

        let entry = |n: usize| format!(r#"{{"id":"m{n}","values":[{}0]}}"#, "0,".repeat(1000));
        let list = format!("[{}]", (0..400).map(entry).collect::<Vec<_>>().join(","));
        let models = read(&list);
        let described = models.iter().filter(|model| !model.rest.is_empty()).count();
        assert_eq!((models.len(), described), (400, MOST_VALUES / 1005));
    }
}
