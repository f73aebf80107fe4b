//! The HTTP client of webhooks and heartbeats. It follows no redirect, so nothing is sent to a host
//! that nobody named, and gives up soon.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::message::Message;
use super::webhook::SecretUrl;

/// Longest time until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest time until an answer begins.
const TOTAL: Duration = Duration::from_secs(15);

/// Failure to send. It shows nothing of the URL.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client cannot be made.
    #[error("no certificates of authorities on this machine ({0}); install ca-certificates")]
    Certificates(#[source] rustls::Error),
    /// The client cannot be made.
    #[error("no HTTP client can be made: {}", with_causes(.0))]
    Setup(#[source] reqwest::Error),
    /// No answer came.
    #[error("{}", with_causes(.0))]
    Network(#[source] reqwest::Error),
    /// It was not taken.
    #[error("it was answered with {0}; correct the URL, or the format in which it is told")]
    Status(StatusCode),
}

/// An HTTP client. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    client: reqwest::Client,
}

impl Client {
    /// Returns a client for these URLs. Certificates are needed only where one is encrypted.
    pub fn new<'a>(urls: impl IntoIterator<Item = &'a SecretUrl>) -> Result<Self, ClientError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(ClientError::Certificates)?;
        let tls = match urls.into_iter().any(SecretUrl::is_encrypted) {
            true => tls.with_platform_verifier().map_err(ClientError::Certificates)?,
            false => tls.with_root_certificates(RootCertStore::empty()),
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.with_no_client_auth())
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent(concat!("mai/", env!("CARGO_PKG_VERSION")))
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .build()
            .map_err(ClientError::Setup)?;
        Ok(Self { client })
    }

    /// Posts a message.
    pub(super) async fn post(&self, url: &SecretUrl, message: Message) -> Result<(), ClientError> {
        let mut request = self.client.post(url.expose()).body(message.body);
        for (name, value) in message.headers {
            request = request.header(name, value);
        }
        answered(request.send().await)
    }

    /// Gets a URL, whatever it answers.
    pub(super) async fn get(&self, url: &SecretUrl) -> Result<(), ClientError> {
        answered(self.client.get(url.expose()).send().await)
    }
}

/// Returns whether a request was taken. The body of the answer is not read.
fn answered(response: Result<reqwest::Response, reqwest::Error>) -> Result<(), ClientError> {
    let status = response.map_err(|error| ClientError::Network(error.without_url()))?.status();
    if status.is_success() { Ok(()) } else { Err(ClientError::Status(status)) }
}

fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
