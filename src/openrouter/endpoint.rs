//! The address of an upstream.

use std::sync::Arc;

use http::HeaderValue;
use url::Url;

use super::address::AddressPolicy;
use super::error::{NetworkFailure, UpstreamError};

/// The upstream's base URL, parsed once.
#[derive(Clone, Debug)]
pub struct Endpoint {
    parts: Arc<Parts>,
    addresses: AddressPolicy,
}

#[derive(Debug)]
struct Parts {
    secure: bool,
    host: String,
    port: u16,
    authority: HeaderValue,
    origin: String,
    prefix: String,
}

impl Endpoint {
    /// Parses a base URL such as `https://openrouter.ai/api/v1`; neither trailing slashes nor the
    /// path of a call behind it make a difference.
    pub fn parse(text: &str) -> Result<Self, UpstreamError> {
        let refuse = |reason| UpstreamError::InvalidUrl { url: text.to_owned(), reason };
        let url = Url::parse(text).map_err(|_| refuse("it is no URL"))?;
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(refuse("it must begin with http:// or https://")),
        };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it must hold no user, password, query or fragment"));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refuse("it names no host"))?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let port = url.port_or_known_default().unwrap_or(443);
        let parts = Parts {
            secure,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            origin: format!("{}://{authority}", url.scheme()),
            authority: HeaderValue::from_str(&authority).map_err(|_| refuse("its host cannot be sent in a header"))?,
            prefix: without_call(url.path()).to_owned(),
        };
        Ok(Self { parts: Arc::new(parts), addresses: AddressPolicy::any() })
    }

    /// The same with a limit to the addresses at which the host may be.
    pub fn with_addresses(self, addresses: AddressPolicy) -> Self {
        Self { addresses, ..self }
    }

    pub(super) fn addresses(&self) -> &AddressPolicy {
        &self.addresses
    }

    /// Scheme, host and port, for error messages.
    pub fn origin(&self) -> &str {
        &self.parts.origin
    }

    /// The address as it was given, without a trailing slash.
    pub fn base_url(&self) -> String {
        format!("{}{}", self.parts.origin, self.parts.prefix)
    }

    /// The value of the `Host` header.
    pub fn authority(&self) -> &HeaderValue {
        &self.parts.authority
    }

    /// The request target of a path below the base URL.
    pub fn target(&self, path: &str) -> String {
        format!("{}{path}", self.parts.prefix)
    }

    /// The error of a request that was not sent.
    pub(super) fn unreachable(&self, reason: NetworkFailure) -> UpstreamError {
        UpstreamError::Unreachable { origin: self.origin().to_owned(), reason }
    }

    /// The error of a request whose answer did not come.
    pub(super) fn connection_lost(&self, reason: NetworkFailure) -> UpstreamError {
        UpstreamError::ConnectionLost { origin: self.origin().to_owned(), reason }
    }

    pub(super) fn is_secure(&self) -> bool {
        self.parts.secure
    }

    pub(super) fn host(&self) -> &str {
        &self.parts.host
    }

    pub(super) fn port(&self) -> u16 {
        self.parts.port
    }
}

/// A base URL, or its path, without trailing slashes and without the path of a call, which people
/// copy from examples.
pub fn without_call(base_url: &str) -> &str {
    let base = base_url.trim_end_matches('/');
    let call = ["/chat/completions", "/completions", "/embeddings", "/responses", "/models"];
    call.iter().find_map(|call| base.strip_suffix(call)).unwrap_or(base).trim_end_matches('/')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_parses_base_urls() {
        let endpoint = Endpoint::parse("https://openrouter.ai/api/v1/").unwrap();
        assert_eq!(endpoint.origin(), "https://openrouter.ai");
        assert_eq!(endpoint.target("/models"), "/api/v1/models");
        assert_eq!((endpoint.parts.secure, endpoint.parts.port), (true, 443));
        for same in ["/api/v1", "/api/v1//", "/api/v1/chat/completions", "/api/v1/models/", "/api/v1//embeddings"] {
            let endpoint = Endpoint::parse(&format!("https://openrouter.ai{same}")).unwrap();
            assert_eq!(endpoint.base_url(), "https://openrouter.ai/api/v1", "{same}");
        }
        let endpoint = Endpoint::parse("http://[::1]:9400").unwrap();
        assert_eq!(
            (endpoint.parts.host.as_str(), endpoint.parts.port, endpoint.target("/key")),
            ("::1", 9400, "/key".to_owned())
        );
        assert_eq!(endpoint.authority(), "[::1]:9400");
        for bad in ["", "openrouter.ai", "ftp://a", "https://user:pw@host/", "https://host/?key=1", "http://"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }
}
