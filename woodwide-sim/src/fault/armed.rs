//! The faults that are switched on, and which of them strike a request. Each has its own random numbers, derived from
//! the seed and its place, so that a run repeats.

use std::sync::{Mutex, PoisonError};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{Fault, Spec};
use crate::route::Route;

/// A fault that is switched on.
#[derive(Debug, Clone, Serialize)]
pub struct ArmedFault {
    /// Its number, for switching it off.
    pub id: u64,
    /// Its text form.
    pub spec: String,
    /// Requests of its routes so far.
    pub seen: u64,
    /// Requests it struck.
    pub struck: u64,
}

/// One strike of a fault at a request.
#[derive(Debug, Clone)]
pub(crate) struct Struck {
    pub(crate) kind: &'static str,
    pub(crate) fault: Fault,
    /// How many strikes there were before.
    pub(crate) nth: u64,
    /// A random number of this strike.
    pub(crate) seed: u64,
}

#[derive(Debug)]
struct Armed {
    id: u64,
    spec: Spec,
    seen: u64,
    struck: u64,
    random: ChaCha8Rng,
}

/// The faults that are switched on.
#[derive(Debug)]
pub(crate) struct Faults {
    seed: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    armed: Vec<Armed>,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, inner: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches a fault on and returns its number.
    pub(crate) fn arm(&self, spec: Spec) -> u64 {
        let mut inner = self.lock();
        let id = inner.next;
        inner.next += 1;
        let random = ChaCha8Rng::seed_from_u64(self.seed ^ id.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        inner.armed.push(Armed { id, spec, seen: 0, struck: 0, random });
        id
    }

    /// Switches off the fault of this number, or every fault of this kind; returns how many.
    pub(crate) fn disarm(&self, which: &str) -> usize {
        let mut inner = self.lock();
        let before = inner.armed.len();
        inner.armed.retain(|armed| armed.id.to_string() != which && armed.spec.kind.name != which);
        before - inner.armed.len()
    }

    pub(crate) fn clear(&self) {
        self.lock().armed.clear();
    }

    pub(crate) fn list(&self) -> Vec<ArmedFault> {
        let inner = self.lock();
        let show = |a: &Armed| ArmedFault { id: a.id, spec: a.spec.to_string(), seen: a.seen, struck: a.struck };
        inner.armed.iter().map(show).collect()
    }

    /// What is left of the credits, when a fault limits them.
    pub(crate) fn credits_left(&self) -> Option<u64> {
        let inner = self.lock();
        let limits = inner.armed.iter().filter(|armed| armed.spec.fault == Fault::Credits);
        limits.map(|armed| armed.spec.after.saturating_sub(armed.seen)).min()
    }

    /// The faults that strike this request; `key` is its key's label and secret.
    pub(crate) fn draw(&self, route: &Route, key: Option<(&str, &str)>) -> Vec<Struck> {
        let mut inner = self.lock();
        inner.armed.iter_mut().filter_map(|armed| armed.draw(route, key)).collect()
    }
}

impl Armed {
    fn draw(&mut self, route: &Route, key: Option<(&str, &str)>) -> Option<Struck> {
        if !self.spec.routes.holds(route) || !self.concerns(key) {
            return None;
        }
        self.seen += 1;
        if self.seen <= self.spec.after || self.spec.limit.is_some_and(|limit| self.struck >= limit) {
            return None;
        }
        // A number is taken whether or not it decides, so that strikes don't shift when a chance is set.
        let (toss, seed) = (self.random.random::<f64>(), self.random.random::<u64>());
        if self.spec.chance.is_some_and(|chance| toss >= chance) {
            return None;
        }
        let nth = self.struck;
        self.struck += 1;
        Some(Struck { kind: self.spec.kind.name, fault: self.spec.fault.clone(), nth, seed })
    }

    /// Whether the fault is about this key, or about none.
    fn concerns(&self, key: Option<(&str, &str)>) -> bool {
        match &self.spec.fault {
            Fault::Unauthorized(Some(wanted)) | Fault::Forbidden(Some(wanted)) => {
                key.is_some_and(|(label, secret)| label == wanted || secret == wanted)
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route;

    fn strikes(spec: &str, seed: u64, calls: usize) -> Vec<bool> {
        let faults = Faults::new(seed);
        faults.arm(spec.parse().unwrap());
        let route = route::by_name("infer").unwrap();
        (0..calls).map(|_| !faults.draw(route, None).is_empty()).collect()
    }

    #[test]
    fn count_and_delay_bound_the_strikes() {
        assert_eq!(strikes("hang@infer;n=2;after=1", 1, 5), [false, true, true, false, false]);
        assert_eq!(strikes("hang@train", 1, 2), [false, false], "another route");
    }

    #[test]
    fn chance_repeats_with_the_seed() {
        let once = strikes("hang;p=0.3", 7, 200);
        assert_eq!(once, strikes("hang;p=0.3", 7, 200));
        assert_ne!(once, strikes("hang;p=0.3", 8, 200));
        let share = once.iter().filter(|struck| **struck).count();
        assert!((30..90).contains(&share), "{share} of 200");
    }
}
