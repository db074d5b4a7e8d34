//! The circuit breaker: after an outage a detector is left alone and probed, so that nothing is hammered and nobody's
//! attempts are spent. Pure; time is an argument.

use std::time::Duration;

/// Closed: calls go through. Open: they don't, but for a probe now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circuit {
    probe_every: Duration,
    /// On the monotonic clock; `None` while closed.
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    next_probe: Duration,
}

/// What may be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Call.
    Call,
    /// Ask whether it works again, nothing else.
    Probe,
    /// Leave it alone for this long.
    Wait(Duration),
}

impl Circuit {
    /// Closed, and probing every `probe_every` once it opens.
    #[must_use]
    pub fn new(probe_every: Duration) -> Self {
        Self { probe_every, open: None }
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// When the next probe is due, on the monotonic clock; `None` while it is closed.
    #[must_use]
    pub fn next_probe(&self) -> Option<Duration> {
        self.open.map(|open| open.next_probe)
    }

    /// What may be done at `now`.
    #[must_use]
    pub fn permission(&self, now: Duration) -> Permission {
        match self.open {
            None => Permission::Call,
            Some(open) if open.next_probe <= now => Permission::Probe,
            Some(open) => Permission::Wait(open.next_probe.saturating_sub(now)),
        }
    }

    /// Opens it, or keeps it open, after a call or a probe failed; the next probe is due a probe interval later, or
    /// when the detector asked to be left alone until, if that is later.
    pub fn fail(&mut self, now: Duration, retry_after: Option<Duration>) {
        let pause = retry_after.unwrap_or_default().max(self.probe_every);
        let due = now + pause;
        let next_probe =
            self.open.map_or(due, |open| if open.next_probe > now { open.next_probe.max(due) } else { due });
        self.open = Some(Open { next_probe });
    }

    /// A probe of an open circuit begins; the next is due an interval later, whatever becomes of this one.
    pub fn probe(&mut self, now: Duration) {
        if let Some(open) = &mut self.open {
            open.next_probe = open.next_probe.max(now + self.probe_every);
        }
    }

    /// Closes it.
    pub fn succeed(&mut self) {
        self.open = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn an_open_circuit_allows_one_probe_an_interval() {
        let mut circuit = Circuit::new(S(30));
        assert_eq!(circuit.permission(S(5)), Permission::Call);
        circuit.fail(S(10), None);
        assert_eq!(circuit.permission(S(10)), Permission::Wait(S(30)));
        assert_eq!(circuit.permission(S(39)), Permission::Wait(S(1)));
        assert_eq!(circuit.permission(S(40)), Permission::Probe);
        circuit.probe(S(40));
        assert_eq!(circuit.permission(S(40)), Permission::Wait(S(30)), "one at a time");
        circuit.fail(S(40), None);
        assert_eq!(circuit.permission(S(69)), Permission::Wait(S(1)));
        circuit.succeed();
        assert_eq!((circuit.permission(S(69)), circuit.is_open()), (Permission::Call, false));
    }

    #[test]
    fn a_detector_that_asks_for_longer_gets_it() {
        let mut circuit = Circuit::new(S(30));
        circuit.fail(S(0), Some(S(120)));
        assert_eq!(circuit.permission(S(30)), Permission::Wait(S(90)));
        circuit.fail(S(1), None);
        assert_eq!(
            circuit.permission(S(30)),
            Permission::Wait(S(90)),
            "a late failure of another call shortens nothing"
        );
    }
}
