//! `GET /models`: the models of an upstream.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::name::is_name;

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

    fn read(answer: Value) -> Option<Self> {
        let (entries, id_keys) = match answer {
            Value::Array(entries) => (entries, &["id"][..]),
            Value::Object(mut fields) => match (fields.remove("data"), fields.remove("models")) {
                (Some(Value::Array(entries)), _) => (entries, &["id"][..]),
                (_, Some(Value::Array(entries))) => (entries, &["id", "model", "name"][..]),
                (Some(Value::Null), _) | (_, Some(Value::Null)) => (Vec::new(), &[][..]),
                _ => return None,
            },
            _ => return None,
        };
        Some(Self(entries.into_iter().filter_map(|entry| Model::read(entry, id_keys)).collect()))
    }
}

impl<'de> Deserialize<'de> for ModelList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(Value::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("it lists no models"))
    }
}

impl Model {
    /// Reads an entry: a bare id, or an object with the id under one of these keys.
    fn read(entry: Value, id_keys: &[&str]) -> Option<Self> {
        let mut rest = match entry {
            Value::String(id) => {
                return Some(Self { id, name: None, rest: Map::new() }).filter(|model| is_name(&model.id));
            }
            Value::Object(rest) => rest,
            _ => return None,
        };
        let text = |value: &Value| value.as_str().filter(|text| is_name(text)).map(str::to_owned);
        let id = id_keys.iter().find_map(|key| text(rest.get(*key)?))?;
        let name = rest.get("name").and_then(text);
        rest.retain(|key, _| key != "id" && key != "name");
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
            let read = serde_json::from_str::<ModelList>(answer).ok().map(ModelList::into_models);
            let read = read.map(|models| models.into_iter().map(|model| model.id).collect::<Vec<_>>());
            assert_eq!(read, ids.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect()), "{answer}");
        }
    }

    #[test]
    fn context_length_may_be_written_as_a_fraction() {
        for (length, expected) in [("131072", Some(131_072)), ("131072.0", Some(131_072)), ("null", None), ("-1", None)]
        {
            let list = format!(r#"[{{"id":"a","context_length":{length}}}]"#);
            let models = serde_json::from_str::<ModelList>(&list).unwrap().into_models();
            assert_eq!(models[0].context_length(), expected, "{length}");
        }
    }
}
