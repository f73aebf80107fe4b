//! The scheme and host under which the browser of a request knows this server.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use axum::http::{HeaderMap, header, request::Parts};

use super::client_address::TrustedProxies;

/// Scheme and host under which the browser of a request knows this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicOrigin {
    /// True when the browser's request came by https.
    pub(crate) is_https: bool,
    /// The host, with its port where that is not the usual one.
    pub(crate) host: String,
}

impl<S> FromRequestParts<S> for PublicOrigin
where
    S: Send + Sync,
    TrustedProxies: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        Ok(Self::read(peer, &parts.headers, &TrustedProxies::from_ref(state)))
    }
}

impl PublicOrigin {
    /// Reads what a trusted proxy says. From anybody else the request's own host counts, and the
    /// browser's own sign of https.
    fn read(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &TrustedProxies) -> Self {
        let is_trusted = peer.is_some_and(|peer| trusted.contains(peer.to_canonical()));
        // A chain of proxies lists theirs one after the other; the first is the browser's.
        let forwarded = |name: &str| {
            let value = headers.get(name).filter(|_| is_trusted)?.to_str().ok()?;
            value.split(',').next().map(str::trim).filter(|value| !value.is_empty())
        };
        let own = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = forwarded("x-forwarded-host").or(own).unwrap_or("localhost:8080").to_owned();
        let is_https = match forwarded("x-forwarded-proto") {
            Some(proto) => proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss"),
            // Browsers send it by https, and by http to their own machine alone.
            None => headers.contains_key("sec-fetch-site") && !is_own_machine(&host),
        };
        Self { is_https, host }
    }

    /// Returns it as `https://host`.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.is_https { "https" } else { "http" }, self.host)
    }
}

/// Returns true for the names and addresses of the browser's own machine.
fn is_own_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_believed_from_trusted_proxies_and_browsers() {
        let trusted = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
        for (peer, headers, expected) in [
            ("10.0.0.1", &[("x-forwarded-proto", "https")][..], "https://a.example"),
            ("::ffff:10.0.0.1", &[("x-forwarded-proto", "HTTPS, http")], "https://a.example"),
            ("10.0.0.1", &[("x-forwarded-proto", "http"), ("sec-fetch-site", "none")], "http://a.example"),
            ("10.0.0.1", &[("x-forwarded-host", "b.example, c.example")], "http://b.example"),
            ("10.0.0.1", &[("x-forwarded-host", "")], "http://a.example"),
            ("192.0.2.1", &[("x-forwarded-proto", "https"), ("x-forwarded-host", "b.example")], "http://a.example"),
            ("192.0.2.1", &[("sec-fetch-site", "same-origin")], "https://a.example"),
            ("192.0.2.1", &[("host", "localhost:8080"), ("sec-fetch-site", "none")], "http://localhost:8080"),
            ("192.0.2.1", &[("host", "127.0.0.1:8080"), ("sec-fetch-site", "none")], "http://127.0.0.1:8080"),
            ("192.0.2.1", &[("host", "[::1]:8080"), ("sec-fetch-site", "none")], "http://[::1]:8080"),
            ("192.0.2.1", &[("host", "abc.localhost"), ("sec-fetch-site", "none")], "http://abc.localhost"),
        ] {
            let mut map = HeaderMap::new();
            map.insert("host", "a.example".parse().unwrap());
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            let origin = PublicOrigin::read(Some(peer.parse().unwrap()), &map, &trusted);
            assert_eq!(origin.url(), expected, "{peer} {headers:?}");
        }
    }
}
