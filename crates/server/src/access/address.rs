//! The address of a client.

use std::net::{IpAddr, Ipv6Addr};

/// The address of a request's client: the socket's other end, or what a trusted proxy says; put into every request by
/// the gate. An IPv6 client is its /64, which one client owns whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    pub(crate) fn new(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ip(last: u8) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, last))
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let of = |text: &str| ClientAddress::new(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), ClientAddress(ip(1)));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
