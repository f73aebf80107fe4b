//! Where the upstream is and the key to it: from the environment, or saved by the admin, sealed.

mod mock;
mod seal;
mod store;
mod verify;

pub(super) use mock::start_mock;
pub(super) use store::load;
pub use store::{clear, current, save};
pub use verify::{Verdict, verify};

use std::sync::Arc;

use axum::http::StatusCode;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::sync::watch;
use url::Url;

use super::{ApiError, database::DatabaseError};

/// Where a connection comes from.
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
    /// The base URL, without a slash at the end.
    pub base_url: String,
    /// The key; a local upstream may need none.
    pub key: Option<SecretString>,
    /// Where both come from.
    pub source: ConnectionSource,
}

impl Connection {
    /// The last four characters of the key, the only ones that ever leave.
    pub fn key_hint(&self) -> Option<String> {
        let key = self.key.as_ref()?.expose_secret();
        let shown = if key.chars().count() >= 12 { 4 } else { 0 };
        let skip = key.chars().count() - shown;
        Some(key.chars().skip(skip).collect())
    }

    /// False while a request can only be refused: OpenRouter without a key.
    pub fn is_configured(&self) -> bool {
        self.key.is_some() || !self.base_url.contains("://openrouter.ai/")
    }
}

/// The connection in use, which the hot path reads and the admin replaces.
#[derive(Debug)]
pub struct Connections {
    current: watch::Sender<Arc<Connection>>,
    /// What goes back into use when the admin's connection is cleared.
    seed: Arc<Connection>,
    /// How the last check of the connection in use ended.
    verdict: Mutex<Option<Verdict>>,
}

impl Connections {
    /// The connection in use.
    pub fn current(&self) -> Arc<Connection> {
        self.current.borrow().clone()
    }

    /// Tells of every change.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Connection>> {
        self.current.subscribe()
    }

    /// How the last check of the connection in use ended; `None` when it was not checked since the start.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict.lock().clone()
    }

    fn replace(&self, connection: Arc<Connection>, verdict: Option<Verdict>) {
        *self.verdict.lock() = verdict;
        self.current.send_replace(connection);
    }

    fn judge(&self, verdict: Verdict) {
        *self.verdict.lock() = Some(verdict);
    }
}

/// Why a connection was not saved.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The base URL is none.
    #[error("{0}")]
    BadUrl(String),
    /// The key holds what no header may.
    #[error("This key holds characters that keys never have; please copy it again.")]
    BadKey,
    /// The upstream answered and refused; in its own words.
    #[error("The upstream refused: {0}")]
    Refused(String),
    /// Nobody answered in a way that makes sense.
    #[error("{0}")]
    Unreachable(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<ConnectionError> for ApiError {
    fn from(error: ConnectionError) -> Self {
        let sentence = error.to_string();
        match error {
            ConnectionError::Database(error) => error.into(),
            ConnectionError::Unreachable(_) => Self::new(StatusCode::BAD_GATEWAY, sentence),
            ConnectionError::BadUrl(_) | ConnectionError::BadKey | ConnectionError::Refused(_) => {
                Self::new(StatusCode::BAD_REQUEST, sentence)
            }
        }
    }
}

/// A base URL as we keep it: http or https, no credentials, query or fragment, no slash at the end.
pub fn base_url(text: &str) -> Result<String, ConnectionError> {
    let text = text.trim();
    let wrong = |why: &str| Err(ConnectionError::BadUrl(format!("{text:?} can't be a base URL: {why}")));
    let Ok(url) = Url::parse(text) else { return wrong("write it like https://openrouter.ai/api/v1") };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong("it has to begin with https:// or http://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConnectionError::BadUrl(
            "A base URL holds no user name or password; the key has its own field.".to_owned(),
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("it ends before any ? or #");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
