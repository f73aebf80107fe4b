//! The upstreams that an admin may enter: public ones, and those that the provider allows.

use std::sync::Arc;

use mai_contract::Network;
use mai_openrouter::{AddressPolicy, Endpoint};

/// The upstreams that an admin may enter. Who enters an address makes this server call it, which may
/// be in a network that they have no other way into.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamPolicy {
    /// Origins of the upstreams that the provider declared.
    declared: Vec<String>,
    networks: Arc<[Network]>,
}

impl UpstreamPolicy {
    /// Allows the declared base URLs, whatever their addresses, and public addresses and those of
    /// these networks.
    pub(crate) fn new<'a>(declared: impl IntoIterator<Item = &'a str>, networks: Vec<Network>) -> Self {
        Self { declared: declared.into_iter().filter_map(origin).collect(), networks: networks.into() }
    }

    /// Returns the addresses at which the upstream with this base URL may be.
    pub(super) fn addresses(&self, base_url: &str) -> AddressPolicy {
        match origin(base_url) {
            Some(origin) if self.declared.contains(&origin) => AddressPolicy::any(),
            _ => AddressPolicy::public_and(Arc::clone(&self.networks)),
        }
    }
}

fn origin(base_url: &str) -> Option<String> {
    Endpoint::parse(base_url).ok().map(|endpoint| endpoint.origin().to_owned())
}
