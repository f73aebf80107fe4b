//! A network of IP addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network such as `10.0.0.0/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text that is no network.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no IP address and no network such as 10.0.0.0/8")]
pub struct InvalidNetwork(String);

impl Network {
    pub(crate) const fn new(address: IpAddr, prefix: u8) -> Self {
        Self { address, prefix }
    }

    pub(crate) const fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns whether all of its addresses belong to another network.
    pub fn is_within(&self, other: &Self) -> bool {
        let is_same_family = self.address.is_ipv4() == other.address.is_ipv4();
        is_same_family && self.prefix >= other.prefix && Self::new(self.address, other.prefix).has_bits_of(other)
    }

    /// Returns whether the first bits of both addresses are the same, as many as the prefix has.
    fn has_bits_of(&self, other: &Self) -> bool {
        match (self.address, other.address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let host = 32 - u32::from(self.prefix);
                (ours.to_bits() ^ theirs.to_bits()).checked_shr(host).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let host = 128 - u32::from(self.prefix);
                (ours.to_bits() ^ theirs.to_bits()).checked_shr(host).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// Returns whether an address belongs to the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.has_bits_of(&Self::new(address.to_canonical(), self.prefix))
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= bits).ok_or_else(invalid)?
            }
            Some(_) => return Err(invalid()),
        };
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn network_is_within_wider_ones_of_its_family() {
        for (inner, outer, expected) in [
            ("10.1.0.0/16", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.1.0.0/16", false),
            ("10.1.0.1", "0.0.0.0/0", true),
            ("11.0.0.0/16", "10.0.0.0/8", false),
            ("fd12::/16", "fd00::/8", true),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8", false),
            ("10.0.0.0/8", "::/0", false),
        ] {
            let (inner, outer): (Network, Network) = (inner.parse().unwrap(), outer.parse().unwrap());
            assert_eq!(inner.is_within(&outer), expected, "{inner} {outer}");
        }
    }

    #[test]
    fn network_contains_the_addresses_of_its_prefix() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::9", true),
            ("2001:db8::/32", "2001:db9::9", false),
            ("::/0", "2001:db8::1", true),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), expected, "{network} {address}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "::/129", "example.com", "10.0.0.1 "] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
