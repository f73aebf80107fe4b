//! The addresses of one subscriber, which count as one caller.

use std::net::IpAddr;

/// Returns the address, or the network that one subscriber has of IPv6.
pub fn subscriber_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address,
    }
}
