//! How often a caller may ask: rates per key, per client address and for log-ins, each counted apart and in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::address::ClientAddress;
use super::rights::{Access, Role};

/// Most callers remembered at a time. One that is forgotten starts with a full allowance.
const CALLERS: usize = 65_536;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Caller {
    Key(u64),
    /// A key that many people hold, as one of them uses it.
    KeyAt(u64, IpAddr),
    Address(IpAddr),
}

/// So many requests per period, all of which may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests.
    pub requests: u32,
    /// In this time.
    pub per: Duration,
}

impl std::str::FromStr for RateLimit {
    type Err = String;

    /// `100/s`, `1000/m` or `5000/h`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no rate; write it as 100/s, 1000/m or 5000/h");
        let (requests, unit) = text.trim().split_once('/').ok_or_else(wrong)?;
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(wrong()),
        };
        match requests.trim().parse() {
            Ok(requests) if requests > 0 => Ok(Self { requests, per: Duration::from_secs(seconds) }),
            _ => Err(wrong()),
        }
    }
}

/// Every rate that is limited; each has allowances of its own, so that none uses up another.
pub(crate) struct Limits {
    keys: Option<Limiter>,
    addresses: Option<Limiter>,
    logins: Option<Limiter>,
}

impl Limits {
    pub(crate) fn new(keys: Option<RateLimit>, addresses: Option<RateLimit>, logins: Option<RateLimit>) -> Self {
        let limiter = |rate: Option<RateLimit>| rate.map(Limiter::new);
        Self { keys: limiter(keys), addresses: limiter(addresses), logins: limiter(logins) }
    }

    /// Takes one request of an address; else how long to wait.
    pub(crate) fn address(&self, client: ClientAddress, now: Duration) -> Result<(), Duration> {
        self.addresses.as_ref().map_or(Ok(()), |limiter| limiter.take(Caller::Address(client.0), now))
    }

    /// Takes one request of whoever `access` stands for; else how long to wait. A submit key is in the hands of everybody
    /// who opens its page, so each address has its own allowance; without a key the caller is its address.
    pub(crate) fn caller(&self, access: Option<&Access>, client: ClientAddress, now: Duration) -> Result<(), Duration> {
        let Some(limiter) = &self.keys else { return Ok(()) };
        let caller = match access.and_then(|access| Some((access.role, access.key?))) {
            Some((Role::Submit, key)) => Caller::KeyAt(key, client.0),
            Some((_, key)) => Caller::Key(key),
            None => Caller::Address(client.0),
        };
        limiter.take(caller, now)
    }

    /// Takes one attempt of an address to log in; else how long to wait.
    pub(crate) fn login(&self, client: ClientAddress, now: Duration) -> Result<(), Duration> {
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
    fn memory_stays_bounded_however_many_callers_there_are() {
        let limit = limiter("1/h");
        for n in 0..200_000_u32 {
            limit.take(Caller::Address(IpAddr::V4(n.into())), Duration::ZERO).unwrap();
        }
        assert!(limit.full_at.lock().unwrap().len() <= CALLERS);
    }
}
