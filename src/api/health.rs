//! `spec.health`: how readiness is probed.

use std::time::Duration;

use kube::KubeSchema;
use mai_contract::http;
use serde::{Deserialize, Serialize};

use super::{ServerKind, parse_duration};

/// Readiness probe, and the failures after which a server counts as unhealthy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("!self.timeout.matches('^[0-9]+(ms|s|m|h)$') || !self.interval.matches('^[0-9]+(ms|s|m|h)$') || duration(self.timeout) <= duration(self.interval)")
        .message("health.timeout may not exceed health.interval")
)]
pub struct Health {
    /// Path that answers 200 when the server is ready. Absent means /ready for server.kind Mai, and
    /// /health for the others, which do not all have /ready; set it to /ready for Open WebUI 0.8.11
    /// and newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^/[^ ]*$')").message("health.path must start with / and hold no spaces"))]
    #[schemars(length(max = 256))]
    pub path: Option<String>,

    /// Time between two probes, such as 30s.
    #[serde(default = "default_interval")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^([0-9]+(ms|s|m|h))+$') && !self.matches('^(0+(ms|s|m|h))+$')").message("health.interval must be a duration above 0 such as 30s"))]
    #[schemars(length(max = 32))]
    pub interval: String,

    /// Time a probe may take, such as 10s.
    #[serde(default = "default_timeout")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^([0-9]+(ms|s|m|h))+$') && !self.matches('^(0+(ms|s|m|h))+$')").message("health.timeout must be a duration above 0 such as 10s"))]
    #[schemars(length(max = 32))]
    pub timeout: String,

    /// Failed probes in a row until the server counts as unhealthy and is restarted. 1 to 100.
    #[serde(default = "default_retries")]
    #[x_kube(validation = kube::core::Rule::new("self >= 1 && self <= 100").message("health.retries must be 1 to 100"))]
    pub retries: i32,

    /// Time a server may take to become ready after it was started, such as 60s.
    #[serde(default = "default_start_period")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^([0-9]+(ms|s|m|h))+$') && !self.matches('^(0+(ms|s|m|h))+$')").message("health.startPeriod must be a duration above 0 such as 60s"))]
    #[schemars(length(max = 32))]
    pub start_period: String,
}

impl Health {
    /// Path that answers 200 when a server of this kind is ready.
    pub fn path(&self, kind: ServerKind) -> &str {
        match (&self.path, kind) {
            (Some(path), _) => path,
            (None, ServerKind::Mai) => http::READY_PATH,
            // Open WebUI before 0.8.11 answers /ready with 200 whatever happens: it is a page of
            // its single-page application.
            (None, ServerKind::OpenWebUI | ServerKind::Custom) => http::HEALTH_PATH,
        }
    }

    /// Time between two probes.
    pub fn interval(&self) -> Duration {
        parse_duration(&self.interval).unwrap_or(Duration::from_secs(30))
    }

    /// Time a probe may take.
    pub fn timeout(&self) -> Duration {
        parse_duration(&self.timeout).unwrap_or(Duration::from_secs(10))
    }

    /// Time a server may take to become ready after it was started.
    pub fn start_period(&self) -> Duration {
        parse_duration(&self.start_period).unwrap_or(Duration::from_secs(60))
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            path: None,
            interval: default_interval(),
            timeout: default_timeout(),
            retries: default_retries(),
            start_period: default_start_period(),
        }
    }
}

fn default_interval() -> String {
    "30s".to_owned()
}

fn default_timeout() -> String {
    "10s".to_owned()
}

fn default_retries() -> i32 {
    3
}

fn default_start_period() -> String {
    "60s".to_owned()
}
