//! What the mock remembers: finished generations, by id, and what its key has spent.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::catalogue::{Offer, dollars};

/// Older generations are forgotten.
const REMEMBERED: usize = 10_000;

/// A generation while it runs. It is put on record when it ends, also when the client goes away before that.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) records: Arc<Records>,
    pub(super) id: String,
    pub(super) offer: &'static Offer,
    pub(super) user: Option<String>,
    pub(super) created: u64,
    pub(super) streamed: bool,
    pub(super) prompt_tokens: u64,
    /// Grows with every chunk sent.
    pub(super) completion_tokens: u64,
    pub(super) store_delay: Duration,
    pub(super) finish: Option<&'static str>,
}

impl Running {
    /// In 10^-12 USD.
    pub(super) fn cost(&self) -> u64 {
        self.prompt_tokens * self.offer.prompt + self.completion_tokens * self.offer.completion
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let known = Known {
            at: Instant::now() + self.store_delay,
            offer: self.offer,
            user: self.user.take(),
            created: self.created,
            streamed: self.streamed,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            cost: self.cost(),
            finish: self.finish,
        };
        self.records.keep(std::mem::take(&mut self.id), known);
    }
}

#[derive(Debug)]
struct Known {
    /// From when on it is told.
    at: Instant,
    offer: &'static Offer,
    user: Option<String>,
    created: u64,
    streamed: bool,
    prompt_tokens: u64,
    completion_tokens: u64,
    cost: u64,
    finish: Option<&'static str>,
}

#[derive(Debug, Default)]
pub(super) struct Records(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    by_id: HashMap<String, Known>,
    order: VecDeque<String>,
    spent: u64,
}

impl Records {
    fn keep(&self, id: String, known: Known) {
        let mut remembered = self.0.lock();
        remembered.spent += known.cost;
        remembered.order.push_back(id.clone());
        remembered.by_id.insert(id, known);
        if remembered.order.len() > REMEMBERED
            && let Some(oldest) = remembered.order.pop_front()
        {
            remembered.by_id.remove(&oldest);
        }
    }

    /// All the mock's key has spent, in 10^-12 USD.
    pub(super) fn spent(&self) -> u64 {
        self.0.lock().spent
    }

    /// The `data` of `GET /generation?id=`, once it is known.
    pub(super) fn tell(&self, id: &str) -> Option<Value> {
        let remembered = self.0.lock();
        let known = remembered.by_id.get(id).filter(|known| known.at <= Instant::now())?;
        let cost: serde_json::Number = serde_json::from_str(&dollars(known.cost)).ok()?;
        Some(json!({
            "id": id,
            "upstream_id": null,
            "created_at": jiff::Timestamp::from_second(known.created.cast_signed()).ok()?.to_string(),
            "model": known.offer.id,
            "provider_name": known.offer.provider,
            "app_id": null,
            "api_type": "completions",
            "streamed": known.streamed,
            "cancelled": known.finish.is_none(),
            "finish_reason": known.finish,
            "native_finish_reason": known.finish,
            "tokens_prompt": known.prompt_tokens,
            "tokens_completion": known.completion_tokens,
            "native_tokens_prompt": known.prompt_tokens,
            "native_tokens_completion": known.completion_tokens,
            "native_tokens_reasoning": 0,
            "native_tokens_cached": 0,
            "total_cost": cost,
            "usage": cost,
            "upstream_inference_cost": null,
            "cache_discount": null,
            "is_byok": false,
            "latency": 1,
            "moderation_latency": null,
            "generation_time": 1,
            "external_user": known.user,
            "origin": "",
            "http_referer": null
        }))
    }
}
