//! The upstream's base URL and key.

use mai_openrouter::without_call;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::Url;

use super::error::{ConnectionError, UrlProblem};

/// The origin of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionSource {
    /// From OPENAI_API_BASE_URL and OPENAI_API_KEY.
    Environment,
    /// Saved by the admin.
    Database,
    /// The mock inside this process.
    Mock,
}

/// The upstream and the key to it.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The base URL, without a trailing slash.
    pub base_url: String,
    /// The key; a local upstream may need none.
    pub key: Option<SecretString>,
    /// The origin of both.
    pub source: ConnectionSource,
}

impl Connection {
    /// The last four characters of the key, the only ones that are ever shown.
    pub fn key_hint(&self) -> Option<String> {
        let key = self.key.as_ref()?.expose_secret();
        let shown = if key.chars().count() >= 12 { 4 } else { 0 };
        let skip = key.chars().count() - shown;
        Some(key.chars().skip(skip).collect())
    }

    /// False while every request would be refused: OpenRouter without a key.
    pub fn is_configured(&self) -> bool {
        self.key.is_some() || !self.base_url.contains("://openrouter.ai/")
    }
}

/// Returns the normal form of a base URL: http or https, without credentials, query, fragment,
/// trailing slash or the path of a call.
pub fn base_url(text: &str) -> Result<String, ConnectionError> {
    let text = text.trim();
    let wrong = |problem| Err(ConnectionError::BadUrl { url: text.to_owned(), problem });
    let Ok(url) = Url::parse(text) else { return wrong(UrlProblem::Malformed) };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong(UrlProblem::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong(UrlProblem::Credentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong(UrlProblem::QueryOrFragment);
    }
    Ok(without_call(url.as_str()).to_owned())
}

/// Returns the base URLs that may be meant by one at which there are no models: people leave out
/// the path, or its version. The key is for the same host.
pub(super) fn alternatives(base_url: &str) -> Vec<String> {
    let paths: &[&str] = match base_url.rsplit('/').next() {
        Some("v1") => &[],
        Some("api") => &["/v1"],
        _ => &["/v1", "/api/v1"],
    };
    paths.iter().map(|path| format!("{base_url}{path}")).collect()
}
