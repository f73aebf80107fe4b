//! The management API: the keys of an account, its activity and its credits.
//!
//! A management key cannot run inference, and a key for inference cannot make these calls. All lists
//! are bounded, and fields that are not known are ignored.

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::civil::Date;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::client::{ANSWER_CAP, Client, Data};
use super::error::UpstreamError;
use super::money::{NanoUsd, deserialize_dollars};
use super::name::is_name;
use super::pool::Pool;

/// Keys in one page of their list.
const PAGE: usize = 100;
/// Most keys that are read.
const MOST_KEYS: usize = 20_000;
/// Most bytes of the activity of a key, which is one row for each day, model and provider.
const ACTIVITY_CAP: usize = 4 << 20;
/// Period in which the limit of a key is spent. It begins with each calendar month in UTC.
const MONTHLY: &str = "monthly";

/// An account of the upstream with the management key to it.
#[derive(Clone, Debug)]
pub struct Management {
    client: Client,
}

/// Settings of a key that can be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeySettings {
    /// The most that may be spent in a calendar month, in whole USD, also with keys of providers
    /// (BYOK); `None` is unlimited.
    pub limit_usd: Option<i64>,
    /// It is refused until it is enabled again.
    pub disabled: bool,
}

/// A key of the account, without its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ManagedKey {
    /// Names the key in all calls; it is no secret.
    pub hash: String,
    /// The name that it was given. Several keys may have one.
    pub name: Option<String>,
    /// Beginning and end of its value.
    pub label: Option<String>,
    /// It is refused.
    pub disabled: bool,
    /// The most that may be spent in a period.
    #[serde(deserialize_with = "deserialize_dollars")]
    pub limit: Option<NanoUsd>,
    /// Period of the limit; without one it is for life.
    pub limit_reset: Option<String>,
    /// Calls with keys of providers count.
    pub include_byok_in_limit: bool,
    /// Spent since it was made.
    #[serde(deserialize_with = "deserialize_dollars")]
    pub usage: Option<NanoUsd>,
    /// Spent since the first of the month, UTC.
    #[serde(deserialize_with = "deserialize_dollars")]
    pub usage_monthly: Option<NanoUsd>,
}

/// A key that was just made.
#[derive(Debug, Clone)]
pub struct CreatedKey {
    /// Names the key in all calls.
    pub hash: String,
    /// Its value, which is never shown again.
    pub value: SecretString,
}

/// Calls of one day (UTC) over one key to one model at one provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ActivityRow {
    /// The day.
    #[serde(deserialize_with = "deserialize_day")]
    pub date: Date,
    /// The model.
    pub model: String,
    /// Its name with the date of its version.
    #[serde(default)]
    pub model_permaslug: Option<String>,
    /// The provider.
    #[serde(default)]
    pub provider_name: Option<String>,
    /// Number of calls.
    #[serde(default)]
    pub requests: u64,
    /// Tokens of questions.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Tokens of answers.
    #[serde(default)]
    pub completion_tokens: u64,
    /// Taken from the credits.
    #[serde(default, deserialize_with = "deserialize_dollars")]
    pub usage: Option<NanoUsd>,
    /// Charged by providers to keys of one's own (BYOK).
    #[serde(default, deserialize_with = "deserialize_dollars")]
    pub byok_usage_inference: Option<NanoUsd>,
}

/// The credits of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Credits {
    /// Bought since it was opened.
    #[serde(deserialize_with = "deserialize_dollars")]
    pub total_credits: Option<NanoUsd>,
    /// Spent since then.
    #[serde(deserialize_with = "deserialize_dollars")]
    pub total_usage: Option<NanoUsd>,
}

impl ManagedKey {
    /// Returns its settings; `None` if no settings of ours are like them.
    pub fn settings(&self) -> Option<KeySettings> {
        let limit_usd = match self.limit {
            None => None,
            Some(limit) => {
                let is_ours = self.limit_reset.as_deref() == Some(MONTHLY) && self.include_byok_in_limit;
                let dollars = limit.get() / DOLLAR;
                (is_ours && dollars * DOLLAR == limit.get()).then_some(dollars).map(Some)?
            }
        };
        Some(KeySettings { limit_usd, disabled: self.disabled })
    }
}

/// A dollar in nano-USD.
const DOLLAR: i64 = 1_000_000_000;

impl KeySettings {
    /// Returns the body of the call that sets them.
    fn into_body(self) -> Value {
        let reset = self.limit_usd.map(|_| MONTHLY);
        json!({"limit": self.limit_usd, "limit_reset": reset, "include_byok_in_limit": true})
    }
}

impl Management {
    /// For the upstream at this base URL.
    pub fn new(pool: &Pool, base_url: &str, key: &SecretString) -> Result<Self, UpstreamError> {
        if key.expose_secret().trim().is_empty() {
            return Err(UpstreamError::InvalidKey);
        }
        Ok(Self { client: Client::new(pool, base_url, Some(key))? })
    }

    /// `GET /keys`: all keys of the workspace, disabled ones as well.
    pub async fn keys(&self) -> Result<Vec<ManagedKey>, UpstreamError> {
        let mut keys: Vec<ManagedKey> = Vec::new();
        loop {
            let path = format!("/keys?offset={}&include_disabled=true", keys.len());
            let body = self.client.call(Method::GET, &path, Bytes::new(), ANSWER_CAP).await?;
            let page: Data<Vec<ManagedKey>> = self.client.read(&body)?;
            let length = page.data.len();
            keys.extend(page.data);
            if length < PAGE {
                break;
            }
            if keys.len() >= MOST_KEYS {
                return Err(self.client.invalid_response(format!("it lists more than {MOST_KEYS} keys")));
            }
        }
        // A key that was made meanwhile moves others to the next page.
        keys.retain(|key| is_name(&key.hash));
        keys.sort_by(|one, other| one.hash.cmp(&other.hash));
        keys.dedup_by(|one, other| one.hash == other.hash);
        Ok(keys)
    }

    /// `POST /keys`: makes a key. If the answer is lost, a key of this name may exist all the same.
    pub async fn create_key(&self, name: &str, limit_usd: Option<i64>) -> Result<CreatedKey, UpstreamError> {
        let mut body = KeySettings { limit_usd, disabled: false }.into_body();
        body["name"] = name.into();
        let answer = self.client.call(Method::POST, "/keys", body.to_string().into(), ANSWER_CAP).await?;
        created(&self.client.read(&answer)?).map_err(|reason| self.client.invalid_response(reason))
    }

    /// `PATCH /keys/{hash}`: sets limit and state of a key. Returns false if there is none.
    pub async fn change_key(&self, hash: &str, settings: KeySettings) -> Result<bool, UpstreamError> {
        let mut body = settings.into_body();
        body["disabled"] = settings.disabled.into();
        self.of_key(Method::PATCH, hash, body.to_string().into()).await
    }

    /// `PATCH /keys/{hash}`: disables a key and leaves its limit. Returns false if there is none.
    pub async fn disable_key(&self, hash: &str) -> Result<bool, UpstreamError> {
        self.of_key(Method::PATCH, hash, json!({"disabled": true}).to_string().into()).await
    }

    /// `DELETE /keys/{hash}`: deletes a key for good. Returns false if there is none.
    pub async fn delete_key(&self, hash: &str) -> Result<bool, UpstreamError> {
        self.of_key(Method::DELETE, hash, Bytes::new()).await
    }

    /// `GET /activity`: calls of the last 30 completed days over one key.
    pub async fn activity(&self, hash: &str) -> Result<Vec<ActivityRow>, UpstreamError> {
        let path = format!("/activity?api_key_hash={}", encoded(hash));
        let body = self.client.call(Method::GET, &path, Bytes::new(), ACTIVITY_CAP).await?;
        Ok(self.client.read::<Data<Vec<ActivityRow>>>(&body)?.data)
    }

    /// `GET /credits`: what was bought and spent.
    pub async fn credits(&self) -> Result<Credits, UpstreamError> {
        let body = self.client.call(Method::GET, "/credits", Bytes::new(), ANSWER_CAP).await?;
        Ok(self.client.read::<Data<Credits>>(&body)?.data)
    }

    async fn of_key(&self, method: Method, hash: &str, body: Bytes) -> Result<bool, UpstreamError> {
        match self.client.call(method, &format!("/keys/{}", encoded(hash)), body, ANSWER_CAP).await {
            Ok(_) => Ok(true),
            Err(UpstreamError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Returns the key in an answer to `POST /keys`. Its value stands beside `data`, or in it.
fn created(answer: &Value) -> Result<CreatedKey, &'static str> {
    let text = |value: &Value| value.as_str().filter(|text| is_name(text)).map(str::to_owned);
    let hash = text(&answer["data"]["hash"]).ok_or("the new key has no hash")?;
    let value = text(&answer["key"]).or_else(|| text(&answer["data"]["key"])).ok_or("the new key has no value")?;
    Ok(CreatedKey { hash, value: value.into() })
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Reads a day, also one with a time behind it.
fn deserialize_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.get(..10).unwrap_or(&text).parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn value_of_a_new_key_is_read_in_both_places() {
        for answer in [
            json!({"data": {"hash": "f01d", "name": "a"}, "key": "sk-or-v1-new"}),
            json!({"data": {"hash": "f01d", "key": "sk-or-v1-new"}}),
        ] {
            let key = created(&answer).unwrap();
            assert_eq!((key.hash.as_str(), key.value.expose_secret()), ("f01d", "sk-or-v1-new"), "{answer}");
        }
        for answer in
            [json!({"data": {"hash": "f01d"}}), json!({"key": "sk"}), json!({"data": {"hash": ""}, "key": "sk"})]
        {
            assert!(created(&answer).is_err(), "{answer}");
        }
    }

    #[test]
    fn settings_of_others_are_told_from_ours() {
        let key = |value: Value| serde_json::from_str::<ManagedKey>(&value.to_string()).unwrap();
        let ours = json!({"hash": "a", "limit": 25, "limit_reset": "monthly", "include_byok_in_limit": true});
        let limited = Some(KeySettings { limit_usd: Some(25), disabled: false });
        assert_eq!(key(ours.clone()).settings(), limited);
        let unlimited = key(json!({"hash": "a", "limit": null, "limit_reset": null, "disabled": true}));
        assert_eq!(unlimited.settings(), Some(KeySettings { limit_usd: None, disabled: true }));
        for (field, other) in [
            ("limit", json!(25.5)),
            ("limit_reset", json!("weekly")),
            ("limit_reset", json!(null)),
            ("include_byok_in_limit", json!(false)),
        ] {
            let mut changed = ours.clone();
            changed[field] = other;
            assert_eq!(key(changed).settings(), None, "{field}");
        }
    }

    #[test]
    fn activity_is_read_with_or_without_times_of_day() {
        for date in ["2026-11-29", "2026-11-29 00:00:00"] {
            let row = json!({"date": date, "model": "a/b", "requests": 2, "usage": 0.015, "byok_usage_inference": 0});
            let row: ActivityRow = serde_json::from_str(&row.to_string()).unwrap();
            assert_eq!((row.date.to_string().as_str(), row.usage), ("2026-11-29", Some(NanoUsd::new(15_000_000))));
        }
    }
}
