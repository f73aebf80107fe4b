//! Asks an upstream whether it is there and takes the key.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{StatusCode, header};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{Connection, ConnectionError};
use crate::server::App;

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

/// How long an upstream may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Most bytes of an answer that are read; a list of models has a few megabytes.
const MOST_BYTES: usize = 16 * 1024 * 1024;

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
    let client = client(connection)?;
    let models = get(&client, connection, "models").await?;
    let count = match models {
        Answer::Body(body) => match body.get("data") {
            Some(Value::Array(models)) => models.len(),
            _ => {
                return Err(ConnectionError::Unreachable(format!(
                    "{}/models did not answer with a list of models; is the base URL right?",
                    connection.base_url
                )));
            }
        },
        Answer::Missing => {
            return Err(ConnectionError::Unreachable(format!(
                "{}/models does not exist; is the base URL right? OpenRouter's is https://openrouter.ai/api/v1",
                connection.base_url
            )));
        }
    };
    if connection.key.is_some() {
        get(&client, connection, "key").await?;
    }
    Ok(Verdict { ok: true, detail: format!("The upstream offers {count} models."), at: Timestamp::now() })
}

enum Answer {
    Body(Value),
    Missing,
}

fn client(connection: &Connection) -> Result<reqwest::Client, ConnectionError> {
    let mut headers = header::HeaderMap::new();
    if let Some(key) = &connection.key {
        let mut value = header::HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))
            .map_err(|_| ConnectionError::BadKey)?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    reqwest::Client::builder()
        .default_headers(headers)
        .no_proxy()
        // A redirect would carry the question elsewhere than the admin entered.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(PATIENCE)
        .user_agent(concat!("mai/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| ConnectionError::Unreachable(format!("No client for the upstream could be made: {error}")))
}

async fn get(client: &reqwest::Client, connection: &Connection, path: &str) -> Result<Answer, ConnectionError> {
    let url = format!("{}/{path}", connection.base_url);
    let unreachable = |error: reqwest::Error| {
        let why = if error.is_timeout() { "it did not answer in time".to_owned() } else { innermost(&error) };
        ConnectionError::Unreachable(format!("{url} can't be reached: {why}"))
    };
    let mut response = client.get(&url).send().await.map_err(unreachable)?;
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST_BYTES {
            return Err(ConnectionError::Unreachable(format!("{url} answered with more than {MOST_BYTES} bytes")));
        }
    }
    let body: Option<Value> = serde_json::from_slice(&bytes).ok();
    match (status, body) {
        (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => Ok(Answer::Missing),
        (status, Some(body)) if status.is_success() => Ok(Answer::Body(body)),
        (status, None) if status.is_success() => {
            Err(ConnectionError::Unreachable(format!("{url} did not answer with JSON; is the base URL right?")))
        }
        (status, body) if status.is_client_error() => Err(ConnectionError::Refused(words(status, body.as_ref()))),
        (status, body) => Err(ConnectionError::Unreachable(format!("{url} answered {}", words(status, body.as_ref())))),
    }
}

/// The upstream's own words, `{"error": {"message": …}}`, and its status.
fn words(status: StatusCode, body: Option<&Value>) -> String {
    let said = body.and_then(|body| {
        body.pointer("/error/message").or_else(|| body.get("error")).or_else(|| body.get("detail"))?.as_str()
    });
    match said {
        Some(said) => format!("{} ({})", said.chars().take(500).collect::<String>(), status.as_u16()),
        None => format!("status {status}"),
    }
}

/// The last cause of an error; the outer ones only repeat the URL.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
