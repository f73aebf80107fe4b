//! `spec.openRouter` and `spec.ollama`: the upstreams.

use std::time::Duration;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{SecretRef, parse_duration};

/// The upstream that answers: OpenRouter, or any endpoint with its API.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("!self.mock || (!has(self.apiKeySecretRef) && !has(self.managementKeySecretRef))")
        .message("openRouter.mock and a key exclude each other: remove mock to use the real upstream, or the key to try things out"),
    validation = kube::core::Rule::new("!has(self.apiKeySecretRef) || !has(self.managementKeySecretRef)")
        .message("openRouter.apiKeySecretRef and managementKeySecretRef exclude each other: name the client's key, or the management key with which mai makes one"),
    validation = kube::core::Rule::new("!has(self.keyRotation) || has(self.managementKeySecretRef)")
        .message("openRouter.keyRotation is about the key that mai makes: declare openRouter.managementKeySecretRef, or remove it")
)]
pub struct OpenRouter {
    /// Base URL of the API.
    #[serde(default = "default_base_url")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^https?://[^ /]+[^ ]*$')").message("openRouter.baseUrl must be an http or https URL such as https://openrouter.ai/api/v1"))]
    #[schemars(length(max = 2048))]
    pub base_url: String,

    /// The client's key. Absent: the admin enters one in the pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_secret_ref: Option<SecretRef>,

    /// A management key with which the client's own key is created, limited and rotated. The server
    /// never gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_key_secret_ref: Option<SecretRef>,

    /// Rotation of the client's own key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_rotation: Option<KeyRotation>,

    /// Models the client may use; empty means all that the upstream offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(validation = kube::core::Rule::new("self.all(m, m.matches('^[^ ,]+$'))").message("openRouter.models must hold model ids such as anthropic/claude-sonnet-4, without spaces or commas"))]
    #[schemars(length(max = 200), inner(length(max = 200)))]
    pub models: Vec<String>,

    /// Maximal amount the client may spend at the upstream in a calendar month, in whole USD: by the books
    /// of the server, and as the limit of the key that is made with the management key, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self >= 1 && self <= 1000000").message("openRouter.monthlyLimitUsd must be 1 to 1000000 (USD)"))]
    pub monthly_limit_usd: Option<i64>,

    /// Amount the client is billed for each dollar spent at the upstream, as a decimal: "1.3" adds
    /// 30 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[0-9]{1,2}([.][0-9]{1,4})?$') && !self.matches('^0+([.]0*)?$')").message("openRouter.markup must be a decimal above 0 in quotes, such as \"1.3\""))]
    #[schemars(length(max = 8))]
    pub markup: Option<String>,

    /// Share that the upstream takes when credits are bought, as a decimal: OpenRouter's is "0.055". It
    /// is a part of what the client is billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^0([.][0-9]{1,4})?$')").message("openRouter.creditFee must be a decimal from 0 to 0.9999 in quotes, such as \"0.055\""))]
    #[schemars(length(max = 8))]
    pub credit_fee: Option<String>,

    /// Answers from a mock upstream inside the instance: no key, no cost, nothing leaves the
    /// machine. For trying out.
    #[serde(default)]
    pub mock: bool,
}

/// Rotation of the key that is made with the management key.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KeyRotation {
    /// Age in days after which another key is made. 1 to 3650; absent means only on command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self >= 1 && self <= 3650").message("openRouter.keyRotation.everyDays must be 1 to 3650"))]
    pub every_days: Option<i32>,

    /// Time that the former key works after the server has another one, such as 10m. After as long
    /// again it is deleted.
    #[serde(default = "default_grace_period")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^([0-9]+(ms|s|m|h))+$')").message("openRouter.keyRotation.gracePeriod must be a duration such as 10m"))]
    #[schemars(length(max = 32))]
    pub grace_period: String,
}

impl KeyRotation {
    /// Time that a former key works where the document declares none.
    pub const DEFAULT_GRACE_PERIOD: Duration = Duration::from_secs(600);

    /// Returns the time that the former key works.
    pub fn grace_period(&self) -> Duration {
        parse_duration(&self.grace_period).unwrap_or(Self::DEFAULT_GRACE_PERIOD)
    }
}

/// A local Ollama.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Ollama {
    /// Base URL as the instance reaches it.
    #[x_kube(validation = kube::core::Rule::new("self.matches('^https?://[^ /]+[^ ]*$')").message("ollama.baseUrl must be an http or https URL such as http://host.docker.internal:11434"))]
    #[schemars(length(max = 2048))]
    pub base_url: String,
}

fn default_base_url() -> String {
    "https://openrouter.ai/api/v1".to_owned()
}

fn default_grace_period() -> String {
    "10m".to_owned()
}
