//! The mock's keys: made, changed and deleted with its management key, and what each has spent.

use std::collections::BTreeMap;

use http::{Response, StatusCode};
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use parking_lot::Mutex;
use rand::RngCore;
use serde_json::{Value, json};

use super::body::MockBody;
use super::catalogue::dollars;
use super::response;

/// 10^-12 USD in a dollar.
const DOLLAR: u64 = 1_000_000_000_000;

/// The keys of the mock, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Keys {
    present: Mutex<Vec<Key>>,
    /// Their spending stays on the bill.
    deleted: Mutex<Vec<Key>>,
}

/// A key.
#[derive(Debug)]
struct Key {
    hash: String,
    value: String,
    name: String,
    disabled: bool,
    /// In 10^-12 USD, as all amounts here.
    limit: Option<u64>,
    reset: Option<Reset>,
    include_byok: bool,
    created: Timestamp,
    updated: Option<Timestamp>,
    used: Option<Timestamp>,
    days: BTreeMap<(Date, &'static str), Tally>,
}

/// Period after which a limit is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reset {
    Daily,
    Weekly,
    Monthly,
}

/// Calls of one day to one model.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    pub(super) cost: u64,
}

/// A key that may be used now.
#[derive(Debug, Clone)]
pub(super) struct KeyId(String);

impl Keys {
    /// Makes a key. Returns the `data` of the answer and the value.
    pub(super) fn create(&self, body: &Value) -> Result<(Value, String), &'static str> {
        let name = body["name"].as_str().filter(|name| !name.is_empty()).ok_or("name is required")?;
        let mut key = Key {
            hash: random_hex(),
            value: format!("sk-or-v1-{}", random_hex()),
            name: name.to_owned(),
            disabled: false,
            limit: None,
            reset: None,
            include_byok: false,
            created: Timestamp::now(),
            updated: None,
            used: None,
            days: BTreeMap::new(),
        };
        key.change(body)?;
        let made = (key.document(), key.value.clone());
        self.present.lock().push(key);
        Ok(made)
    }

    /// Changes a key. Returns the `data` of the answer, or nothing if there is no such key.
    pub(super) fn change(&self, hash: &str, body: &Value) -> Result<Option<Value>, &'static str> {
        let mut keys = self.present.lock();
        let Some(key) = keys.iter_mut().find(|key| key.hash == hash) else { return Ok(None) };
        key.change(body)?;
        key.updated = Some(Timestamp::now());
        Ok(Some(key.document()))
    }

    /// Deletes a key. Returns false if there is none.
    pub(super) fn delete(&self, hash: &str) -> bool {
        let mut keys = self.present.lock();
        let Some(index) = keys.iter().position(|key| key.hash == hash) else { return false };
        self.deleted.lock().push(keys.remove(index));
        true
    }

    /// Returns up to `most` keys from an offset, the newest first.
    pub(super) fn list(&self, offset: usize, most: usize, with_disabled: bool) -> Vec<Value> {
        let keys = self.present.lock();
        let shown = keys.iter().rev().filter(|key| with_disabled || !key.disabled);
        shown.skip(offset).take(most).map(Key::document).collect()
    }

    /// Returns the `data` of a key.
    pub(super) fn document(&self, hash: &str) -> Option<Value> {
        self.present.lock().iter().find(|key| key.hash == hash).map(Key::document)
    }

    /// Returns the key of this value, if it is enabled.
    pub(super) fn find(&self, value: &str) -> Option<KeyId> {
        let keys = self.present.lock();
        keys.iter().find(|key| key.value == value && !key.disabled).map(|key| KeyId(key.hash.clone()))
    }

    /// Returns the refusal of a call that may cost `most`, if the limit of the key does not allow it.
    pub(super) fn refusal(&self, id: &KeyId, tokens: u64, most: u64) -> Option<Response<MockBody>> {
        let mut keys = self.present.lock();
        let key = keys.iter_mut().find(|key| key.hash == id.0)?;
        key.used = Some(Timestamp::now());
        let (limit, spent) = (key.limit?, key.spent_in_period());
        let remaining = limit.saturating_sub(spent);
        if remaining == 0 {
            return Some(key.spent_answer(limit, spent));
        }
        (most > remaining).then(|| key.too_expensive_answer(tokens, most, remaining))
    }

    /// Adds a call to what a key has spent.
    pub(super) fn charge(&self, id: &KeyId, model: &'static str, call: Tally) {
        let mut keys = self.present.lock();
        let Some(key) = keys.iter_mut().find(|key| key.hash == id.0) else { return };
        let tally = key.days.entry((today(), model)).or_default();
        tally.requests += call.requests;
        tally.prompt_tokens += call.prompt_tokens;
        tally.completion_tokens += call.completion_tokens;
        tally.cost += call.cost;
    }

    /// Returns the calls over a key, or over all, by day and model.
    pub(super) fn activity(&self, hash: Option<&str>) -> Vec<(Date, &'static str, Tally)> {
        let (keys, deleted) = (self.present.lock(), self.deleted.lock());
        let chosen = keys.iter().chain(deleted.iter()).filter(|key| hash.is_none_or(|hash| key.hash == hash));
        chosen.flat_map(|key| key.days.iter().map(|((day, model), tally)| (*day, *model, *tally))).collect()
    }
}

impl KeyId {
    /// Returns the hash of the key.
    pub(super) fn hash(&self) -> &str {
        &self.0
    }
}

impl Key {
    fn change(&mut self, body: &Value) -> Result<(), &'static str> {
        if let Some(name) = body["name"].as_str() {
            self.name = name.to_owned();
        }
        if let Some(disabled) = body["disabled"].as_bool() {
            self.disabled = disabled;
        }
        if let Some(include) = body["include_byok_in_limit"].as_bool() {
            self.include_byok = include;
        }
        if let Some(limit) = body.get("limit") {
            self.limit = match limit.as_f64() {
                None if limit.is_null() => None,
                Some(dollars) if (0.0..1e7).contains(&dollars) => Some((dollars * DOLLAR as f64) as u64),
                _ => return Err("limit must be a number of US dollars"),
            };
        }
        if let Some(reset) = body.get("limit_reset") {
            self.reset = match reset.as_str() {
                None if reset.is_null() => None,
                Some("daily") => Some(Reset::Daily),
                Some("weekly") => Some(Reset::Weekly),
                Some("monthly") => Some(Reset::Monthly),
                _ => return Err("limit_reset must be daily, weekly, monthly or null"),
            };
        }
        Ok(())
    }

    /// Returns what was spent since a day.
    fn spent_since(&self, first: Date) -> u64 {
        self.days.iter().filter(|((day, _), _)| *day >= first).map(|(_, tally)| tally.cost).sum()
    }

    fn spent_in_period(&self) -> u64 {
        self.reset.map_or_else(|| self.spent_since(Date::MIN), |reset| self.spent_since(reset.first_day()))
    }

    fn document(&self) -> Value {
        let number = |amount: u64| serde_json::from_str::<Value>(&dollars(amount)).unwrap_or_default();
        json!({
            "hash": self.hash,
            "name": self.name,
            "label": label(&self.value),
            "disabled": self.disabled,
            "limit": self.limit.map(number),
            "limit_remaining": self.limit.map(|limit| number(limit.saturating_sub(self.spent_in_period()))),
            "limit_reset": self.reset.map(Reset::word),
            "include_byok_in_limit": self.include_byok,
            "usage": number(self.spent_since(Date::MIN)),
            "usage_daily": number(self.spent_since(Reset::Daily.first_day())),
            "usage_weekly": number(self.spent_since(Reset::Weekly.first_day())),
            "usage_monthly": number(self.spent_since(Reset::Monthly.first_day())),
            "byok_usage": 0, "byok_usage_daily": 0, "byok_usage_weekly": 0, "byok_usage_monthly": 0,
            "created_at": self.created.to_string(),
            "updated_at": self.updated.map(|at| at.to_string()),
            "last_used_at": self.used.map(|at| at.to_string()),
            "expires_at": null,
            "creator_user_id": null,
            "workspace_id": null,
        })
    }

    /// The answer where nothing is left of the limit.
    fn spent_answer(&self, limit: u64, spent: u64) -> Response<MockBody> {
        let number = |amount: u64| serde_json::from_str::<Value>(&dollars(amount)).unwrap_or_default();
        let period = self.reset.map_or("total", Reset::word);
        let metadata = json!({
            "limit_source": "openrouter_key_limit", "scope": "key_limit", "limit_usd": number(limit),
            "spend_usd": number(spent), "resets_at": self.reset.map(|reset| reset.end().to_string()),
        });
        let message = format!("Key limit exceeded ({period} limit)");
        response::error_with(StatusCode::FORBIDDEN, &message, metadata)
    }

    /// The answer where a call may cost more than what is left.
    fn too_expensive_answer(&self, tokens: u64, most: u64, remaining: u64) -> Response<MockBody> {
        let affordable = u128::from(tokens) * u128::from(remaining) / u128::from(most.max(1));
        let message = format!(
            "This request requires more credits, or fewer max_tokens. You requested up to {tokens} tokens, but can only afford {affordable}. To increase, visit https://openrouter.ai/settings/keys/{} and create a key with a higher monthly limit",
            self.hash
        );
        response::error_with(StatusCode::PAYMENT_REQUIRED, &message, json!({"limit_source": "openrouter_key_limit"}))
    }
}

impl Reset {
    fn word(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// Returns the first day of the period of now.
    fn first_day(self) -> Date {
        let today = today();
        match self {
            Self::Daily => today,
            Self::Weekly => {
                let since_monday = today.weekday().since(Weekday::Monday);
                today.saturating_sub(i64::from(since_monday).days())
            }
            Self::Monthly => today.first_of_month(),
        }
    }

    /// Returns the moment at which the period of now ends.
    fn end(self) -> Timestamp {
        let first = self.first_day();
        let next = match self {
            Self::Daily => first.saturating_add(1.day()),
            Self::Weekly => first.saturating_add(1.week()),
            Self::Monthly => first.saturating_add(1.month()),
        };
        next.to_zoned(TimeZone::UTC).as_ref().map_or(Timestamp::MAX, Zoned::timestamp)
    }
}

/// Returns beginning and end of a value, as lists show it.
pub(super) fn label(value: &str) -> String {
    let end = value.len().saturating_sub(4);
    match (value.get(..12), value.get(end.max(12)..)) {
        (Some(first), Some(last)) => format!("{first}...{last}"),
        _ => "...".to_owned(),
    }
}

/// Returns the day in UTC.
pub(super) fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

fn random_hex() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
