//! Tokens and cost of one generation, as the upstream reports them in its last chunk or in the body
//! of a whole answer.

use serde::Deserialize;

use super::money::{NanoUsd, deserialize_dollars};

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
    /// Of the question's tokens, those written to the upstream's cache.
    pub cache_write_tokens: Option<u64>,
    /// Searches of the web that the upstream made for the answer.
    pub web_searches: Option<u64>,
    /// The cost, as it is taken from the account at the upstream.
    pub cost: Option<NanoUsd>,
    /// The provider's own charge to the client's key with it ("bring your own key").
    pub own_key_cost: Option<NanoUsd>,
    /// The cost of tools that the upstream ran for the answer; a part of `cost`.
    pub tool_cost: Option<NanoUsd>,
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
    /// The names of the Responses API.
    #[serde(deserialize_with = "deserialize_count")]
    input_tokens: Option<u64>,
    #[serde(deserialize_with = "deserialize_count")]
    output_tokens: Option<u64>,
    #[serde(deserialize_with = "deserialize_count")]
    total_tokens: Option<u64>,
    #[serde(deserialize_with = "deserialize_cost")]
    cost: Option<NanoUsd>,
    /// True where the client's own key with the provider was used. Only then the provider's cost is
    /// not a part of `cost`.
    #[serde(deserialize_with = "deserialize_lenient")]
    is_byok: Option<bool>,
    #[serde(deserialize_with = "deserialize_lenient")]
    cost_details: Option<CostDetails>,
    #[serde(deserialize_with = "deserialize_lenient")]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(deserialize_with = "deserialize_lenient")]
    completion_tokens_details: Option<CompletionDetails>,
    #[serde(deserialize_with = "deserialize_lenient")]
    input_tokens_details: Option<PromptDetails>,
    #[serde(deserialize_with = "deserialize_lenient")]
    output_tokens_details: Option<CompletionDetails>,
    #[serde(deserialize_with = "deserialize_lenient")]
    server_tool_use_details: Option<ToolUse>,
}

/// More tokens than any model takes or gives in one answer; a larger count is an error of its
/// sender, and unknown.
const MOST_TOKENS: u64 = 1_000_000_000;
/// More than any answer costs; a higher cost is an error of its sender, and unknown.
const HIGHEST_COST: NanoUsd = NanoUsd::new(10_000 * 1_000_000_000);

impl Usage {
    /// True for a report without any number but zeros.
    pub fn says_nothing(&self) -> bool {
        let Self {
            prompt_tokens,
            completion_tokens,
            total_tokens,
            reasoning_tokens,
            cached_tokens,
            cache_write_tokens,
            web_searches,
            cost,
            own_key_cost,
            tool_cost,
        } = self;
        let cache = [cached_tokens, cache_write_tokens];
        [prompt_tokens, completion_tokens, total_tokens, reasoning_tokens, web_searches]
            .into_iter()
            .chain(cache)
            .all(|count| count.unwrap_or(0) == 0)
            && [cost, own_key_cost, tool_cost].into_iter().all(|cost| cost.unwrap_or_default() == NanoUsd::ZERO)
    }

    /// This report with a later one, field by field. Reports are totals of the whole answer, so the
    /// later number counts and nothing is added; what is empty or zero never replaces a number.
    pub fn merged_with(self, later: Self) -> Self {
        let count = |known: Option<u64>, later: Option<u64>| later.filter(|n| *n > 0).or(known).or(later);
        let cost = |known: Option<NanoUsd>, later: Option<NanoUsd>| {
            later.filter(|cost| *cost > NanoUsd::ZERO).or(known).or(later)
        };
        Self {
            prompt_tokens: count(self.prompt_tokens, later.prompt_tokens),
            completion_tokens: count(self.completion_tokens, later.completion_tokens),
            total_tokens: count(self.total_tokens, later.total_tokens),
            reasoning_tokens: count(self.reasoning_tokens, later.reasoning_tokens),
            cached_tokens: count(self.cached_tokens, later.cached_tokens),
            cache_write_tokens: count(self.cache_write_tokens, later.cache_write_tokens),
            web_searches: count(self.web_searches, later.web_searches),
            cost: cost(self.cost, later.cost),
            own_key_cost: cost(self.own_key_cost, later.own_key_cost),
            tool_cost: cost(self.tool_cost, later.tool_cost),
        }
        .with_total()
    }

    /// The total of a report that has both parts and no total.
    fn with_total(mut self) -> Self {
        let summed = || self.prompt_tokens?.checked_add(self.completion_tokens?);
        self.total_tokens = self.total_tokens.or_else(summed);
        self
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CostDetails {
    #[serde(deserialize_with = "deserialize_cost")]
    upstream_inference_cost: Option<NanoUsd>,
    #[serde(deserialize_with = "deserialize_cost")]
    server_tool_cost: Option<NanoUsd>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    #[serde(deserialize_with = "deserialize_count")]
    cached_tokens: Option<u64>,
    #[serde(deserialize_with = "deserialize_count")]
    cache_write_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToolUse {
    #[serde(deserialize_with = "deserialize_count")]
    web_search_requests: Option<u64>,
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
    // Some gateways write counts as 12.0 or "12".
    let text = raw.get().trim_matches('"');
    let count = text.strip_suffix(".0").unwrap_or(text).parse::<u64>().ok();
    Ok(count.filter(|&n| n <= MOST_TOKENS))
}

/// The cost of one answer; what is no plausible cost is unknown.
pub(super) fn deserialize_cost<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<NanoUsd>, D::Error> {
    Ok(deserialize_dollars(deserializer)?.filter(|cost| (NanoUsd::ZERO..=HIGHEST_COST).contains(cost)))
}

/// An object; anything else counts as absent and hides nothing beside it.
fn deserialize_lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let raw = <&serde_json::value::RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

impl From<UsageObject> for Usage {
    fn from(object: UsageObject) -> Self {
        let completion = object.completion_tokens_details.or(object.output_tokens_details);
        let prompt = object.prompt_tokens_details.or(object.input_tokens_details);
        let costs = object.cost_details.unwrap_or_default();
        Self {
            prompt_tokens: object.prompt_tokens.or(object.input_tokens),
            completion_tokens: object.completion_tokens.or(object.output_tokens),
            total_tokens: object.total_tokens,
            reasoning_tokens: completion.and_then(|details| details.reasoning_tokens),
            cached_tokens: prompt.as_ref().and_then(|details| details.cached_tokens),
            cache_write_tokens: prompt.and_then(|details| details.cache_write_tokens),
            web_searches: object.server_tool_use_details.and_then(|tools| tools.web_search_requests),
            cost: object.cost,
            own_key_cost: costs.upstream_inference_cost.filter(|_| object.is_byok == Some(true)),
            tool_cost: costs.server_tool_cost,
        }
        .with_total()
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
                "cost_details":{"upstream_inference_cost":null,"server_tool_cost":0.00001},
                "prompt_tokens_details":{"cached_tokens":10,"cache_write_tokens":20,"audio_tokens":0},
                "completion_tokens_details":{"reasoning_tokens":1},"server_tool_use_details":{"web_search_requests":2}}"#,
        );
        assert_eq!(
            usage,
            Usage {
                prompt_tokens: Some(194),
                completion_tokens: Some(2),
                total_tokens: Some(196),
                reasoning_tokens: Some(1),
                cached_tokens: Some(10),
                cache_write_tokens: Some(20),
                web_searches: Some(2),
                cost: Some(NanoUsd::new(41_000)),
                own_key_cost: None,
                tool_cost: Some(NanoUsd::new(10_000)),
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

    #[test]
    fn implausible_numbers_are_unknown() {
        let usage = read(r#"{"prompt_tokens":9223372036854775807,"completion_tokens":"7","cost":9e12}"#);
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.cost), (None, Some(7), None));
        let usage = read(r#"{"input_tokens":3,"output_tokens":4,"cost":-1,"prompt_tokens_details":[]}"#);
        assert_eq!((usage.total_tokens, usage.cost), (Some(7), None));
    }

    #[test]
    fn cost_of_an_own_key_is_kept_apart() {
        for (byok, cost, own) in
            [("true", 1_000_000, Some(36_079_500)), ("false", 1_000_000, None), ("null", 1_000_000, None)]
        {
            let usage = read(&format!(
                r#"{{"cost":0.001,"is_byok":{byok},"cost_details":{{"upstream_inference_cost":0.0360795}}}}"#
            ));
            assert_eq!((usage.cost, usage.own_key_cost.map(NanoUsd::get)), (Some(NanoUsd::new(cost)), own), "{byok}");
        }
    }

    #[test]
    fn reports_are_merged_field_by_field() {
        let real = r#"{"prompt_tokens":100,"completion_tokens":50,"cost":0.001}"#;
        for (first, second, tokens, cost) in [
            (real, "{}", Some(150), Some(1_000_000)),
            (
                real,
                r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"cost":0}"#,
                Some(150),
                Some(1_000_000),
            ),
            (real, real, Some(150), Some(1_000_000)),
            (r#"{"total_tokens":150}"#, r#"{"cost":0.001}"#, Some(150), Some(1_000_000)),
            (r#"{"prompt_tokens":100}"#, r#"{"completion_tokens":50}"#, Some(150), None),
            (
                r#"{"total_tokens":10,"cost":0.0001}"#,
                r#"{"total_tokens":150,"cost":0.001}"#,
                Some(150),
                Some(1_000_000),
            ),
            (r#"{"cost":0}"#, "{}", None, Some(0)),
        ] {
            let merged = read(first).merged_with(read(second));
            assert_eq!((merged.total_tokens, merged.cost.map(NanoUsd::get)), (tokens, cost), "{first} {second}");
        }
        assert!(read("{}").says_nothing() && read(r#"{"total_tokens":0,"cost":0}"#).says_nothing());
        assert!(!read(r#"{"total_tokens":1,"cost":0}"#).says_nothing());
    }
}
