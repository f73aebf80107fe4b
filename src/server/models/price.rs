//! The prices of a model, and what a request to it may cost at most.

use mai_openrouter::NanoUsd;
use mai_openrouter::money::parse_scaled;
use serde_json::{Map, Value};

/// Tokens of an answer where neither the request nor the model has a limit.
const UNLIMITED_ANSWER: u64 = 65_536;
/// Tokens that an image counts for where the model has no price for one.
const IMAGE_TOKENS: u64 = 8_192;
/// Billionths of a nano-USD in one: prices of tokens are kept in 10^-18 of a dollar.
const FRACTIONS: i128 = 1_000_000_000;

/// The most that a request may hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestSize {
    /// Bytes of the question; no tokenizer makes more tokens of it.
    pub bytes: u64,
    /// Images in it, which are not in the bytes.
    pub images: u64,
    /// Tokens of an answer, if the request limits them.
    pub answer: Option<u64>,
    /// Answers that are asked for at once.
    pub choices: u64,
}

/// The prices of a model in 10^-18 USD, and its limits in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelPrice {
    prompt: i128,
    completion: i128,
    request: i128,
    image: Option<i128>,
    context: Option<u64>,
    longest_answer: Option<u64>,
    /// The usual prices for a token of a question and of an answer, which the price list shows.
    listed: [i128; 2],
}

impl ModelPrice {
    /// The price of a model that costs nothing.
    pub const FREE: Self =
        Self { prompt: 0, completion: 0, request: 0, image: None, context: None, longest_answer: None, listed: [0; 2] };

    /// Reads the highest prices of a model from its description; `None` where one is missing or
    /// depends on the request, as a router's does.
    pub(super) fn read(details: &Map<String, Value>) -> Option<Self> {
        let pricing = details.get("pricing")?;
        let overrides = pricing.get("overrides").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let all = || std::iter::once(pricing).chain(overrides);
        let highest =
            |names: &[&str]| all().flat_map(|prices| names.iter().filter_map(|name| price(prices.get(name)?))).max();
        let listed = |name| price(pricing.get(name)?).filter(|price| *price >= 0);
        let listed = [listed("prompt")?, listed("completion")?];
        let count = |value: Option<&Value>| value.and_then(Value::as_u64).filter(|count| *count > 0);
        Some(Self {
            prompt: highest(&["prompt", "input_cache_write", "input_cache_write_1h"])?,
            completion: highest(&["completion", "internal_reasoning"])?,
            request: highest(&["request"]).unwrap_or(0),
            image: highest(&["image"]).filter(|price| *price > 0),
            context: count(details.get("context_length")),
            longest_answer: count(details.get("top_provider").and_then(|top| top.get("max_completion_tokens"))),
            listed,
        })
    }

    /// Returns the usual prices of a million tokens of a question and of an answer.
    pub fn per_million(&self) -> [NanoUsd; 2] {
        self.listed.map(|price| nano_usd(price * 1_000_000))
    }

    /// Tokens of the longest answer that the model gives.
    pub fn longest_answer(&self) -> u64 {
        self.longest_answer.or(self.context).unwrap_or(UNLIMITED_ANSWER)
    }

    /// Returns what a request may cost at most.
    pub fn most(&self, size: &RequestSize) -> NanoUsd {
        let answer = size.answer.unwrap_or(u64::MAX).min(self.longest_answer());
        let tokens = i128::from(answer) * i128::from(size.choices.max(1));
        nano_usd(self.question(size) + self.completion * tokens)
    }

    /// Returns the most tokens of an answer that costs no more than this, question included.
    pub fn answer_within(&self, size: &RequestSize, cost: NanoUsd) -> u64 {
        let left = i128::from(cost.get()) * FRACTIONS - self.question(size);
        if self.completion == 0 {
            return self.longest_answer();
        }
        u64::try_from((left / self.completion).max(0)).unwrap_or(u64::MAX).min(self.longest_answer())
    }

    fn question(&self, size: &RequestSize) -> i128 {
        let image_tokens = if self.image.is_some() { 0 } else { size.images * IMAGE_TOKENS };
        let tokens = (size.bytes + image_tokens).min(self.context.unwrap_or(u64::MAX));
        self.request + self.prompt * i128::from(tokens) + self.image.unwrap_or(0) * i128::from(size.images)
    }
}

/// Reads a price in dollars; a text or a number.
fn price(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => parse_scaled(text, 18),
        Value::Number(number) => parse_scaled(&number.to_string(), 18),
        _ => None,
    }
    // A million dollars for a token is no price, and products of it would not fit.
    .filter(|price| *price <= 10_i128.pow(24))
}

/// Returns an amount in whole nano-USD, rounded up.
fn nano_usd(amount: i128) -> NanoUsd {
    let whole = (amount + FRACTIONS - 1).div_euclid(FRACTIONS);
    NanoUsd::new(i64::try_from(whole).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn model(details: Value) -> Option<ModelPrice> {
        ModelPrice::read(details.as_object().unwrap())
    }

    const fn size(bytes: u64, images: u64, answer: Option<u64>) -> RequestSize {
        RequestSize { bytes, images, answer, choices: 1 }
    }

    #[test]
    fn most_is_the_dearest_question_and_the_longest_answer() {
        let plain = json!({"pricing": {"prompt": "0.000003", "completion": "0.000015"}, "context_length": 200_000,
            "top_provider": {"max_completion_tokens": 64_000}});
        let stepped = json!({"pricing": {"prompt": "0.000001", "completion": "0.000002", "input_cache_write": "0.00000125",
            "overrides": [{"min_prompt_tokens": 200_000, "prompt": "0.000002", "completion": "0.000004"}]}});
        let small =
            json!({"pricing": {"prompt": "0.0000000000001", "completion": 0, "request": "0.005", "image": "0.01"}});
        for (details, size, most) in [
            (&plain, size(1000, 0, Some(100)), 3_000_000 + 1_500_000),
            (&plain, size(1000, 0, None), 3_000_000 + 64_000 * 15_000),
            (&plain, size(0, 0, Some(1_000_000)), 64_000 * 15_000),
            (&plain, size(9_000_000, 0, Some(0)), 200_000 * 3_000),
            (&plain, size(0, 2, Some(0)), 2 * 8_192 * 3_000),
            (&stepped, size(10, 0, Some(10)), 20_000 + 40_000),
            (&small, size(1, 3, Some(5)), 5_000_000 + 30_000_000 + 1),
        ] {
            assert_eq!(model(details.clone()).unwrap().most(&size), NanoUsd::new(most), "{details} {size:?}");
        }
    }

    #[test]
    fn listed_price_is_the_usual_one_of_a_million_tokens() {
        let details =
            json!({"pricing": {"prompt": "0.00000125", "completion": "0.00001", "input_cache_write": "0.0001"}});
        assert_eq!(model(details).unwrap().per_million(), [1_250_000_000, 10_000_000_000].map(NanoUsd::new));
        assert_eq!(ModelPrice::FREE.per_million(), [NanoUsd::ZERO; 2]);
    }

    #[test]
    fn answer_is_as_long_as_the_money_lasts() {
        let price = model(json!({"pricing": {"prompt": "0.000001", "completion": "0.00001"}, "context_length": 8_000}))
            .unwrap();
        for (left, tokens) in [(0, 0), (1_000_000, 0), (1_010_000, 1), (1_019_999, 1), (1_000_000_000_000, 8_000)] {
            let size = size(1000, 0, None);
            let found = price.answer_within(&size, NanoUsd::new(left));
            assert_eq!(found, tokens, "{left}");
            assert!(tokens == 0 || price.most(&RequestSize { answer: Some(found), ..size }) <= NanoUsd::new(left));
        }
    }

    #[test]
    fn prices_that_are_not_known_are_none() {
        for details in [
            json!({}),
            json!({"pricing": {"prompt": "-1", "completion": "-1"}}),
            json!({"pricing": {"prompt": "0.1"}}),
            json!({"pricing": {"prompt": "free", "completion": "free"}}),
            json!({"pricing": {"prompt": "1e30", "completion": "0"}}),
            json!({"pricing": null}),
        ] {
            assert_eq!(model(details.clone()), None, "{details}");
        }
    }
}
