//! How often a caller may ask: rates per key, per client address and for log-ins, each counted apart and in bounded
//! memory, and who the client is behind trusted proxies.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use ipnet::IpNet;

use super::auth::{Access, Role};
use super::settings::{HttpSettings, RateLimit};

/// The socket's other end; put into every request by the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Most callers remembered at a time. One that is forgotten starts with a full allowance.
const CALLERS: usize = 65_536;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Caller {
    Key(u64),
    /// A key that many people hold, as one of them uses it.
    KeyAt(u64, IpAddr),
    Address(IpAddr),
}

/// The address of a request's client: the socket's other end, or what a trusted proxy says; put into every request by
/// the gate. An IPv6 client is its /64, which one client owns whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientAddress(pub(super) IpAddr);

impl ClientAddress {
    pub(super) fn new(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// Every rate that is limited; each has allowances of its own, so that none uses up another.
pub(super) struct Limits {
    keys: Option<Limiter>,
    addresses: Option<Limiter>,
    logins: Option<Limiter>,
}

impl Limits {
    pub(super) fn new(settings: &HttpSettings) -> Self {
        let limiter = |rate: Option<RateLimit>| rate.map(Limiter::new);
        Self {
            keys: limiter(settings.rate_limit),
            addresses: limiter(settings.rate_limit_address),
            logins: limiter(settings.rate_limit_login),
        }
    }

    /// Takes one request of an address; else how long to wait.
    pub(super) fn address(&self, client: ClientAddress, now: Duration) -> Result<(), Duration> {
        self.addresses.as_ref().map_or(Ok(()), |limiter| limiter.take(Caller::Address(client.0), now))
    }

    /// Takes one request of whoever `access` stands for; else how long to wait. A submit key is in the hands of everybody
    /// who opens its page, so each address has its own allowance; without a key the caller is its address.
    pub(super) fn caller(&self, access: Option<&Access>, client: ClientAddress, now: Duration) -> Result<(), Duration> {
        let Some(limiter) = &self.keys else { return Ok(()) };
        let caller = match access.and_then(|access| Some((access.role, access.key?))) {
            Some((Role::Submit, key)) => Caller::KeyAt(key, client.0),
            Some((_, key)) => Caller::Key(key),
            None => Caller::Address(client.0),
        };
        limiter.take(caller, now)
    }

    /// Takes one attempt of an address to log in; else how long to wait.
    pub(super) fn login(&self, client: ClientAddress, now: Duration) -> Result<(), Duration> {
        self.logins.as_ref().map_or(Ok(()), |limiter| limiter.take(Caller::Address(client.0), now))
    }
}

/// The allowances of all callers at one rate.
struct Limiter {
    /// Time that one request costs.
    cost: Duration,
    /// How far a caller may run ahead.
    burst: Duration,
    /// When each caller's allowance will be full again (the generic cell rate algorithm).
    full_at: Mutex<HashMap<Caller, Duration>>,
}

impl Limiter {
    fn new(limit: RateLimit) -> Self {
        Self { cost: limit.per / limit.requests.max(1), burst: limit.per, full_at: Mutex::new(HashMap::new()) }
    }

    fn take(&self, caller: Caller, now: Duration) -> Result<(), Duration> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = full_at.get(&caller).copied().unwrap_or_default().max(now) + self.cost;
        let wait = next.saturating_sub(now + self.burst);
        if !wait.is_zero() {
            return Err(wait);
        }
        if full_at.len() >= CALLERS && !full_at.contains_key(&caller) {
            make_room(&mut full_at, now);
        }
        full_at.insert(caller, next);
        Ok(())
    }
}

/// Forgets callers whose allowance is full, which changes nothing for them, or else an eighth of all.
fn make_room(full_at: &mut HashMap<Caller, Duration>, now: Duration) {
    full_at.retain(|_, full| *full > now);
    if full_at.len() > CALLERS / 8 * 7 {
        let mut seen = 0_usize;
        full_at.retain(|_, _| {
            seen += 1;
            !seen.is_multiple_of(8)
        });
    }
}

/// The client's address: the peer's, or, where the peer is a trusted proxy, the last one in `X-Forwarded-For` that is
/// not a trusted proxy itself. Everything left of that one is the client's own claim.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
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

    fn limiter(text: &str) -> Limiter {
        Limiter::new(text.parse().unwrap())
    }

    const fn ip(last: u8) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, last))
    }

    const fn by(last: u8) -> Caller {
        Caller::Address(ip(last))
    }

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let limit = limiter("10/s");
        let at = Duration::from_millis;
        for _ in 0..10 {
            limit.take(by(1), at(0)).unwrap();
        }
        assert_eq!(limit.take(by(1), at(0)), Err(at(100)));
        assert_eq!(limit.take(by(1), at(60)), Err(at(40)));
        limit.take(by(1), at(100)).unwrap();
        assert!(limit.take(by(1), at(100)).is_err());
        limit.take(by(2), at(100)).unwrap();
        limit.take(Caller::Key(0), at(100)).unwrap();
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let of = |text: &str| ClientAddress::new(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), ClientAddress(ip(1)));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn memory_stays_bounded_however_many_callers_there_are() {
        let limit = limiter("1/h");
        for n in 0..200_000_u32 {
            limit.take(Caller::Address(IpAddr::V4(n.into())), Duration::ZERO).unwrap();
        }
        assert!(limit.full_at.lock().unwrap().len() <= CALLERS);
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
