//! Who is at the other end of a connection, and what the connection may ask for.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The socket's other end; put into every request by the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// What a connection may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    Any,
    /// All others are taken: whether the process lives, is ready, and its metrics.
    ForProbes,
}

/// The client's address: the peer's, or, where the peer is a trusted proxy, the last one in `X-Forwarded-For` that is
/// not a trusted proxy itself. Everything left of that one is the client's own claim.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let lists: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()).collect();
    for hop in lists.iter().rev().flat_map(|list| list.rsplit(',')) {
        let Some(ip) = parse_hop(hop.trim()) else { return client };
        client = ip.to_canonical();
        if !is_trusted(client) {
            return client;
        }
    }
    client
}

/// An address as proxies write it, perhaps with a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|a| a.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ip(last: u8) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, last))
    }

    #[test]
    fn only_trusted_proxies_say_who_the_client_is() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let headers = |lists: &[&str]| {
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append("x-forwarded-for", list.parse().unwrap());
            }
            headers
        };
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(client(ip(9), &headers(&["192.0.2.1"]), &trusted), ip(9));
        assert_eq!(client(proxy, &headers(&["192.0.2.1"]), &trusted), ip(1));
        assert_eq!(client(proxy, &headers(&["192.0.2.7, 192.0.2.1, 10.0.0.2"]), &trusted), ip(1));
        assert_eq!(client(proxy, &headers(&["192.0.2.7", "192.0.2.1:4711"]), &trusted), ip(1));
        assert_eq!(client(proxy, &headers(&["192.0.2.1, unknown"]), &trusted), proxy);
        assert_eq!(client(proxy, &headers(&[]), &trusted), proxy);
    }
}
