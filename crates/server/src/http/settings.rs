//! What an operator sets about the HTTP surface. Parsed values only; where they come from is nothing to this module.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::access::keys::Keys;
use crate::access::rates::RateLimit;
use crate::domain::session::Bounds;

/// Settings of the HTTP surface.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Where it is to listen; a Host header that names this address is no foreign one.
    pub listen: SocketAddr,
    /// Who may do what; without keys everybody may do everything, from this machine only.
    pub keys: Keys,
    /// Origins of web pages that may call, such as `https://example.com`; `*` allows every origin.
    pub cors_origins: Vec<String>,
    /// Prefix of every route: empty, or `/name` without a slash at its end.
    pub base_path: String,
    /// Requests per key; of submit keys, per key and client address.
    pub rate_limit: Option<RateLimit>,
    /// Requests per client address.
    pub rate_limit_address: Option<RateLimit>,
    /// Attempts to log in per client address.
    pub rate_limit_login: Option<RateLimit>,
    /// Different wrong keys that cost a client address nothing; further ones slow it.
    pub free_attempts: u32,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Most bytes in a body, and in a line of a bulk intake.
    pub body_limit: usize,
    /// Bounds of a session.
    pub bounds: Bounds,
    /// Longest `?wait=` of a result.
    pub longpoll_max: Duration,
    /// How long a body, or the next piece of a bulk intake, may take to arrive.
    pub body_timeout: Duration,
    /// How long a request's head may take to arrive, and how long a connection may idle between requests.
    pub header_timeout: Duration,
    /// How long a response may wait for a client that neither reads nor writes.
    pub write_timeout: Duration,
    /// Most connections at a time; further ones wait in the listener's backlog.
    pub max_connections: usize,
    /// Most bulk intakes at a time.
    pub max_bulk: usize,
    /// Most bytes of unread answers of all bulk intakes together, on disk.
    pub spool_limit: u64,
    /// Where unread answers are spooled; the system's temporary folder when `None`.
    pub spool_folder: Option<PathBuf>,
    /// Sessions that may wait for a verdict.
    pub queue_limit: u64,
    /// Whether webhooks may lead to private addresses.
    pub webhook_private: bool,
    /// Whether there is a page to play on.
    pub play: bool,
}

impl HttpSettings {
    /// The defaults for a service that listens at `listen`.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            keys: Keys::default(),
            cors_origins: Vec::new(),
            base_path: String::new(),
            rate_limit: None,
            rate_limit_address: None,
            rate_limit_login: Some(RateLimit { requests: 10, per: Duration::from_secs(60) }),
            free_attempts: 10,
            trusted_proxies: Vec::new(),
            body_limit: 2 << 20,
            bounds: Bounds::default(),
            longpoll_max: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            max_connections: 4096,
            max_bulk: 16,
            spool_limit: 1 << 30,
            spool_folder: None,
            queue_limit: u64::MAX,
            webhook_private: false,
            play: false,
        }
    }

    /// Refuses to be reachable from other machines, or from pages of other sites, without keys.
    ///
    /// # Errors
    /// A sentence that names the mend.
    pub fn check(&self, bound: IpAddr) -> Result<(), String> {
        if self.keys.is_empty() && !bound.is_loopback() {
            return Err(format!(
                "without keys the service listens on loopback only, not on {bound}; set PLAYPROOF_ADMIN_KEYS, \
                 PLAYPROOF_INGEST_KEYS or PLAYPROOF_SUBMIT_KEYS, or listen on 127.0.0.1"
            ));
        }
        if self.keys.is_empty() && !self.cors_origins.is_empty() {
            return Err("without keys no page of another site may call; set PLAYPROOF_SUBMIT_KEYS and \
                        PLAYPROOF_ADMIN_KEYS, or leave API_CORS_ORIGINS out"
                .to_owned());
        }
        Ok(())
    }

    /// Whether a page from `origin` may call.
    pub(crate) fn allows_origin(&self, origin: &str) -> bool {
        self.cors_origins.iter().any(|allowed| allowed == "*" || allowed.trim_end_matches('/') == origin)
    }
}

/// Reads a trusted proxy: an address or a network such as `10.0.0.0/8`.
///
/// # Errors
/// A sentence that names the mend.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{text:?} is neither an IP address nor a network such as 10.0.0.0/8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_networks_are_read() {
        assert_eq!("100/s".parse(), Ok(RateLimit { requests: 100, per: Duration::from_secs(1) }));
        assert_eq!("1000/m".parse(), Ok(RateLimit { requests: 1000, per: Duration::from_secs(60) }));
        for bad in ["", "100", "0/s", "-1/s", "1/d", "x/s"] {
            assert!(bad.parse::<RateLimit>().is_err(), "{bad}");
        }
        assert!(parse_network("10.0.0.0/8").unwrap().contains(&"10.1.2.3".parse::<IpAddr>().unwrap()));
        assert!(parse_network("::1").unwrap().contains(&"::1".parse::<IpAddr>().unwrap()));
        assert!(parse_network("proxy").is_err());
    }

    #[test]
    fn without_keys_only_loopback_is_bound() {
        let mut settings = HttpSettings::new(([127, 0, 0, 1], 0).into());
        assert!(settings.check([127, 0, 0, 1].into()).is_ok());
        assert!(settings.check([0, 0, 0, 0].into()).unwrap_err().contains("PLAYPROOF_ADMIN_KEYS"));
        settings.cors_origins = vec!["*".to_owned()];
        assert!(settings.check([127, 0, 0, 1].into()).unwrap_err().contains("API_CORS_ORIGINS"));
        settings.keys.add(crate::access::rights::Role::Submit, "k").unwrap();
        assert!(settings.check([0, 0, 0, 0].into()).is_ok());
    }
}
