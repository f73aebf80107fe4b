//! The check of a connection at its upstream.

use http::StatusCode;
use jiff::Timestamp;
use mai_contract::environment;

use super::error::ConnectionError;
use super::upstream::Connection;
use mai_openrouter::{Client, Pool, UpstreamError};

/// The result of a check.
#[derive(Debug, Clone)]
pub struct ConnectionCheck {
    /// True when the upstream accepted the key.
    pub ok: bool,
    /// The upstream's message, or the number of its models.
    pub detail: String,
    /// The time of the check.
    pub at: Timestamp,
}

/// Requests the models, and the key's own record, because OpenRouter lists its models to anybody.
/// Other upstreams have no `/key`; there, the models suffice.
pub(super) async fn check(connection: &Connection) -> Result<ConnectionCheck, ConnectionError> {
    // A pool of its own: no connection stays open to an upstream that may not be saved.
    let client = Client::new(&Pool::new(), &connection.base_url, connection.key.as_ref())
        .map_err(connection_error)?
        .with_addresses(connection.addresses.clone());
    let detail = match client.models().await {
        Ok(models) => format!("The upstream offers {} models.", models.len()),
        // It can be used all the same, with the models that MAI_MODELS names.
        Err(error @ UpstreamError::ListTooLong { .. }) => format!("{}.", error.sentence()),
        Err(UpstreamError::Refused { status: StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, .. }) => {
            return Err(ConnectionError::NoModels(connection.base_url.clone()));
        }
        Err(error) => return Err(connection_error(error)),
    };
    if connection.key.is_some() {
        match client.key().await {
            Ok(_) | Err(UpstreamError::InvalidResponse { .. }) => {}
            Err(UpstreamError::Refused { status: StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, .. }) => {}
            Err(error) => return Err(connection_error(error)),
        }
    }
    Ok(ConnectionCheck { ok: true, detail, at: Timestamp::now() })
}

/// The client's error in the admin's terms: refused, or unreachable.
fn connection_error(error: UpstreamError) -> ConnectionError {
    match error {
        UpstreamError::InvalidKey => ConnectionError::BadKey,
        UpstreamError::AddressRefused { ref origin, address, .. } => {
            tracing::warn!(
                %origin,
                %address,
                "an upstream entered by an admin is not called; {} can allow its network",
                environment::ALLOWED_UPSTREAM_NETWORKS
            );
            ConnectionError::Upstream(error)
        }
        UpstreamError::Refused { status, message, .. } if status.is_client_error() => {
            ConnectionError::Refused { status, message }
        }
        UpstreamError::InvalidUrl { .. }
        | UpstreamError::Refused { .. }
        | UpstreamError::Unreachable { .. }
        | UpstreamError::ConnectionLost { .. }
        | UpstreamError::ListTooLong { .. }
        | UpstreamError::InvalidResponse { .. } => ConnectionError::Upstream(error),
    }
}
