//! `GET /generation?id=`: the record of a generation, available some time after it ended.

use serde::Deserialize;

use super::money::NanoUsd;
use super::usage::{Usage, deserialize_cost, deserialize_count};

/// A generation as the upstream has it on record. Most parts may be null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Generation {
    /// Its id.
    pub id: String,
    /// The model that answered.
    pub model: Option<String>,
    /// The provider that ran it.
    pub provider_name: Option<String>,
    /// True when the client left before the end.
    pub cancelled: Option<bool>,
    /// Tokens of the question by the model's own tokenizer, which is what is charged.
    #[serde(deserialize_with = "deserialize_count")]
    pub native_tokens_prompt: Option<u64>,
    /// Tokens of the answer by the model's own tokenizer.
    #[serde(deserialize_with = "deserialize_count")]
    pub native_tokens_completion: Option<u64>,
    /// Of these, spent on reasoning.
    #[serde(deserialize_with = "deserialize_count")]
    pub native_tokens_reasoning: Option<u64>,
    /// Of the question's tokens, read from cache.
    #[serde(deserialize_with = "deserialize_count")]
    pub native_tokens_cached: Option<u64>,
    /// Tokens of the question by a normalised tokenizer; stands in where the native count is null.
    #[serde(deserialize_with = "deserialize_count")]
    pub tokens_prompt: Option<u64>,
    /// Tokens of the answer by a normalised tokenizer.
    #[serde(deserialize_with = "deserialize_count")]
    pub tokens_completion: Option<u64>,
    /// The cost, as it was taken from the account.
    #[serde(deserialize_with = "deserialize_cost")]
    pub total_cost: Option<NanoUsd>,
    /// True where the client's own key with the provider was used.
    pub is_byok: Option<bool>,
    /// The provider's cost.
    #[serde(deserialize_with = "deserialize_cost")]
    pub upstream_inference_cost: Option<NanoUsd>,
}

impl Generation {
    /// The usage, as a usage chunk would have reported it.
    pub fn usage(&self) -> Usage {
        let prompt_tokens = self.native_tokens_prompt.or(self.tokens_prompt);
        let completion_tokens = self.native_tokens_completion.or(self.tokens_completion);
        Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.and_then(|prompt| prompt.checked_add(completion_tokens?)),
            reasoning_tokens: self.native_tokens_reasoning,
            cached_tokens: self.native_tokens_cached,
            cost: self.total_cost,
            own_key_cost: self.upstream_inference_cost.filter(|_| self.is_byok == Some(true)),
            ..Usage::default()
        }
    }
}
