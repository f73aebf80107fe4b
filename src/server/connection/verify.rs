//! Asks an upstream whether it is there and takes the key.

use http::StatusCode;
use jiff::Timestamp;

use super::{Connection, ConnectionError};
use crate::App;
use mai_openrouter::{Client, Pool, UpstreamError};

/// How a check ended.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Whether the upstream took the key.
    pub ok: bool,
    /// What the upstream said, or how many models it offers.
    pub detail: String,
    /// When it was asked.
    pub at: Timestamp,
}

/// Checks the connection in use and remembers how it went.
pub async fn verify(app: &App) -> Verdict {
    let connection = app.connections.current();
    let verdict = match ask(&connection).await {
        Ok(verdict) => verdict,
        Err(error) => Verdict { ok: false, detail: error.to_string(), at: Timestamp::now() },
    };
    // A connection saved meanwhile has its own verdict.
    if std::sync::Arc::ptr_eq(&connection, &app.connections.current()) {
        app.connections.judge(verdict.clone());
    }
    verdict
}

/// Asks for the models, and for the key's own record, because OpenRouter tells its models to anybody. Other upstreams
/// know no `/key`; there, the models have to do.
pub(super) async fn ask(connection: &Connection) -> Result<Verdict, ConnectionError> {
    // A pool of its own: nothing is kept open to an upstream that may be refused.
    let client = Client::new(&Pool::new(), &connection.base_url, connection.key.as_ref()).map_err(told)?;
    let models = client.models().await.map_err(|error| match error {
        UpstreamError::Refused { status: StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, .. } => {
            ConnectionError::Unreachable(format!(
                "There is no {}/models; is the base URL right? OpenRouter's is https://openrouter.ai/api/v1",
                connection.base_url
            ))
        }
        error => told(error),
    })?;
    if connection.key.is_some() {
        match client.key().await {
            Ok(_) | Err(UpstreamError::InvalidResponse { .. }) => {}
            Err(UpstreamError::Refused { status: StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, .. }) => {}
            Err(error) => return Err(told(error)),
        }
    }
    Ok(Verdict { ok: true, detail: format!("The upstream offers {} models.", models.len()), at: Timestamp::now() })
}

/// The client's error as the admin's: refused for good, or nobody there.
fn told(error: UpstreamError) -> ConnectionError {
    match error {
        UpstreamError::InvalidUrl { .. } => ConnectionError::BadUrl(error.to_string()),
        UpstreamError::InvalidKey => ConnectionError::BadKey,
        UpstreamError::Refused { status, message, .. } if status.is_client_error() => {
            ConnectionError::Refused(format!("{message} (HTTP {})", status.as_u16()))
        }
        UpstreamError::Refused { .. }
        | UpstreamError::Unreachable { .. }
        | UpstreamError::ConnectionLost { .. }
        | UpstreamError::InvalidResponse { .. } => ConnectionError::Unreachable(sentence(&error)),
    }
}

/// The error with a capital letter, because people read it.
fn sentence(error: &UpstreamError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
