//! What a seed decides before anything runs: the nodes, their settings, who does what when, and which faults there are.

use std::collections::BTreeSet;
use std::time::Duration;

use super::dice::Dice;
use crate::domain::backoff::Backoff;
use crate::domain::batch::Policy;
use crate::domain::evidence::Evidence;
use crate::scheduler::Settings;
use crate::store::Retention;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// The plan of one schedule.
#[expect(clippy::struct_excessive_bools, reason = "each is drawn for itself")]
pub(super) struct Plan {
    /// Nodes on the store: one, or two that share it.
    pub(super) nodes: usize,
    /// Whether leases outlive a node and the store's own time holds.
    pub(super) is_shared: bool,
    /// Whether a local detector stands beside a remote one.
    pub(super) has_local: bool,
    pub(super) settings: Settings,
    /// How far each node's wall clock is ahead of the store's, ms.
    pub(super) skew: [i64; 2],
    /// Sessions that no detector takes.
    pub(super) poison: BTreeSet<u64>,
    /// Whether a detector names the poison, rather than refuse the whole batch.
    pub(super) is_poison_named: bool,
    pub(super) faults: Faults,
    /// Times in which the detector is at fault as a whole, from and to.
    pub(super) spells: Vec<(Duration, Duration, Spell)>,
    /// When faults cease.
    pub(super) calm: Duration,
    /// What is done from outside, by time.
    pub(super) deeds: Vec<(Duration, Deed)>,
    /// After how many steps at the store or the detector each life of a node ends, of those that end so.
    pub(super) crashes: Vec<u64>,
    /// Whether nobody but one node's loop claims, and nobody takes a ready session away.
    pub(super) is_claimed_by_one: bool,
}

/// How many of a thousand calls go wrong so.
pub(super) struct Faults {
    /// The store fails and changes nothing.
    pub(super) store_refuses: u64,
    /// The store fails, and what was asked is done all the same.
    pub(super) store_forgets: u64,
    /// The store takes its time.
    pub(super) store_dawdles: u64,
    /// The detector fails for now.
    pub(super) transient: u64,
    /// The detector's answer does not fit the question.
    pub(super) unfit: u64,
    /// The detector takes longer than a lease.
    pub(super) slow: u64,
}

/// What a detector does as a whole for a while.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spell {
    /// It is away.
    Away,
    /// It refuses whatever it is asked, a known-good row too.
    RefusesAll,
    /// It refuses every session, but not its known-good row.
    RefusesSessions,
}

/// Something done from outside.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    Submit(u64),
    Erase(u64),
    Requeue,
    Stop,
    Start,
    RunNow,
    /// The node is told to end, and to end at once so much later.
    Leave {
        node: usize,
        grace: Duration,
    },
    /// The node's wall clock is set so much ahead, ms.
    SetClock {
        node: usize,
        by: i64,
    },
}

impl Plan {
    pub(super) fn draw(dice: &Dice) -> Self {
        let nodes = if dice.happens(500) { 2 } else { 1 };
        let is_shared = nodes > 1 || dice.happens(400);
        let has_local = dice.happens(300);
        let calm = MS(dice.from(2_000, 12_000));
        let span = calm.as_millis() as u64;
        let sessions = dice.from(1, 30);
        // Where every kind of fault is always there, each hides what the others would show.
        let rate = |most: u64| if dice.happens(500) { 0 } else { dice.from(1, most) };
        let faults = Faults {
            store_refuses: rate(60),
            store_forgets: rate(60),
            store_dawdles: rate(60),
            transient: rate(400),
            unfit: rate(400),
            slow: rate(250),
        };
        let spells = (0..dice.below(3)).map(|_| {
            let from = dice.below(span);
            let kind = [Spell::Away, Spell::RefusesAll, Spell::RefusesSessions][dice.below(3) as usize];
            (MS(from), MS(from + dice.from(100, 5_000)), kind)
        });
        let spells = spells.collect();
        let poison = if dice.happens(500) { 0 } else { dice.from(1, 7) };
        let poison = (0..poison).map(|_| dice.below(sessions)).collect();
        let is_claimed_by_one = nodes == 1 && !has_local && dice.happens(600);
        let mut deeds: Vec<(Duration, Deed)> = Vec::new();
        // Most come together, as a backlog does.
        let burst = MS(dice.below(span / 2));
        for n in 0..sessions {
            let at = if dice.happens(500) { burst } else { MS(dice.below(span)) };
            deeds.push((at, Deed::Submit(n)));
            if dice.happens(150) {
                deeds.push((MS(dice.below(span)), Deed::Submit(n)));
            }
            if !is_claimed_by_one && dice.happens(50) {
                deeds.push((MS(dice.below(span)), Deed::Erase(n)));
            }
        }
        let several = |most: u64| if dice.happens(500) { 0 } else { dice.from(1, most) };
        for _ in 0..several(3) {
            deeds.push((MS(dice.below(span)), Deed::Requeue));
        }
        for _ in 0..several(2) {
            deeds.push((MS(dice.below(span)), Deed::Stop));
            deeds.push((MS(dice.below(span)), Deed::Start));
        }
        if !is_claimed_by_one {
            for _ in 0..several(3) {
                deeds.push((MS(dice.below(span)), Deed::RunNow));
            }
        }
        for _ in 0..several(2) {
            let (node, grace) = (dice.below(nodes as u64) as usize, MS(dice.below(4_000)));
            deeds.push((MS(dice.below(span)), Deed::Leave { node, grace }));
        }
        for _ in 0..several(2) {
            let (node, by) = (dice.below(nodes as u64) as usize, dice.from(0, 8_000).cast_signed() - 4_000);
            deeds.push((MS(dice.below(span)), Deed::SetClock { node, by }));
        }
        deeds.sort_by_key(|(at, _)| *at);
        let skew = [0, 1].map(|_| if dice.happens(500) { dice.from(0, 6_000).cast_signed() - 3_000 } else { 0 });
        let crashes = (0..several(4)).map(|_| dice.from(1, 300)).collect();
        Self {
            nodes,
            is_shared,
            has_local,
            settings: settings(dice),
            skew,
            poison,
            is_poison_named: dice.happens(300),
            faults,
            spells,
            calm,
            deeds,
            crashes,
            is_claimed_by_one,
        }
    }
}

/// Settings of a node that lives as fast as a schedule does.
fn settings(dice: &Dice) -> Settings {
    let batch_size = dice.from(2, 8);
    let mut settings = settings_by_chance(dice, batch_size);
    // As the defaults are: whoever waits has had a turn at the detector before the local one takes over.
    settings.fallback_after += settings.policy.max_wait + settings.circuit_probe * 2;
    settings
}

fn settings_by_chance(dice: &Dice, batch_size: u64) -> Settings {
    let day = Duration::from_secs(86_400);
    Settings {
        policy: Policy {
            batch_size,
            min_batch: dice.from(1, batch_size),
            max_wait: MS(dice.from(500, 6_000)),
            interval: MS(dice.from(500, 5_000)),
        },
        concurrency: dice.from(1, 3) as usize,
        backoff: Backoff {
            base: MS(dice.from(50, 2_000)),
            max: MS(dice.from(2_000, 8_000)),
            max_attempts: dice.from(1, 4) as u32,
        },
        lease: MS(dice.from(600, 5_000)),
        circuit_probe: MS(dice.from(500, 3_000)),
        fallback_after: MS(dice.from(1_000, 6_000)),
        retention: Retention { results: day * 90, telemetry: day, telemetry_flagged: day * 30 },
        retention_counts: day * 400,
        evidence: Evidence::Never,
        node: String::new(),
    }
}
