//! Keys and logins that were refused: counted, and slowed per client address with backoff, so that nobody can try many.
//! Whoever used a key from an address before goes on there, whatever others try.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use super::address::ClientAddress;

/// First pause after the free attempts; it doubles with each further key, up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// An address that tried nothing wrong for so long starts anew.
const FORGIVEN: Duration = Duration::from_secs(900);
/// Most addresses, and most pairs of a key and an address, remembered at a time.
const REMEMBERED: usize = 65_536;
/// Different refused keys told apart per address; an old key that a server goes on sending is one attempt.
const TOLD_APART: usize = 8;
/// Refusals are written down once per address in this time, with their number.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);
/// Most entries about refusals in that time, of all addresses together.
const MAX_WRITTEN: u32 = 60;

/// What an address tried.
#[derive(Default)]
struct Tries {
    /// Different keys that were refused.
    keys: u32,
    recent: [u64; TOLD_APART],
    last: Duration,
    /// Until when no further key is looked at.
    paused_until: Duration,
    /// Refusals that no entry tells of yet.
    unwritten: u64,
    written_at: Option<Duration>,
}

/// How many entries were written since when.
#[derive(Default)]
struct Written {
    since: Duration,
    entries: u32,
}

/// What all addresses tried.
pub(crate) struct Attempts {
    /// Different wrong keys that cost an address nothing.
    free: u32,
    hasher: RandomState,
    tries: Mutex<(HashMap<ClientAddress, Tries>, Written)>,
    /// Keys that were used, each with where from.
    used: RwLock<HashSet<(u64, ClientAddress)>>,
}

impl Attempts {
    pub(crate) fn new(free: u32) -> Self {
        Self { free, hasher: RandomState::new(), tries: Mutex::default(), used: RwLock::default() }
    }

    /// How long an address must wait before another key of it is looked at.
    pub(crate) fn paused(&self, client: ClientAddress, now: Duration) -> Option<Duration> {
        let tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.0.get(&client).map(|tries| tries.paused_until.saturating_sub(now)).filter(|wait| !wait.is_zero())
    }

    /// Takes a key that is known; else how long to wait, where the address tried many and never used this one.
    pub(crate) fn accept(&self, key: u64, client: ClientAddress, now: Duration) -> Result<(), Duration> {
        if self.used.read().unwrap_or_else(PoisonError::into_inner).contains(&(key, client)) {
            return Ok(());
        }
        if let Some(wait) = self.paused(client, now) {
            return Err(wait);
        }
        let mut used = self.used.write().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= REMEMBERED {
            used.clear();
        }
        used.insert((key, client));
        Ok(())
    }

    /// Notes a key that is not known. How long the address must wait, and how many refusals are to be written down now.
    pub(crate) fn refuse(&self, sent: &[u8], client: ClientAddress, now: Duration) -> (Option<Duration>, Option<u64>) {
        let mut both = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, written) = &mut *both;
        if all.len() >= REMEMBERED && !all.contains_key(&client) {
            all.retain(|_, tries| tries.last + FORGIVEN > now);
            if all.len() >= REMEMBERED {
                all.clear();
            }
        }
        let tries = all.entry(client).or_default();
        if tries.last + FORGIVEN <= now {
            let (unwritten, written_at) = (tries.unwritten, tries.written_at);
            *tries = Tries { unwritten, written_at, ..Tries::default() };
        }
        tries.last = now;
        tries.unwritten += 1;
        let wait = tries.paused_until.saturating_sub(now);
        // Zero is an empty place.
        let sent = self.hasher.hash_one(sent).max(1);
        if wait.is_zero() && !tries.recent.contains(&sent) {
            tries.recent[tries.keys as usize % TOLD_APART] = sent;
            tries.keys = tries.keys.saturating_add(1);
            if let Some(beyond) = tries.keys.checked_sub(self.free).filter(|beyond| *beyond > 0) {
                let pause = PAUSE.saturating_mul(1 << (beyond - 1).min(6)).min(MAX_PAUSE);
                tries.paused_until = now + pause;
            }
        }
        if written.since + WRITTEN_EVERY <= now {
            *written = Written { since: now, entries: 0 };
        }
        let due = tries.written_at.is_none_or(|at| at + WRITTEN_EVERY <= now) && written.entries < MAX_WRITTEN;
        let to_write = due.then(|| {
            written.entries += 1;
            tries.written_at = Some(now);
            std::mem::take(&mut tries.unwritten)
        });
        (Some(wait).filter(|wait| !wait.is_zero()), to_write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn client(last: u8) -> ClientAddress {
        ClientAddress([192, 0, 2, last].into())
    }

    #[test]
    fn pauses_double_are_bounded_and_end() {
        let attempts = Attempts::new(2);
        let refuse = |key: &str, now| attempts.refuse(key.as_bytes(), client(1), now).0;
        for _ in 0..100 {
            assert_eq!(refuse("old", at(0)), None, "one old key is one attempt");
        }
        assert_eq!((refuse("b", at(0)), refuse("c", at(0))), (None, None));
        assert_eq!((refuse("d", at(0)), attempts.paused(client(2), at(0))), (Some(at(1)), None));
        let (mut now, mut pauses) = (at(1), Vec::new());
        for n in 0..10 {
            refuse(&format!("key {n}"), now);
            let wait = attempts.paused(client(1), now).unwrap();
            pauses.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60, 60, 60]);
        assert_eq!(refuse("later", now + FORGIVEN), None);
        assert_eq!(attempts.paused(client(1), now + FORGIVEN), None, "forgiven");
    }

    #[test]
    fn memory_and_entries_stay_bounded_however_many_addresses_try() {
        let attempts = Attempts::new(0);
        let mut entries = 0;
        for n in 0..100_000_u32 {
            let from = ClientAddress(std::net::IpAddr::V4(n.into()));
            entries += u32::from(attempts.refuse(b"guess", from, at(1)).1.is_some());
            let _ = attempts.accept(u64::from(n), client(1), at(1));
        }
        assert_eq!(entries, MAX_WRITTEN);
        assert!(attempts.tries.lock().unwrap().0.len() <= REMEMBERED);
        assert!(attempts.used.read().unwrap().len() <= REMEMBERED);
    }
}
