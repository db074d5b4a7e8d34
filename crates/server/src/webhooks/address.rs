//! Which addresses a webhook may have: none inside the network that the service stands in, or anybody who may make a
//! webhook could reach what only the service can.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why a webhook may not have this address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not an address of the web.
    #[error("must be an address such as https://example.com/hook, without user or password")]
    NotAnAddress,
    /// The name is known to nobody.
    #[error("its host cannot be resolved: {0}")]
    Unresolved(String),
    /// It leads inside.
    #[error(
        "leads to a private, loopback or link-local address; name a public one, or set PLAYPROOF_WEBHOOK_PRIVATE to true"
    )]
    Private,
}

/// Whether everybody can have this address: none of the special ranges of the IANA registries (RFC 6890).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        // Written as, or translated to, an IPv4 address, which is what counts.
        (0, 0) if (c, d, e) == (0, 0, 0) && f == 0xffff => is_public_v4(v4(g, h)),
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => is_public_v4(v4(g, h)),
        (0x2002, _) => is_public_v4(v4(b, c)),
        (0x2001, 0..0x200 | 0xdb8) | (0x3fff, 0..0x1000) => false,
        // Only this block is given to anybody at all.
        _ => (0x2000..0x4000).contains(&a),
    }
}

/// Reads an address and refuses what can be refused without asking anybody.
///
/// # Errors
/// [`Refused`]
pub fn parse(text: &str, private: bool) -> Result<Url, Refused> {
    let url = Url::parse(text).map_err(|_| Refused::NotAnAddress)?;
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    let host = url.host_str().filter(|host| !host.is_empty() && plain).ok_or(Refused::NotAnAddress)?;
    // An address written in figures is never resolved.
    let figures: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    if !private && figures.is_some_and(|address| !is_public(address)) {
        return Err(Refused::Private);
    }
    Ok(url)
}

/// Resolves the host of an address, as it will be when something is sent.
///
/// # Errors
/// [`Refused`]
pub async fn check(text: &str, private: bool) -> Result<Url, Refused> {
    let url = parse(text, private)?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.parse::<IpAddr>().is_err() {
        lookup(&host, private).await?;
    }
    Ok(url)
}

async fn lookup(host: &str, private: bool) -> Result<Vec<SocketAddr>, Refused> {
    let found: Vec<SocketAddr> =
        tokio::net::lookup_host((host, 0)).await.map_err(|error| Refused::Unresolved(error.to_string()))?.collect();
    if found.is_empty() {
        return Err(Refused::Unresolved("it has no address".to_owned()));
    }
    // One that leads inside is enough: which is taken is not for us to say.
    if !private && found.iter().any(|address| !is_public(address.ip())) {
        return Err(Refused::Private);
    }
    Ok(found)
}

/// Resolves names for the client, so that what was checked is what is connected to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    pub(super) private: bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found = lookup(name.as_str(), private).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// A client that goes nowhere else: no redirects, no proxy.
///
/// # Errors
/// When TLS cannot be set up.
pub(super) fn client(private: bool, patience: std::time::Duration) -> reqwest::Result<reqwest::Client> {
    crate::tls::http_client()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(Guard { private }))
        .timeout(patience)
        .user_agent(concat!("playproof-batch/", env!("CARGO_PKG_VERSION")))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_ranges_are_not_public() {
        let inside = [
            "10.0.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.3.4",
            "192.168.1.1",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.0.8",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "203.0.113.9",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "2001:db8::1",
            "2001::1",
            "::7f00:1",
            "fec0::1",
            "4000::1",
        ];
        for address in inside {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[tokio::test]
    async fn addresses_are_checked_as_they_will_be_reached() {
        let loopbacks =
            ["http://127.0.0.1/x", "http://[::1]:9/x", "http://2130706433/x", "http://0x7f.1/", "http://localhost/x"];
        for inside in loopbacks {
            assert_eq!(check(inside, false).await, Err(Refused::Private), "{inside}");
            assert!(check(inside, true).await.is_ok(), "{inside}");
        }
        for wrong in ["", "example.com", "ftp://example.com", "https://user@example.com", "https://", "file:///etc"] {
            assert_eq!(parse(wrong, true), Err(Refused::NotAnAddress), "{wrong}");
        }
    }
}
