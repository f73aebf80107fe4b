//! The address that a request comes from, also behind proxies that the provider declared.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use axum::http::{HeaderMap, request::Parts};
use mai_contract::Network;

/// The proxies whose `X-Forwarded-For`, `-Proto` and `-Host` are believed. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[Network]>);

impl TrustedProxies {
    pub(crate) fn new(networks: &[Network]) -> Self {
        Self(networks.into())
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// The address of a request's client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

impl<S> FromRequestParts<S> for ClientAddress
where
    S: Sync,
    TrustedProxies: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(client_address(parts, &TrustedProxies::from_ref(state))))
    }
}

/// Returns the address of a request's client: that of the connection, or what a trusted proxy says.
pub(crate) fn client_address(parts: &Parts, trusted: &TrustedProxies) -> Option<IpAddr> {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip();
    Some(forwarded(peer, &parts.headers, trusted))
}

/// Returns the last address that no trusted proxy has: each proxy appends the one that it was
/// connected from, so all before that may be forged.
fn forwarded(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or_default()).collect();
    let mut named = lines.iter().rev().flat_map(|line| line.rsplit(','));
    let mut client = peer.to_canonical();
    while trusted.contains(client) {
        let Some(before) = named.next().and_then(address) else { break };
        client = before;
    }
    client
}

/// Reads an address with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parsed = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    parsed.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_address_is_believed_from_trusted_proxies_alone() {
        let trusted: Vec<Network> = ["10.0.0.0/8", "2001:db8::1"].iter().map(|text| text.parse().unwrap()).collect();
        let trusted = TrustedProxies::new(&trusted);
        for (peer, lines, expected) in [
            ("192.0.2.9", &["203.0.113.1"][..], "192.0.2.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.1"], "203.0.113.1"),
            ("::ffff:10.0.0.1", &["203.0.113.1"], "203.0.113.1"),
            ("10.0.0.1", &["198.51.100.7, 203.0.113.1"], "203.0.113.1"),
            ("10.0.0.1", &["198.51.100.7, 203.0.113.1, 10.2.3.4"], "203.0.113.1"),
            ("10.0.0.1", &["198.51.100.7", "203.0.113.1,10.2.3.4"], "203.0.113.1"),
            ("10.0.0.1", &["203.0.113.1:443"], "203.0.113.1"),
            ("2001:db8::1", &["[2001:db8::7]:443"], "2001:db8::7"),
            ("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7"),
            ("10.0.0.1", &["203.0.113.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let client = forwarded(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(client.to_string(), expected, "{peer} {lines:?}");
        }
    }
}
