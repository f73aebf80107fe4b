//! Requests that a server answers to the reconciler alone.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use jiff::civil::Date;
use mai_contract::http::{BILLED_DAYS_PATH, COUNTS_PATH};
use mai_contract::{BilledDays, Counts, InternalToken};
use secrecy::SecretString;

use crate::runtime::probe::get_with_token;

/// Time that a request may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of the name of a model.
const LONGEST_MODEL: usize = 512;

/// Asks one server. Each request has a connection of its own.
#[derive(Clone, Debug)]
pub struct InternalClient {
    address: SocketAddr,
    token: SecretString,
}

/// Failure of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InternalError {
    /// The image does not serve the path.
    #[error("its image has none")]
    NotServed,
    /// The server does not know the token: it was started with another session key.
    #[error("it refuses the token of its session key")]
    Refused,
    /// There was no answer, or one of a server in trouble.
    #[error("{0}")]
    Unreachable(String),
    /// The answer makes no sense.
    #[error("{0}")]
    Invalid(String),
}

impl InternalClient {
    /// Makes a client of the server at this address.
    pub fn new(address: SocketAddr, token: &InternalToken) -> Self {
        Self { address, token: token.text() }
    }

    /// Returns the counts of the instance, as far as they make sense.
    pub async fn counts(&self) -> Result<Counts, InternalError> {
        let body = self.get(COUNTS_PATH, Counts::MAX_BYTES).await?;
        read_counts(&body)
    }

    /// Returns the costs of the ledger by day and model.
    pub async fn billed_days(&self) -> Result<BilledDays, InternalError> {
        let body = self.get(BILLED_DAYS_PATH, BilledDays::MAX_BYTES).await?;
        let days: Option<BilledDays> = serde_json::from_slice(&body).ok();
        let days = days.filter(|days| days.days.iter().all(|day| day.model.len() <= LONGEST_MODEL));
        days.ok_or_else(|| InternalError::Invalid(format!("GET {BILLED_DAYS_PATH} was answered with something else")))
    }

    /// Returns what the server answers this path with, of which no more than `max_bytes` are read.
    pub async fn get(&self, path: &str, max_bytes: usize) -> Result<bytes::Bytes, InternalError> {
        let answer = get_with_token(self.address, path, &self.token, TIMEOUT, max_bytes).await;
        let (status, body) = answer.map_err(InternalError::Unreachable)?;
        match status {
            StatusCode::OK if body.is_empty() => Err(InternalError::Invalid(format!(
                "GET {path} was answered with nothing, or with more than {max_bytes} bytes"
            ))),
            StatusCode::OK => Ok(body),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(InternalError::Refused),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(InternalError::Unreachable(format!("GET {path} was answered with {status}")))
            }
            // Some images redirect what they do not know.
            _ => Err(InternalError::NotServed),
        }
    }
}

fn is_month(text: &str) -> bool {
    text.len() == 7 && format!("{text}-01").parse::<Date>().is_ok()
}

/// Reads an answer. A server may be anybody's image, so nothing in it is taken as it is.
fn read_counts(body: &[u8]) -> Result<Counts, InternalError> {
    let invalid = |problem: String| InternalError::Invalid(format!("GET {COUNTS_PATH} was answered with {problem}"));
    let counts: Counts = serde_json::from_slice(body).map_err(|_| invalid("something else than counts".to_owned()))?;
    if counts.version != Counts::VERSION {
        return Err(invalid(format!(
            "counts of version {}; this program reads version {}",
            counts.version,
            Counts::VERSION
        )));
    }
    if !is_month(&counts.month.month) {
        return Err(invalid("counts of a month that is none".to_owned()));
    }
    if counts.key.limit_nano_usd.is_some_and(i64::is_negative) {
        return Err(invalid("a negative limit".to_owned()));
    }
    Ok(counts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer() -> Value {
        json!({
            "version": 1, "accounts": 7, "max_accounts": 20, "active_today": 2, "active_30_days": 5, "chats": 40,
            "month": {
                "month": "2026-11", "requests": 9, "cost_nano_usd": 12_340_000_000_i64, "price_nano_usd": null,
                "unknown_costs": 0,
            },
            "key": {
                "state": "ok", "checked_at": "2026-11-30T20:00:00Z", "expires_at": null, "limit_nano_usd": null,
                "limit_left_nano_usd": null, "limit_is_monthly": false,
            },
            "added": "later",
        })
    }

    #[test]
    fn nonsense_is_no_counts() {
        let read = |change: &[(&str, Value)]| {
            let mut answer = answer();
            for (pointer, value) in change {
                *answer.pointer_mut(pointer).unwrap() = value.clone();
            }
            read_counts(answer.to_string().as_bytes())
        };
        assert_eq!(read(&[]).unwrap().accounts, 7);
        assert_eq!(read(&[("/key/state", json!("tired"))]).unwrap().key.state, mai_contract::KeyState::Unknown);
        for (pointer, value) in [
            ("/version", json!(2)),
            ("/accounts", json!(-1)),
            ("/accounts", json!("7")),
            ("/month/month", json!("2026-13")),
            ("/month/month", json!("<b>2026-11</b>")),
            ("/month/cost_nano_usd", json!(0.5)),
            ("/month/cost_nano_usd", Value::Null),
            ("/key/limit_nano_usd", json!(-1)),
            ("/key", Value::Null),
        ] {
            let error = read(&[(pointer, value.clone())]).unwrap_err();
            assert!(matches!(error, InternalError::Invalid(_)), "{pointer} {value}");
        }
        assert!(read_counts(b"<!doctype html>").is_err() && read_counts(b"[]").is_err());
    }
}
