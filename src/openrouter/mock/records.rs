//! The mock's records: finished generations by id, and what its key has spent.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::catalogue::{MockModel, dollars};
use super::keys::{KeyId, Keys, Tally};

/// Older records are dropped.
const CAPACITY: usize = 10_000;

/// A generation while it runs. It is put on record when it ends, also when the client goes away
/// before that.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) records: Arc<Records>,
    /// The key that is charged, where it was made with the management key.
    pub(super) key: Option<(Arc<Keys>, KeyId)>,
    pub(super) id: String,
    pub(super) model: &'static MockModel,
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
        self.prompt_tokens * self.model.prompt + self.completion_tokens * self.model.completion
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((keys, id)) = &self.key {
            let call = Tally {
                requests: 1,
                prompt_tokens: self.prompt_tokens,
                completion_tokens: self.completion_tokens,
                cost: self.cost(),
            };
            keys.charge(id, self.model.id, call);
        }
        let record = Record {
            at: Instant::now() + self.store_delay,
            model: self.model,
            user: self.user.take(),
            created: self.created,
            streamed: self.streamed,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            cost: self.cost(),
            finish: self.finish,
        };
        self.records.add(std::mem::take(&mut self.id), record);
    }
}

#[derive(Debug)]
struct Record {
    /// Time from which the record is served.
    at: Instant,
    model: &'static MockModel,
    user: Option<String>,
    created: u64,
    streamed: bool,
    prompt_tokens: u64,
    completion_tokens: u64,
    cost: u64,
    finish: Option<&'static str>,
}

#[derive(Debug, Default)]
pub(super) struct Records(Mutex<Store>);

#[derive(Debug, Default)]
struct Store {
    by_id: HashMap<String, Record>,
    order: VecDeque<String>,
    spent: u64,
}

impl Records {
    fn add(&self, id: String, record: Record) {
        let mut store = self.0.lock();
        store.spent += record.cost;
        store.order.push_back(id.clone());
        store.by_id.insert(id, record);
        if store.order.len() > CAPACITY
            && let Some(oldest) = store.order.pop_front()
        {
            store.by_id.remove(&oldest);
        }
    }

    /// All the mock's key has spent, in 10^-12 USD.
    pub(super) fn spent(&self) -> u64 {
        self.0.lock().spent
    }

    /// The `data` of `GET /generation?id=`, once it is served.
    pub(super) fn document(&self, id: &str) -> Option<Value> {
        let store = self.0.lock();
        let record = store.by_id.get(id).filter(|record| record.at <= Instant::now())?;
        let cost: serde_json::Number = serde_json::from_str(&dollars(record.cost)).ok()?;
        Some(json!({
            "id": id,
            "upstream_id": null,
            "created_at": jiff::Timestamp::from_second(record.created.cast_signed()).ok()?.to_string(),
            "model": record.model.id,
            "provider_name": record.model.provider,
            "app_id": null,
            "api_type": "completions",
            "streamed": record.streamed,
            "cancelled": record.finish.is_none(),
            "finish_reason": record.finish,
            "native_finish_reason": record.finish,
            "tokens_prompt": record.prompt_tokens,
            "tokens_completion": record.completion_tokens,
            "native_tokens_prompt": record.prompt_tokens,
            "native_tokens_completion": record.completion_tokens,
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
            "external_user": record.user,
            "origin": "",
            "http_referer": null
        }))
    }
}
