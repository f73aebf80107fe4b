//! `GET /key`: the upstream's record of our own key.

use serde::Deserialize;

use super::money::{NanoUsd, deserialize_dollars};

/// The key's label, limit and spending. Only OpenRouter answers this call; every part may be
/// absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct KeyInfo {
    /// The name the key was given, or its shortened text.
    pub label: Option<String>,
    /// The most that may be spent in a period; `None` is unlimited.
    #[serde(deserialize_with = "deserialize_dollars")]
    pub limit: Option<NanoUsd>,
    /// The rest of the limit.
    #[serde(deserialize_with = "deserialize_dollars")]
    pub limit_remaining: Option<NanoUsd>,
    /// The period after which the limit begins anew, such as `monthly`; `None` for a limit for life.
    pub limit_reset: Option<String>,
    /// Spent since the key was made.
    #[serde(deserialize_with = "deserialize_dollars")]
    pub usage: Option<NanoUsd>,
    /// Spent since the first of the month, UTC.
    #[serde(deserialize_with = "deserialize_dollars")]
    pub usage_monthly: Option<NanoUsd>,
    /// True when only free models may be used.
    pub is_free_tier: Option<bool>,
    /// The time at which it expires, as the upstream writes it.
    pub expires_at: Option<String>,
}
