//! Errors of a call to the upstream.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use mai_contract::AddressKind;

use super::error_kind::ErrorKind;

/// A call to the upstream that did not bring what was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamError {
    /// The base URL cannot be used; nothing was sent.
    #[error("`{url}` is not an upstream address: {reason}; give one like https://openrouter.ai/api/v1")]
    InvalidUrl {
        /// The address as it was given.
        url: String,
        /// The reason it cannot be used.
        reason: &'static str,
    },
    /// The key holds characters that no header can carry; nothing was sent.
    #[error("the upstream key holds characters that cannot be sent; copy it again, without line breaks")]
    InvalidKey,
    /// No connection; nothing was sent.
    #[error(
        "the upstream at {origin} could not be reached: {reason}; check the address and the network, then try again"
    )]
    Unreachable {
        /// Scheme, host and port.
        origin: String,
        /// The reason there is none.
        reason: NetworkFailure,
    },
    /// The upstream is at an address that the provider of the server has not allowed; nothing was
    /// sent.
    #[error(
        "the upstream at {origin} is not called, because its host {kind}; the provider of this server can allow that network (server.allowedUpstreamNetworks, MAI_ALLOWED_UPSTREAM_NETWORKS)"
    )]
    AddressRefused {
        /// Scheme, host and port.
        origin: String,
        /// The address of the host. It is for the log: who entered the host has no business with the
        /// addresses of a network that is not theirs.
        address: IpAddr,
        /// The kind of that address.
        kind: AddressKind,
    },
    /// The connection was lost after the request was sent; whether it was worked on (and charged)
    /// is not known.
    #[error("the upstream at {origin} did not finish its answer: {reason}; try again")]
    ConnectionLost {
        /// Scheme, host and port.
        origin: String,
        /// The reason it was lost.
        reason: NetworkFailure,
    },
    /// An answer with an error status.
    #[error("the upstream at {origin} refused: {message} (HTTP {status})")]
    Refused {
        /// Scheme, host and port.
        origin: String,
        /// The answer's status.
        status: StatusCode,
        /// The upstream's own message.
        message: String,
        /// The cause, as far as the upstream names it.
        kind: ErrorKind,
        /// Time that the upstream asks to wait before another attempt.
        retry_after: Option<Duration>,
    },
    /// A list of models that is longer than what is kept.
    #[error("the upstream at {origin} lists more models than are kept: {limit}; name those to offer in MAI_MODELS")]
    ListTooLong {
        /// Scheme, host and port.
        origin: String,
        /// The bound that it exceeds.
        limit: ListLimit,
    },
    /// An answer that is not what this call is documented to give.
    #[error(
        "the upstream at {origin} gave an answer that is not understood: {reason}; is this an OpenAI-compatible address?"
    )]
    InvalidResponse {
        /// Scheme, host and port.
        origin: String,
        /// The difference from what the call documents.
        reason: String,
    },
}

/// A bound on a list of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListLimit {
    /// Its bytes, as MiB.
    #[error("more than {0} MiB")]
    Size(usize),
    /// Its entries.
    #[error("more than {0} entries")]
    Entries(usize),
}

/// The reason a connection could not be opened, or was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkFailure {
    /// The host's name has no address.
    #[error("its name has no address")]
    NoAddress,
    /// No connection was opened within this time.
    #[error("no connection within {} s", .0.as_secs())]
    ConnectTimeout(Duration),
    /// The TLS handshake did not end in time.
    #[error("the TLS handshake took too long")]
    HandshakeTimeout,
    /// No answer began, or ended, within this time.
    #[error("no answer within {} s", .0.as_secs())]
    AnswerTimeout(Duration),
    /// Nothing came for this time in the middle of an answer.
    #[error("no data for {} s", .0.as_secs())]
    Silence(Duration),
    /// The message of the system or of a library.
    #[error("{0}")]
    Message(String),
}

impl NetworkFailure {
    /// The failure that the system or a library reports.
    pub(super) fn message(error: impl ToString) -> Self {
        Self::Message(error.to_string())
    }
}

impl UpstreamError {
    /// Returns the message as a sentence of its own, with a capital letter and without a full stop.
    pub fn sentence(&self) -> String {
        let text = self.to_string();
        let mut letters = text.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }
}
