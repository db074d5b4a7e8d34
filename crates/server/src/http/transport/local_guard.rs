//! The guard of a service without keys: who calls must be on this machine, and no page of another site.

use axum::http::{HeaderMap, Uri, header};

use crate::http::respond::error::{ApiError, Code};
use crate::http::settings::HttpSettings;

/// The guard of a service without keys: a page of another site, or a name that somebody pointed at this machine, must
/// not reach it through a browser.
///
/// A request without a host, or with several, is refused whether there are keys or not: whoever stands in front may have
/// looked at another one.
pub(crate) fn guard_local(settings: &HttpSettings, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let mut hosts = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("?"));
    let host = match (uri.authority(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) => return Err(ApiError::at(Code::Malformed, "Host", "send one Host header, not several")),
        (Some(authority), ..) => authority.as_str(),
        (None, Some(host), None) => host,
        (None, None, None) => {
            return Err(ApiError::at(Code::Malformed, "Host", "send a Host header, such as localhost"));
        }
    };
    if !settings.keys.is_empty() {
        return Ok(());
    }
    let listen = settings.listen.ip();
    if !is_local(host, listen) {
        let message = "without keys the service answers to localhost only; call it by that name, or set keys";
        return Err(ApiError::new(Code::ForeignHost, message));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("?");
    let local = origin.split_once("://").is_some_and(|(_, host)| is_local(host, listen));
    if local || settings.allows_origin(origin) {
        return Ok(());
    }
    let message = "without keys pages of other sites may not call; set keys, and list the origin in API_CORS_ORIGINS";
    Err(ApiError::new(Code::ForeignOrigin, message))
}

/// Whether `authority` (`host`, `host:port`) is this machine or the address listened at.
fn is_local(authority: &str, listen: std::net::IpAddr) -> bool {
    let (bare, rest) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, rest)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => (v6, rest),
        Some(_) => return false,
        None => authority.find(':').map_or((authority, ""), |colon| authority.split_at(colon)),
    };
    // Nothing but a port may follow.
    let is_port =
        |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if !rest.is_empty() && !rest.strip_prefix(':').is_some_and(is_port) {
        return false;
    }
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| {
            ip == std::net::IpAddr::from([127, 0, 0, 1]) || ip == std::net::Ipv6Addr::LOCALHOST || ip == listen
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        let listen = std::net::IpAddr::from([127, 0, 0, 9]);
        for local in ["localhost", "LOCALHOST:80", "127.0.0.1:3000", "[::1]:3000", "[::1]", "127.0.0.9"] {
            assert!(is_local(local, listen), "{local}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "localhost@evil",
            "[::1]evil.com",
            "[::1].evil.com:80",
            "[::1]:80evil.com",
            "127.0.0.1:80@evil.com",
            "localhost:",
            "::1",
            "[127.0.0.1]",
            "10.0.0.1",
            "",
            "null",
            "?",
        ] {
            assert!(!is_local(foreign, listen), "{foreign}");
        }
    }
}
