//! `GET /models`: the models of an upstream.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
        self.rest.get("context_length")?.as_u64()
    }

    /// USD per token of the question and of the answer, as decimal texts.
    pub fn prices(&self) -> Option<(&str, &str)> {
        let pricing = self.rest.get("pricing")?;
        Some((pricing.get("prompt")?.as_str()?, pricing.get("completion")?.as_str()?))
    }
}

/// The answer: an object with `data`, in which an entry that cannot be read does not hide the
/// others.
#[derive(Debug, Deserialize)]
pub(super) struct ModelList {
    data: Vec<Value>,
}

impl ModelList {
    pub(super) fn into_models(self) -> Vec<Model> {
        self.data.into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect()
    }
}
