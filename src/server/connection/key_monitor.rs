//! The upstream's record of the key in use, as far as it is known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use jiff::Timestamp;
use mai_contract::{KeyCounts, KeyState};
use mai_openrouter::key::KeyInfo;
use mai_openrouter::{Client, NanoUsd, Pool, UpstreamError};
use parking_lot::Mutex;

use super::connections::Connections;
use super::upstream::{Connection, ConnectionSource};

/// Age at which a record is requested again.
const FRESH: Duration = Duration::from_secs(600);
/// The same after the upstream did not answer.
const RETRY: Duration = Duration::from_secs(60);
/// Longest wait for the first record; afterwards the former one is good enough.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// Requests the upstream's record of the key, as often as somebody wants to know. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct KeyMonitor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connections: Connections,
    known: Mutex<Option<Known>>,
    /// Locked while asking, so that many requests at once ask once.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Known {
    connection: Arc<Connection>,
    at: Instant,
    counts: KeyCounts,
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < if self.counts.state == KeyState::Unreachable { RETRY } else { FRESH }
    }
}

impl KeyMonitor {
    pub(crate) fn new(connections: &Connections) -> Self {
        let (known, asking) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Shared { connections: connections.clone(), known, asking }))
    }

    /// Returns what is known of the key in use. An old record is renewed in the background.
    pub(crate) async fn counts(&self) -> KeyCounts {
        let connection = self.0.connections.current();
        if connection.key.is_none() {
            return KeyCounts::default();
        }
        let known = self.known(&connection);
        if let Some(known) = known.as_ref().filter(|known| known.is_fresh()) {
            return known.counts.clone();
        }
        let monitor = self.clone();
        let asked = Arc::clone(&connection);
        let asking = tokio::spawn(async move { monitor.ask(asked).await });
        match known {
            Some(known) => known.counts,
            None => {
                // It goes on when that takes longer.
                let _ = tokio::time::timeout(FIRST_WAIT, asking).await;
                self.known(&connection).map(|known| known.counts).unwrap_or_default()
            }
        }
    }

    fn known(&self, connection: &Arc<Connection>) -> Option<Known> {
        self.0.known.lock().as_ref().filter(|known| Arc::ptr_eq(&known.connection, connection)).cloned()
    }

    async fn ask(&self, connection: Arc<Connection>) {
        let _asking = self.0.asking.lock().await;
        let former = self.known(&connection);
        if former.as_ref().is_some_and(Known::is_fresh) {
            return;
        }
        let mut counts = counts(request(&connection).await, former.map(|known| known.counts));
        if connection.source == ConnectionSource::Database {
            // Of a key that the client pays, the provider learns no amount.
            (counts.limit_nano_usd, counts.limit_left_nano_usd) = (None, None);
        }
        *self.0.known.lock() = Some(Known { connection, at: Instant::now(), counts });
    }
}

async fn request(connection: &Connection) -> Result<KeyInfo, UpstreamError> {
    let client = Client::new(&Pool::new(), &connection.base_url, connection.key.as_ref())?;
    client.with_addresses(connection.addresses.clone()).key().await
}

/// Returns what an answer says of the key. While the upstream does not answer, its former record stands.
fn counts(answer: Result<KeyInfo, UpstreamError>, former: Option<KeyCounts>) -> KeyCounts {
    let state = match answer {
        Ok(info) => {
            return KeyCounts {
                state: KeyState::Ok,
                checked_at: Some(Timestamp::now()),
                expires_at: info.expires_at.and_then(|text| text.parse().ok()),
                limit_nano_usd: info.limit.map(NanoUsd::get),
                limit_left_nano_usd: info.limit_remaining.map(NanoUsd::get),
                limit_is_monthly: info.limit_reset.as_deref() == Some("monthly"),
            };
        }
        Err(error) => state(&error),
    };
    match state {
        KeyState::Unreachable => KeyCounts { state, ..former.unwrap_or_default() },
        state => KeyCounts { state, checked_at: Some(Timestamp::now()), ..KeyCounts::default() },
    }
}

fn state(error: &UpstreamError) -> KeyState {
    match error {
        UpstreamError::InvalidKey => KeyState::Refused,
        UpstreamError::Refused { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. } => KeyState::Refused,
        // Many upstreams keep no record of keys.
        UpstreamError::Refused { status: StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, .. }
        | UpstreamError::InvalidUrl { .. }
        | UpstreamError::AddressRefused { .. }
        | UpstreamError::ListTooLong { .. }
        | UpstreamError::InvalidResponse { .. } => KeyState::Unknown,
        UpstreamError::Refused { .. } | UpstreamError::Unreachable { .. } | UpstreamError::ConnectionLost { .. } => {
            KeyState::Unreachable
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mai_openrouter::NetworkFailure;

    use super::*;

    #[test]
    fn silent_upstream_leaves_its_former_record() {
        let origin = || "http://o".to_owned();
        let refused = |status: u16| UpstreamError::Refused {
            origin: origin(),
            status: StatusCode::from_u16(status).unwrap(),
            message: String::new(),
            kind: mai_openrouter::ErrorKind::from_status(status),
            retry_after: None,
        };
        let silent = UpstreamError::Unreachable { origin: origin(), reason: NetworkFailure::NoAddress };
        let info = || KeyInfo {
            limit: Some(NanoUsd::new(20)),
            limit_remaining: Some(NanoUsd::new(8)),
            limit_reset: Some("monthly".to_owned()),
            expires_at: Some("2026-12-24T00:00:00Z".to_owned()),
            ..KeyInfo::default()
        };
        let known = counts(Ok(info()), None);
        assert_eq!((known.state, known.limit_left_nano_usd, known.limit_is_monthly), (KeyState::Ok, Some(8), true));
        assert_eq!(known.expires_at.unwrap().to_string(), "2026-12-24T00:00:00Z");
        assert_eq!(counts(Ok(KeyInfo { expires_at: Some("soon".to_owned()), ..info() }), None).expires_at, None);
        for (error, state, keeps) in [
            (silent, KeyState::Unreachable, true),
            (refused(503), KeyState::Unreachable, true),
            (refused(429), KeyState::Unreachable, true),
            (refused(401), KeyState::Refused, false),
            (refused(403), KeyState::Refused, false),
            (UpstreamError::InvalidKey, KeyState::Refused, false),
            (refused(404), KeyState::Unknown, false),
        ] {
            let now = counts(Err(error.clone()), Some(known.clone()));
            assert_eq!((now.state, now.limit_nano_usd.is_some()), (state, keeps), "{error:?}");
        }
    }
}
