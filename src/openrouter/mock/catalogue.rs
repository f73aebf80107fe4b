//! The models the mock offers, with OpenRouter's shape of prices: decimal texts in USD per token.

use bytes::Bytes;
use serde_json::{Value, json};

/// A model of the mock. Prices are in millionths of a micro-USD (10^-12 USD) per token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MockModel {
    pub(super) id: &'static str,
    name: &'static str,
    pub(super) provider: &'static str,
    context: u32,
    pub(super) prompt: u64,
    pub(super) completion: u64,
}

const fn model(
    id: &'static str,
    name: &'static str,
    provider: &'static str,
    context: u32,
    prompt: u64,
    completion: u64,
) -> MockModel {
    MockModel { id, name, provider, context, prompt, completion }
}

/// The models of the mock's OpenRouter side.
pub(super) const OPENROUTER: &[MockModel] = &[
    model("anthropic/claude-sonnet-4.5", "Anthropic: Claude Sonnet 4.5", "Anthropic", 1_000_000, 3_000_000, 15_000_000),
    model("anthropic/claude-haiku-4.5", "Anthropic: Claude Haiku 4.5", "Anthropic", 200_000, 1_000_000, 5_000_000),
    model("openai/gpt-5", "OpenAI: GPT-5", "OpenAI", 400_000, 1_250_000, 10_000_000),
    model("openai/gpt-5-mini", "OpenAI: GPT-5 Mini", "OpenAI", 400_000, 250_000, 2_000_000),
    model("openai/gpt-4o-mini", "OpenAI: GPT-4o-mini", "OpenAI", 128_000, 150_000, 600_000),
    model("google/gemini-2.5-pro", "Google: Gemini 2.5 Pro", "Google", 1_048_576, 1_250_000, 10_000_000),
    model("google/gemini-2.5-flash", "Google: Gemini 2.5 Flash", "Google", 1_048_576, 300_000, 2_500_000),
    model("mistralai/mistral-medium-3.1", "Mistral: Mistral Medium 3.1", "Mistral", 131_072, 400_000, 2_000_000),
    model("meta-llama/llama-3.3-70b-instruct", "Meta: Llama 3.3 70B Instruct", "DeepInfra", 131_072, 130_000, 390_000),
    model("deepseek/deepseek-chat-v3.1", "DeepSeek: DeepSeek V3.1", "DeepSeek", 163_840, 270_000, 1_000_000),
    model("qwen/qwen3-235b-a22b", "Qwen: Qwen3 235B A22B", "DeepInfra", 131_072, 180_000, 540_000),
    model("meta-llama/llama-3.3-70b-instruct:free", "Meta: Llama 3.3 70B Instruct (free)", "Venice", 65_536, 0, 0),
];

/// The models of the mock's Ollama side.
pub(super) const OLLAMA: &[MockModel] =
    &[model("llama3.2:3b", "llama3.2:3b", "", 131_072, 0, 0), model("qwen3:8b", "qwen3:8b", "", 40_960, 0, 0)];

/// An amount in 10^-12 USD as an exact decimal text in USD.
pub(super) fn dollars(amount: u64) -> String {
    let text = format!("{}.{:012}", amount / 1_000_000_000_000, amount % 1_000_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `GET /models` of OpenRouter.
pub(super) fn openrouter_list() -> Bytes {
    let models: Vec<Value> = OPENROUTER.iter().map(describe).collect();
    let count = models.len();
    Bytes::from(json!({"data": models, "total_count": count, "links": {"next": null}}).to_string())
}

/// `GET /models` of Ollama's OpenAI-compatible side.
pub(super) fn ollama_list() -> Bytes {
    let models: Vec<Value> = OLLAMA
        .iter()
        .map(|model| json!({"id": model.id, "object": "model", "created": 1_790_000_000, "owned_by": "library"}))
        .collect();
    Bytes::from(json!({"object": "list", "data": models}).to_string())
}

fn describe(model: &MockModel) -> Value {
    json!({
        "id": model.id,
        "canonical_slug": model.id,
        "hugging_face_id": "",
        "name": model.name,
        "created": 1_790_000_000,
        "description": format!("{} as the mock plays it.", model.name),
        "context_length": model.context,
        "architecture": {
            "modality": "text->text", "input_modalities": ["text"], "output_modalities": ["text"],
            "tokenizer": "Other", "instruct_type": null
        },
        "pricing": {
            "prompt": dollars(model.prompt), "completion": dollars(model.completion), "request": "0", "image": "0",
            "web_search": "0", "internal_reasoning": "0"
        },
        "top_provider": {"context_length": model.context, "max_completion_tokens": 16_384, "is_moderated": false},
        "per_request_limits": null,
        "supported_parameters": ["max_tokens", "temperature", "top_p", "stop", "tools", "tool_choice"],
        "default_parameters": {}
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact_decimal_texts() {
        for (amount, text) in [(0, "0"), (150_000, "0.00000015"), (15_000_000, "0.000015"), (2_500_000_000_000, "2.5")]
        {
            assert_eq!(dollars(amount), text);
        }
    }
}
