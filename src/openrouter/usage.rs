//! Tokens and cost of one generation, as the upstream reports them in its last chunk or in the body
//! of a whole answer.

use serde::Deserialize;

use super::money::{MicroUsd, deserialize_dollars};

/// Tokens and cost of one generation. `None` is unknown, which is never the same as zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the question, cached ones included.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer, reasoning ones included.
    pub completion_tokens: Option<u64>,
    /// Both together, as reported or else summed.
    pub total_tokens: Option<u64>,
    /// Of the answer's tokens, those spent on reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Of the question's tokens, those read from the upstream's cache.
    pub cached_tokens: Option<u64>,
    /// The cost.
    pub cost: Option<MicroUsd>,
}

/// The `usage` object of a chat completion (chunk). Unknown fields are ignored, and a field of the
/// wrong type counts as absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct UsageObject {
    #[serde(deserialize_with = "deserialize_count")]
    prompt_tokens: Option<u64>,
    #[serde(deserialize_with = "deserialize_count")]
    completion_tokens: Option<u64>,
    #[serde(deserialize_with = "deserialize_count")]
    total_tokens: Option<u64>,
    #[serde(deserialize_with = "deserialize_dollars")]
    cost: Option<MicroUsd>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    #[serde(deserialize_with = "deserialize_count")]
    cached_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    #[serde(deserialize_with = "deserialize_count")]
    reasoning_tokens: Option<u64>,
}

/// A count of tokens, or `None` for null and for anything that is not a count.
pub(super) fn deserialize_count<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let raw = <&serde_json::value::RawValue>::deserialize(deserializer)?;
    // Some gateways write counts as 12.0; i64 is what the ledger can hold.
    let count = raw.get().strip_suffix(".0").unwrap_or(raw.get()).parse::<u64>().ok();
    Ok(count.filter(|&n| i64::try_from(n).is_ok()))
}

impl From<UsageObject> for Usage {
    fn from(object: UsageObject) -> Self {
        let summed = || object.prompt_tokens?.checked_add(object.completion_tokens?);
        Self {
            prompt_tokens: object.prompt_tokens,
            completion_tokens: object.completion_tokens,
            total_tokens: object.total_tokens.or_else(summed),
            reasoning_tokens: object.completion_tokens_details.and_then(|d| d.reasoning_tokens),
            cached_tokens: object.prompt_tokens_details.and_then(|d| d.cached_tokens),
            cost: object.cost,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(json: &str) -> Usage {
        serde_json::from_str::<UsageObject>(json).unwrap().into()
    }

    #[test]
    fn openrouter_usage_is_read_in_full() {
        let usage = read(
            r#"{"prompt_tokens":194,"completion_tokens":2,"total_tokens":196,"cost":4.0999999999999994e-05,"is_byok":false,
                "cost_details":{"upstream_inference_cost":null},"prompt_tokens_details":{"cached_tokens":10,"audio_tokens":0},
                "completion_tokens_details":{"reasoning_tokens":1}}"#,
        );
        assert_eq!(
            usage,
            Usage {
                prompt_tokens: Some(194),
                completion_tokens: Some(2),
                total_tokens: Some(196),
                reasoning_tokens: Some(1),
                cached_tokens: Some(10),
                cost: Some(MicroUsd::new(41)),
            }
        );
    }

    #[test]
    fn unreported_usage_is_unknown_not_zero() {
        assert_eq!(read("{}"), Usage::default());
        let usage = read(r#"{"prompt_tokens":3,"completion_tokens":4,"cost":null,"prompt_tokens_details":null}"#);
        assert_eq!((usage.total_tokens, usage.cost, usage.cached_tokens), (Some(7), None, None));
        let usage = read(r#"{"prompt_tokens":"many","completion_tokens":-4,"total_tokens":5.0,"cost":"free"}"#);
        assert_eq!(
            (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, usage.cost),
            (None, None, Some(5), None)
        );
    }
}
