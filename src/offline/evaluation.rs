//! How well scores tell bots from humans: ROC-AUC, PR-AUC, bots caught at a bound on wrongly accused humans, decisions.
//!
//! Humans of one user are not independent, so intervals come from a bootstrap that draws whole users (Field and Welsh,
//! Journal of the Royal Statistical Society B 69, 2007); bots are drawn one by one within their family.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::domain::result::Decision;

/// Fewer users than this give no interval worth the name.
pub const MIN_USERS: usize = 10;
/// Bootstrap draws.
const DRAWS: u64 = 400;

/// A scored session and the truth about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Whether a person made it.
    pub human: bool,
    /// The bot's family.
    pub family: String,
    /// The recording.
    pub source: String,
    /// The person; empty when not known, then the session stands for itself.
    pub user: String,
    /// Larger is odder.
    pub raw: f64,
    /// -log10 of its p-value.
    pub score: f64,
    /// At the thresholds in force.
    pub decision: Decision,
    /// Whether an unfamiliar recorder turned its fail into a review.
    pub abstained: bool,
}

/// A figure, with its 95 % interval where there are users enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The estimate.
    pub value: f64,
    /// Percentiles 2.5 and 97.5 of the bootstrap.
    pub interval: Option<(f64, f64)>,
}

/// Shares of pass, review and fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Share that passes.
    pub pass: Figure,
    /// Share under review.
    pub review: Figure,
    /// Share that fails.
    pub fail: Figure,
    /// Part of the reviews: those that would fail were their recorder known.
    pub abstained: Figure,
}

/// What the scores are worth against one family of bots, or all.
#[derive(Clone, Debug, PartialEq)]
pub struct Against {
    /// The family, or `all`.
    pub family: String,
    /// How many bots.
    pub sessions: usize,
    /// Area under the receiver operating characteristic: the chance that a bot scores above a human, ties half.
    pub roc_auc: Figure,
    /// Average precision at the prevalence of this data.
    pub pr_auc: Figure,
    /// Bots above the score that 1 % of humans exceed.
    pub tpr_at_1_percent: Figure,
    /// Bots above the score that 0.3 % of humans exceed.
    pub tpr_at_0_3_percent: Figure,
    /// Decisions on these bots.
    pub decisions: Rates,
}

/// Decisions on the humans of one source, or all.
#[derive(Clone, Debug, PartialEq)]
pub struct Humans {
    /// The source, or `all`.
    pub source: String,
    /// How many sessions.
    pub sessions: usize,
    /// Of how many users.
    pub users: usize,
    /// Decisions on them.
    pub decisions: Rates,
}

/// The whole evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// All humans first, then by source.
    pub humans: Vec<Humans>,
    /// All bots first, then by family.
    pub bots: Vec<Against>,
}

/// Four figures of one ranking.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ranking {
    /// See [`Against::roc_auc`].
    pub roc_auc: f64,
    /// See [`Against::pr_auc`].
    pub pr_auc: f64,
    /// See [`Against::tpr_at_1_percent`].
    pub tpr_at_1_percent: f64,
    /// See [`Against::tpr_at_0_3_percent`].
    pub tpr_at_0_3_percent: f64,
}

/// One session in a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Larger is odder.
    pub raw: f64,
    /// The truth.
    pub human: bool,
    /// How often it counts.
    pub weight: f64,
}

/// The figures of sessions sorted by falling raw score; `None` without a human or without a bot.
#[must_use]
pub fn ranking(falling: &[Ranked]) -> Option<Ranking> {
    let total = |human: bool| falling.iter().filter(|r| r.human == human).map(|r| r.weight).sum::<f64>();
    let (humans, bots) = (total(true), total(false));
    if humans <= 0.0 || bots <= 0.0 {
        return None;
    }
    let mut figures = Ranking::default();
    let (mut accused, mut caught) = (0.0, 0.0);
    // Sessions with one score stand or fall together.
    for tie in falling.chunk_by(|a, b| a.raw.total_cmp(&b.raw).is_eq()) {
        let (mut tied_humans, mut tied_bots) = (0.0, 0.0);
        for session in tie {
            if session.human {
                tied_humans += session.weight;
            } else {
                tied_bots += session.weight;
            }
        }
        figures.roc_auc += tied_bots * (humans - accused - 0.5 * tied_humans);
        accused += tied_humans;
        caught += tied_bots;
        if tied_bots > 0.0 {
            figures.pr_auc += tied_bots / bots * caught / (caught + accused);
        }
        let (false_share, true_share) = (accused / humans, caught / bots);
        if false_share <= 0.01 + 1e-12 {
            figures.tpr_at_1_percent = true_share;
        }
        if false_share <= 0.003 + 1e-12 {
            figures.tpr_at_0_3_percent = true_share;
        }
    }
    figures.roc_auc /= humans * bots;
    Some(figures)
}

/// Evaluates scored sessions; the same sessions and seed give the same figures.
#[must_use]
pub fn evaluate(scored: &[Scored], seed: u64) -> Evaluation {
    let mut order: Vec<usize> = (0..scored.len()).collect();
    order.sort_by(|a, b| scored[*b].raw.total_cmp(&scored[*a].raw));
    let sorted: Vec<&Scored> = order.into_iter().map(|i| &scored[i]).collect();
    let draws: Vec<Vec<f64>> = (0..DRAWS).into_par_iter().map(|draw| weights(&sorted, seed, draw)).collect();
    let once = vec![1.0; sorted.len()];

    let groups = |human: bool, name: fn(&Scored) -> &str| {
        let mut names: Vec<&str> = sorted.iter().filter(|s| s.human == human).map(|s| name(s)).collect();
        names.sort_unstable();
        names.dedup();
        let mut all = vec![None];
        if names.len() > 1 || names.iter().any(|n| !n.is_empty()) {
            all.extend(names.into_iter().map(Some));
        }
        all
    };
    let any_user = users(sorted.iter().copied().filter(|s| s.human)) >= MIN_USERS;
    let humans = groups(true, |s| &s.source)
        .into_par_iter()
        .filter_map(|source| {
            let within = |s: &Scored| s.human && source.is_none_or(|source| s.source == source);
            let count = users(sorted.iter().copied().filter(|s| within(s)));
            let decisions = rates(&sorted, within, &once, &draws, count >= MIN_USERS);
            let sessions = sorted.iter().filter(|s| within(s)).count();
            (sessions > 0).then(|| Humans {
                source: source.unwrap_or("all").to_owned(),
                sessions,
                users: count,
                decisions,
            })
        })
        .collect();
    let bots = groups(false, |s| &s.family)
        .into_par_iter()
        .filter_map(|family| {
            let of_family = |s: &Scored| !s.human && family.is_none_or(|family| s.family == family);
            let within: Vec<usize> = (0..sorted.len()).filter(|i| sorted[*i].human || of_family(sorted[*i])).collect();
            let rank = |weights: &[f64]| {
                let part: Vec<Ranked> = within
                    .iter()
                    .map(|i| Ranked { raw: sorted[*i].raw, human: sorted[*i].human, weight: weights[*i] })
                    .collect();
                ranking(&part)
            };
            let value = rank(&once)?;
            let drawn: Vec<Ranking> = draws.iter().filter_map(|weights| rank(weights)).collect();
            let figure = |of: fn(&Ranking) -> f64| Figure {
                value: of(&value),
                interval: if any_user { interval(drawn.iter().map(of).collect()) } else { None },
            };
            Some(Against {
                family: family.unwrap_or("all").to_owned(),
                sessions: sorted.iter().filter(|s| of_family(s)).count(),
                roc_auc: figure(|r| r.roc_auc),
                pr_auc: figure(|r| r.pr_auc),
                tpr_at_1_percent: figure(|r| r.tpr_at_1_percent),
                tpr_at_0_3_percent: figure(|r| r.tpr_at_0_3_percent),
                decisions: rates(&sorted, of_family, &once, &draws, true),
            })
        })
        .collect();
    Evaluation { humans, bots }
}

fn person(session: &Scored, index: usize) -> (String, usize) {
    if session.user.is_empty() { (String::new(), index) } else { (session.user.clone(), 0) }
}

fn users<'a>(sessions: impl Iterator<Item = &'a Scored>) -> usize {
    sessions.enumerate().map(|(i, s)| person(s, i)).collect::<std::collections::BTreeSet<_>>().len()
}

/// How often each session counts in one bootstrap draw.
fn weights(sorted: &[&Scored], seed: u64, draw: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(draw);
    let mut people: BTreeMap<(String, usize), Vec<usize>> = BTreeMap::new();
    let mut families: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, session) in sorted.iter().enumerate() {
        if session.human {
            people.entry(person(session, i)).or_default().push(i);
        } else {
            families.entry(&session.family).or_default().push(i);
        }
    }
    let people: Vec<Vec<usize>> = people.into_values().collect();
    let mut weights = vec![0.0; sorted.len()];
    for _ in 0..people.len() {
        for i in &people[rng.random_range(0..people.len())] {
            weights[*i] += 1.0;
        }
    }
    for bots in families.values() {
        for _ in 0..bots.len() {
            weights[bots[rng.random_range(0..bots.len())]] += 1.0;
        }
    }
    weights
}

fn rates(
    sorted: &[&Scored],
    within: impl Fn(&Scored) -> bool,
    once: &[f64],
    draws: &[Vec<f64>],
    enough: bool,
) -> Rates {
    let members: Vec<(usize, &Scored)> =
        sorted.iter().enumerate().filter(|(_, s)| within(s)).map(|(i, s)| (i, *s)).collect();
    let share = |weights: &[f64], wanted: &dyn Fn(&Scored) -> bool| {
        let total: f64 = members.iter().map(|(i, _)| weights[*i]).sum();
        let hit: f64 = members.iter().filter(|(_, s)| wanted(s)).map(|(i, _)| weights[*i]).sum();
        // An empty sum is minus zero.
        (total > 0.0).then_some(hit / total + 0.0)
    };
    let figure = |wanted: &dyn Fn(&Scored) -> bool| Figure {
        value: share(once, wanted).unwrap_or(0.0),
        interval: if enough { interval(draws.iter().filter_map(|w| share(w, wanted)).collect()) } else { None },
    };
    let decided = |decision: Decision| figure(&move |s: &Scored| s.decision == decision);
    Rates {
        pass: decided(Decision::Pass),
        review: decided(Decision::Review),
        fail: decided(Decision::Fail),
        abstained: figure(&|s: &Scored| s.abstained),
    }
}

fn interval(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some((values[last * 25 / 1000], values[last - last * 25 / 1000]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(falling: &[(f64, bool)]) -> Vec<Ranked> {
        falling.iter().map(|(raw, human)| Ranked { raw: *raw, human: *human, weight: 1.0 }).collect()
    }

    #[test]
    fn a_ranking_worked_out_by_hand() {
        // bot 9, human 8, bot 7 and human 7 (tied), human 6. Pairs: 3 + (1 + 0.5) = 4.5 of 6.
        let r = ranking(&ranked(&[(9.0, false), (8.0, true), (7.0, false), (7.0, true), (6.0, true)])).unwrap();
        assert!((r.roc_auc - 4.5 / 6.0).abs() < 1e-12);
        // Precision 1 at the first bot, 2/4 at the second, each half of the recall.
        assert!((r.pr_auc - 0.75).abs() < 1e-12);
        assert!((r.tpr_at_1_percent - 0.5).abs() < 1e-12 && (r.tpr_at_0_3_percent - 0.5).abs() < 1e-12);
    }

    #[test]
    fn one_percent_of_a_hundred_humans_is_one_and_a_third_of_it_is_none() {
        let mut list = vec![(1000.0, false), (999.0, true), (998.0, false), (997.0, true), (996.0, false)];
        list.extend((0..98).map(|i| (f64::from(500 - i), true)));
        let r = ranking(&ranked(&list)).unwrap();
        assert!((r.tpr_at_1_percent - 2.0 / 3.0).abs() < 1e-12);
        assert!((r.tpr_at_0_3_percent - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn perfect_useless_and_impossible_rankings() {
        let perfect = ranking(&ranked(&[(2.0, false), (1.0, true)])).unwrap();
        assert_eq!((perfect.roc_auc, perfect.pr_auc), (1.0, 1.0));
        let useless = ranking(&ranked(&[(1.0, false), (1.0, true)])).unwrap();
        assert_eq!((useless.roc_auc, useless.tpr_at_1_percent), (0.5, 0.0));
        assert_eq!(ranking(&ranked(&[(1.0, true)])), None);
    }

    fn population(users: usize) -> Vec<Scored> {
        let one = |i: usize, human: bool| Scored {
            human,
            family: if human { "human".into() } else { format!("f{}", i % 2) },
            source: "s".into(),
            user: if human { format!("u{}", i % users) } else { "bot".into() },
            raw: f64::from(u32::try_from(i * 7919 % 101).unwrap()) + if human { 0.0 } else { 40.0 },
            score: 0.0,
            decision: if i.is_multiple_of(10) { Decision::Review } else { Decision::Pass },
            abstained: i.is_multiple_of(20),
        };
        (0..200).map(|i| one(i, true)).chain((0..100).map(|i| one(i, false))).collect()
    }

    #[test]
    fn intervals_hold_the_estimate_repeat_with_the_seed_and_want_ten_users() {
        let all = evaluate(&population(20), 1);
        assert_eq!(all, evaluate(&population(20), 1));
        let auc = all.bots[0].roc_auc;
        let (low, high) = auc.interval.unwrap();
        assert!(low < auc.value && auc.value < high && high - low < 0.3);
        assert_eq!(
            all.bots.iter().map(|b| (b.family.as_str(), b.sessions)).collect::<Vec<_>>(),
            [("all", 100), ("f0", 50), ("f1", 50)]
        );
        assert_eq!((all.humans[0].users, all.humans[0].decisions.review.value), (20, 0.1));
        assert!((all.humans[0].decisions.abstained.value - 0.05).abs() < 1e-12);
        let few = evaluate(&population(9), 1);
        assert_eq!((few.bots[0].roc_auc.interval, few.humans[0].decisions.pass.interval), (None, None));
        assert!(few.bots[0].decisions.pass.interval.is_some(), "bots are no users");
    }
}
