//! When a batch runs: a pure decision over counts, ages and the time, with its trigger named.

use std::time::Duration;

use super::time::Timestamp;

/// What an operator sets of batching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Upper bound of a batch; that many ready run at once.
    pub batch_size: u64,
    /// On a look, that many ready run.
    pub min_batch: u64,
    /// The longest a ready session waits for company.
    pub max_wait: Duration,
    /// Time between looks.
    pub interval: Duration,
}

/// Why a batch ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// `batch_size` sessions were ready.
    Full,
    /// At least `min_batch` were ready at a look.
    MinBatch,
    /// A session had waited `max_wait`, or nothing had run for that long.
    MaxWait,
    /// A retry came due.
    Retry,
    /// An operator asked.
    Manual,
}

impl Trigger {
    /// Every trigger, in the order in which stores number them.
    pub const ALL: [Self; 5] = [Self::Full, Self::MinBatch, Self::MaxWait, Self::Retry, Self::Manual];

    /// The name used in metrics and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::MinBatch => "min_batch",
            Self::MaxWait => "max_wait",
            Self::Retry => "retry",
            Self::Manual => "manual",
        }
    }
}

/// What the decision looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// Sessions ready.
    pub ready: u64,
    /// When the oldest ready session was accepted.
    pub oldest_ready: Option<Timestamp>,
    /// When the first delayed session is due.
    pub next_due: Option<Timestamp>,
    /// When a batch was last claimed by anybody; the store's start when none ever was.
    pub last_run: Timestamp,
}

/// Run now, or look again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Claim a batch for this reason.
    Run(Trigger),
    /// Nothing to do before this time; `None`: nothing to do before something arrives.
    Wait(Option<Timestamp>),
}

/// Decides at `now`. `look` is true on a tick and right after a batch, when smaller batches may run.
#[must_use]
pub fn decide(view: &QueueView, policy: &Policy, now: Timestamp, look: bool) -> Decision {
    if view.next_due.is_some_and(|due| due <= now) {
        return Decision::Run(Trigger::Retry);
    }
    if view.ready >= policy.batch_size {
        return Decision::Run(Trigger::Full);
    }
    let waited_out = view.oldest_ready.map(|accepted| accepted.plus(policy.max_wait));
    if waited_out.is_some_and(|at| at <= now) {
        return Decision::Run(Trigger::MaxWait);
    }
    if look && view.ready > 0 {
        if view.ready >= policy.min_batch {
            return Decision::Run(Trigger::MinBatch);
        }
        if now.since(view.last_run) >= policy.max_wait {
            return Decision::Run(Trigger::MaxWait);
        }
    }
    Decision::Wait(waited_out.into_iter().chain(view.next_due).min())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy =
        Policy { batch_size: 50, min_batch: 10, max_wait: Duration::from_secs(300), interval: Duration::from_secs(30) };
    const NOW: Timestamp = Timestamp(1_000_000);

    fn view(ready: u64, oldest_age_s: u64) -> QueueView {
        let oldest_ready = (ready > 0).then(|| NOW.minus(Duration::from_secs(oldest_age_s)));
        QueueView { ready, oldest_ready, next_due: None, last_run: NOW.minus(Duration::from_secs(60)) }
    }

    #[test]
    fn a_full_batch_runs_without_a_look_and_a_smaller_one_waits_for_it() {
        assert_eq!(decide(&view(50, 0), &POLICY, NOW, false), Decision::Run(Trigger::Full));
        assert!(matches!(decide(&view(49, 0), &POLICY, NOW, false), Decision::Wait(Some(_))));
        assert_eq!(decide(&view(49, 0), &POLICY, NOW, true), Decision::Run(Trigger::MinBatch));
        assert!(matches!(decide(&view(9, 0), &POLICY, NOW, true), Decision::Wait(Some(_))));
    }

    #[test]
    fn the_oldest_session_runs_at_its_exact_time() {
        assert_eq!(decide(&view(1, 300), &POLICY, NOW, false), Decision::Run(Trigger::MaxWait));
        let almost = view(1, 299);
        assert_eq!(decide(&almost, &POLICY, NOW, false), Decision::Wait(Some(NOW.plus(Duration::from_secs(1)))));
    }

    #[test]
    fn after_a_long_quiet_a_look_runs_whatever_is_ready() {
        let mut quiet = view(1, 5);
        quiet.last_run = NOW.minus(Duration::from_secs(300));
        assert_eq!(decide(&quiet, &POLICY, NOW, true), Decision::Run(Trigger::MaxWait));
        assert!(matches!(decide(&quiet, &POLICY, NOW, false), Decision::Wait(_)));
    }

    #[test]
    fn due_retries_run_at_once_and_future_ones_set_the_alarm() {
        let mut v = view(0, 0);
        assert_eq!(decide(&v, &POLICY, NOW, true), Decision::Wait(None));
        v.next_due = Some(NOW);
        assert_eq!(decide(&v, &POLICY, NOW, false), Decision::Run(Trigger::Retry));
        v.next_due = Some(NOW.plus(Duration::from_secs(2)));
        assert_eq!(decide(&v, &POLICY, NOW, false), Decision::Wait(v.next_due));
    }
}
