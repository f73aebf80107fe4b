//! The upstream's base URL and key.

use mai_openrouter::{AddressPolicy, without_call};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::Url;

use super::error::{ConnectionError, UrlProblem};
use super::openrouter_host::OpenRouterHost;

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
    /// The addresses at which the upstream may be.
    pub addresses: AddressPolicy,
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
        self.key.is_some() || OpenRouterHost::from_base_url(&self.base_url).is_none()
    }
}

/// The longest base URL; the same in documents.
const LONGEST_URL: usize = 2048;

/// Ports of other protocols than HTTP, which no browser calls either: the list of the Fetch standard.
/// Their servers may take a line of a request for a command.
const BLOCKED_PORTS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// Returns the normal form of a base URL that an admin enters. Unlike a declared one, it has a port at
/// which HTTP may be served.
pub(super) fn entered_base_url(text: &str) -> Result<String, ConnectionError> {
    let base_url = base_url(text)?;
    let port = Url::parse(&base_url).ok().and_then(|url| url.port());
    if port.is_some_and(|port| BLOCKED_PORTS.contains(&port)) {
        return Err(ConnectionError::BadUrl { url: base_url, problem: UrlProblem::Port });
    }
    Ok(base_url)
}

/// Returns the normal form of a base URL: http or https, without credentials, query, fragment,
/// trailing slash or the path of a call.
pub fn base_url(text: &str) -> Result<String, ConnectionError> {
    let text = text.trim();
    let wrong = |problem| Err(ConnectionError::BadUrl { url: text.to_owned(), problem });
    if text.len() > LONGEST_URL {
        let url = text.chars().take(60).collect();
        return Err(ConnectionError::BadUrl { url, problem: UrlProblem::TooLong });
    }
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
