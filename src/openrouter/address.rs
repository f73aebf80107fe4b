//! The addresses at which an upstream may be.

use std::net::IpAddr;
use std::sync::Arc;

use mai_contract::{AddressKind, Network, translated};

/// The addresses at which an upstream may be: any, or public ones and those of some networks.
/// Cloning is cheap.
#[derive(Clone, Debug)]
pub struct AddressPolicy(Option<Arc<[Network]>>);

impl AddressPolicy {
    /// Any address, for an upstream that the provider of the server has declared.
    pub fn any() -> Self {
        Self(None)
    }

    /// Public addresses, and those of these networks.
    pub fn public_and(networks: Arc<[Network]>) -> Self {
        Self(Some(networks))
    }

    /// Returns the kind of an address that is not allowed.
    pub(super) fn refusal(&self, address: IpAddr) -> Option<AddressKind> {
        let networks = self.0.as_ref()?;
        let kind = AddressKind::from_address(address)?;
        let translated = translated(address).map(IpAddr::V4);
        let is_allowed = |address| networks.iter().any(|network| network.contains(address));
        let allowed = is_allowed(address) || translated.is_some_and(is_allowed);
        (!allowed).then_some(kind)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Arc<[Network]> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn networks_are_allowed_beside_public_addresses() {
        let some = AddressPolicy::public_and(networks(&["10.1.0.0/16", "fd12::/16", "127.0.0.1"]));
        for (address, allowed) in [
            ("104.18.2.115", true),
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("64:ff9b::a01:203", true),
            ("10.2.2.3", false),
            ("64:ff9b::a02:203", false),
            ("fd12::1", true),
            ("fd13::1", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(some.refusal(address).is_none(), allowed, "{address}");
            assert_eq!(AddressPolicy::any().refusal(address), None, "{address}");
        }
        let none = AddressPolicy::public_and(networks(&[]));
        assert_eq!(none.refusal("10.1.2.3".parse().unwrap()), Some(AddressKind::Private));
    }
}
