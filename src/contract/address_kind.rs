//! Addresses that no public host has.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Network;

/// The kind of an address that is not public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// Of the same machine.
    Loopback,
    /// Of a private network, also by IPv6.
    Private,
    /// Of the same link, where clouds hand out credentials.
    LinkLocal,
    /// Shared between customers of a carrier or cloud.
    Shared,
    /// Of a group.
    Multicast,
    /// Reserved for other uses than hosts of the internet.
    Reserved,
}

/// Networks without public hosts (RFC 6890, RFC 8190 and the registries of IANA), and the address at
/// which Azure hands out credentials.
const IPV4: [(Ipv4Addr, u8, AddressKind); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, AddressKind::Loopback),
    (Ipv4Addr::new(10, 0, 0, 0), 8, AddressKind::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, AddressKind::Shared),
    (Ipv4Addr::new(127, 0, 0, 0), 8, AddressKind::Loopback),
    (Ipv4Addr::new(168, 63, 129, 16), 32, AddressKind::Reserved),
    (Ipv4Addr::new(169, 254, 0, 0), 16, AddressKind::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, AddressKind::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, AddressKind::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, AddressKind::Reserved),
    (Ipv4Addr::new(192, 88, 99, 0), 24, AddressKind::Reserved),
    (Ipv4Addr::new(192, 168, 0, 0), 16, AddressKind::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, AddressKind::Reserved),
    (Ipv4Addr::new(198, 51, 100, 0), 24, AddressKind::Reserved),
    (Ipv4Addr::new(203, 0, 113, 0), 24, AddressKind::Reserved),
    (Ipv4Addr::new(224, 0, 0, 0), 4, AddressKind::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, AddressKind::Reserved),
];

/// Networks of IPv6 that are not public, the narrower ones first. Everything outside 2000::/3 is
/// reserved.
const IPV6: [(Ipv6Addr, u8, AddressKind); 9] = [
    (Ipv6Addr::UNSPECIFIED, 127, AddressKind::Loopback),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, AddressKind::Private),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, AddressKind::Private),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, AddressKind::LinkLocal),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, AddressKind::Multicast),
    // Teredo and 6to4 among them, which lead to addresses of IPv4.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, AddressKind::Reserved),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, AddressKind::Reserved),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, AddressKind::Reserved),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, AddressKind::Reserved),
];

impl AddressKind {
    /// Returns the kind of an address; `None` for a public one.
    pub fn from_address(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::from_v4(address),
            IpAddr::V6(address) => match translated(address.into()) {
                Some(inner) => Self::from_v4(inner),
                None => Self::from_v6(address),
            },
        }
    }

    fn from_v4(address: Ipv4Addr) -> Option<Self> {
        let shares = |network: &Ipv4Addr, prefix: u8| (network.to_bits() ^ address.to_bits()) >> (32 - prefix) == 0;
        IPV4.iter().find(|(network, prefix, _)| shares(network, *prefix)).map(|(.., kind)| *kind)
    }

    fn from_v6(address: Ipv6Addr) -> Option<Self> {
        let shares = |network: &Ipv6Addr, prefix: u8| (network.to_bits() ^ address.to_bits()) >> (128 - prefix) == 0;
        let known = IPV6.iter().find(|(network, prefix, _)| shares(network, *prefix)).map(|(.., kind)| *kind);
        let is_global = address.segments()[0] >> 13 == 1;
        known.or((!is_global).then_some(Self::Reserved))
    }
}

/// Returns the address of IPv4 that a translator (NAT64, RFC 6052) reaches by an address of IPv6.
pub fn translated(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        _ => None,
    }
}

impl fmt::Display for AddressKind {
    /// The end of a sentence about a host.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "has a loopback address",
            Self::Private => "has a private address",
            Self::LinkLocal => "has a link-local address",
            Self::Shared => "has an address of a carrier's shared network",
            Self::Multicast => "has a multicast address",
            Self::Reserved => "has a reserved address",
        })
    }
}

impl Network {
    /// Returns whether all of its addresses are public.
    pub fn is_public(&self) -> bool {
        let overlaps = |address: IpAddr, prefix| {
            let other = Self::new(address, prefix);
            self.is_within(&other) || other.is_within(self)
        };
        match self.address() {
            IpAddr::V4(_) => !IPV4.iter().any(|(network, prefix, _)| overlaps(IpAddr::V4(*network), *prefix)),
            IpAddr::V6(_) => {
                let global = Self::new(IpAddr::V6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0)), 3);
                let overlaps_any = IPV6.iter().any(|(network, prefix, _)| overlaps(IpAddr::V6(*network), *prefix));
                self.is_within(&global) && !overlaps_any
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_without_public_hosts_are_recognised() {
        use AddressKind::*;
        for (address, kind) in [
            ("127.0.0.1", Some(Loopback)),
            ("127.255.255.254", Some(Loopback)),
            ("0.0.0.0", Some(Loopback)),
            ("0.1.2.3", Some(Loopback)),
            ("10.0.0.1", Some(Private)),
            ("11.0.0.1", None),
            ("100.63.255.255", None),
            ("100.64.0.1", Some(Shared)),
            ("100.100.100.200", Some(Shared)),
            ("100.128.0.1", None),
            ("168.63.129.16", Some(Reserved)),
            ("168.63.129.17", None),
            ("169.254.169.254", Some(LinkLocal)),
            ("172.15.255.255", None),
            ("172.16.0.1", Some(Private)),
            ("172.31.255.255", Some(Private)),
            ("172.32.0.1", None),
            ("192.0.0.192", Some(Reserved)),
            ("192.168.255.255", Some(Private)),
            ("192.169.0.1", None),
            ("198.19.0.1", Some(Reserved)),
            ("224.0.0.1", Some(Multicast)),
            ("239.255.255.255", Some(Multicast)),
            ("255.255.255.255", Some(Reserved)),
            ("104.18.2.115", None),
            ("::", Some(Loopback)),
            ("::1", Some(Loopback)),
            ("::2", Some(Reserved)),
            ("::ffff:127.0.0.1", Some(Loopback)),
            ("::ffff:104.18.2.115", None),
            ("::10.0.0.1", Some(Reserved)),
            ("64:ff9b::a00:1", Some(Private)),
            ("64:ff9b::a9fe:a9fe", Some(LinkLocal)),
            ("64:ff9b::6812:273", None),
            ("64:ff9b:1::a00:1", Some(Reserved)),
            ("fc00::1", Some(Private)),
            ("fd00:ec2::254", Some(Private)),
            ("fe80::1", Some(LinkLocal)),
            ("fec0::1", Some(Private)),
            ("ff02::1", Some(Multicast)),
            ("2001::1", Some(Reserved)),
            ("2001:db8::1", Some(Reserved)),
            ("2002:a00:1::1", Some(Reserved)),
            ("3fff::1", Some(Reserved)),
            ("5f00::1", Some(Reserved)),
            ("2606:4700::6812:273", None),
            ("2a00:1450:4001:80b::200e", None),
        ] {
            assert_eq!(AddressKind::from_address(address.parse().unwrap()), kind, "{address}");
        }
    }

    #[test]
    fn network_is_public_if_all_of_it_is() {
        for (network, expected) in [
            ("104.18.2.0/24", true),
            ("11.0.0.0/8", true),
            ("10.1.0.0/16", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("172.0.0.0/8", false),
            ("168.63.129.0/24", false),
            ("0.0.0.0/0", false),
            ("128.0.0.0/1", false),
            ("2a00:1450::/32", true),
            ("2001:db8:1::/48", false),
            ("2000::/3", false),
            ("fd00::/8", false),
            ("64:ff9b::/96", false),
            ("::ffff:104.18.2.0/120", false),
            ("::/0", false),
        ] {
            assert_eq!(network.parse::<Network>().unwrap().is_public(), expected, "{network}");
        }
    }
}
