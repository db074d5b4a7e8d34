//! Which sessions a person should look at first: those about which least is known, and which are least like what people
//! have looked at already.
//!
//! How likely a session is a bot's follows from its score (Bayes, with a prior share of bots) and from the labels of
//! sessions that moved alike, each moving the log odds by a Gaussian kernel of its distance. Uncertainty is the variance
//! of that guess, `p (1 - p)`. Novelty is the distance to the nearest labelled session. Their product orders likely bots, as
//! in "information density" and "diversity" of active learning (Settles, Active Learning Literature Survey, 2009, 3.5).

use super::result::Decision;

/// Prior share of bots; only says where uncertainty is largest.
const BOTS: f64 = 0.05;
/// Largest score; bots' are taken to be spread evenly up to it.
/// How far a label of an equal movement moves the log odds.
const PULL: f64 = 2.5;
/// Distance at which a label says little, as a share of the largest distance.
const NEAR: f64 = 0.12;
/// What novelty adds, against the uncertainty alone.
const NOVELTY: f64 = 0.5;
/// Values of a session that are compared.
pub const FEATURES: usize = 28;

/// A session that may be looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Feature set v1.
    pub features: [f64; FEATURES],
    /// Calibrated score; `None` where the source only flags.
    pub score: Option<f64>,
    /// The decision as it stands.
    pub decision: Decision,
}

/// A session that somebody labelled.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// Feature set v1.
    pub features: [f64; FEATURES],
    /// Whether it is a bot's.
    pub bot: bool,
}

/// Why a session stands where it stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Priority {
    /// Place of the session among the candidates.
    pub place: usize,
    /// The guess that it is a bot's, 0 to 1.
    pub likelihood: f64,
    /// 0 to 1; 1 where nothing is known.
    pub uncertainty: f64,
    /// 0 to 1; 1 where nothing like it was labelled.
    pub novelty: f64,
}

impl Priority {
    /// Whether it is more likely a bot's than a person's.
    #[must_use]
    pub fn is_likely_bot(&self) -> bool {
        self.likelihood >= 0.5
    }

    /// What orders likely bots, and likely people, 0 to 1. Of bots those come first of which least is known. Of people the
    /// surest come first: among what looks uncertain there are more bots than people wherever bots are many, and labels of
    /// people are what a model lacks most.
    #[must_use]
    pub fn value(&self) -> f64 {
        if self.is_likely_bot() {
            self.uncertainty * (1.0 - NOVELTY + NOVELTY * self.novelty)
        } else {
            (1.0 - self.likelihood) * self.novelty
        }
    }
}

/// Log odds of a bot's by the score alone. The calibrated score `-log10 p` of people has the density `ln 10 * 10^-s`.
fn log_odds(candidate: &Candidate) -> f64 {
    let prior = (BOTS / (1.0 - BOTS)).ln();
    match candidate.score {
        Some(score) => {
            prior - (super::calibration::MAX_SCORE * std::f64::consts::LN_10).ln()
                + score.clamp(0.0, super::calibration::MAX_SCORE) * std::f64::consts::LN_10
        }
        None => match candidate.decision {
            Decision::Pass => prior,
            Decision::Review => 0.0,
            Decision::Fail => -prior,
        },
    }
}

/// Each feature as its rank among all, 0 to 1, so that none outweighs the others and outliers are no further than others.
#[expect(clippy::needless_range_loop, reason = "the loop goes over columns, not rows")]
fn ranked(all: &mut [[f64; FEATURES]]) {
    let count = all.len();
    let mut order: Vec<usize> = (0..count).collect();
    for feature in 0..FEATURES {
        order.sort_unstable_by(|a, b| all[*a][feature].total_cmp(&all[*b][feature]));
        let mut start = 0;
        while start < count {
            let value = all[order[start]][feature];
            let same =
                order[start..].iter().take_while(|place| all[**place][feature].total_cmp(&value).is_eq()).count();
            // Counts are far below 2^52.
            #[expect(clippy::cast_precision_loss, reason = "a few thousand sessions")]
            let rank = (start as f64 + 0.5 * (same as f64 - 1.0)) / (count.max(2) - 1) as f64;
            for place in &order[start..start + same] {
                all[*place][feature] = rank;
            }
            start += same;
        }
    }
}

/// Distance of two sessions, 0 to 1.
fn distance(a: &[f64; FEATURES], b: &[f64; FEATURES]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    // FEATURES is 28.
    (sum / 28.0).sqrt()
}

/// The queue: every candidate, the one to look at first first, likely people and likely bots by turns. Equal ones keep
/// their order.
#[must_use]
pub fn queue(candidates: &[Candidate], labelled: &[Labelled]) -> Vec<Priority> {
    let mut rows: Vec<[f64; FEATURES]> =
        candidates.iter().map(|c| c.features).chain(labelled.iter().map(|l| l.features)).collect();
    ranked(&mut rows);
    let (own, said) = rows.split_at(candidates.len());
    let mut queue: Vec<Priority> = candidates
        .iter()
        .zip(own)
        .enumerate()
        .map(|(place, (candidate, row))| {
            let (mut odds, mut novelty) = (log_odds(candidate), 1.0_f64);
            for (label, other) in labelled.iter().zip(said) {
                let away = distance(row, other) / NEAR;
                let near = (-0.5 * away * away).exp();
                odds += if label.bot { PULL * near } else { -PULL * near };
                novelty = novelty.min(1.0 - near);
            }
            let likelihood = 1.0 / (1.0 + (-odds).exp());
            Priority { place, likelihood, uncertainty: 4.0 * likelihood * (1.0 - likelihood), novelty }
        })
        .collect();
    queue.sort_by(|a, b| b.value().total_cmp(&a.value()));
    mixed(queue)
}

/// Likely people and likely bots by turns, each in their order: a model that learns from bots alone, or from people alone,
/// learns nothing.
fn mixed(queue: Vec<Priority>) -> Vec<Priority> {
    let count = queue.len();
    let (bots, people): (Vec<Priority>, Vec<Priority>) = queue.into_iter().partition(Priority::is_likely_bot);
    let (mut bots, mut people) = (bots.into_iter(), people.into_iter());
    let mut by_turns = Vec::with_capacity(count);
    while by_turns.len() < count {
        by_turns.extend(bots.next());
        by_turns.extend(people.next());
    }
    by_turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(like: f64, score: f64) -> Candidate {
        Candidate { features: [like; FEATURES], score: Some(score), decision: Decision::Review }
    }

    fn order(candidates: &[Candidate], labelled: &[Labelled]) -> Vec<usize> {
        queue(candidates, labelled).iter().map(|priority| priority.place).collect()
    }

    #[test]
    fn what_nobody_can_tell_comes_before_what_is_sure() {
        let all = [session(0.0, 0.1), session(1.0, 2.5), session(2.0, 6.0), session(3.0, 1.5)];
        assert_eq!(order(&all, &[]), [1, 0, 2, 3], "the least sure bot, the surest person, and so on by turns");
        let flagged = |decision| Candidate { score: None, decision, ..session(0.0, 0.0) };
        let flags = [flagged(Decision::Pass), flagged(Decision::Review), flagged(Decision::Fail)];
        assert_eq!(order(&flags, &[])[0], 1);
    }

    #[test]
    fn labels_settle_what_is_like_them_and_raise_what_a_bot_was_like() {
        let all: Vec<Candidate> = (0..40).map(|n| session(f64::from(n), 2.6)).collect();
        let human = Labelled { features: [0.0; FEATURES], bot: false };
        let bots = queue(&all, std::slice::from_ref(&human));
        assert!(bots[0].place > 3, "something new comes first: {:?}", bots[0]);
        let people: Vec<Candidate> = (0..40).map(|n| session(f64::from(n), 1.2)).collect();
        let people = queue(&people, std::slice::from_ref(&human));
        assert_eq!(people.last().unwrap().place, 0, "it is settled");
        let low: Vec<Candidate> = (0..40).map(|n| session(f64::from(n), 0.8)).collect();
        let bot = Labelled { features: [39.0; FEATURES], bot: true };
        let likely = super::queue(&low, &[bot]);
        let of = |place: usize| likely.iter().find(|p| p.place == place).unwrap().likelihood;
        assert!(of(39) > 3.0 * of(0), "what a bot was like is more likely one");
    }

    #[test]
    fn ranks_do_not_depend_on_scale_and_ties_share_theirs() {
        let mut rows = [[1.0; FEATURES], [1e9; FEATURES], [1.0; FEATURES], [-5.0; FEATURES]];
        ranked(&mut rows);
        assert_eq!([rows[3][0], rows[0][0], rows[2][0], rows[1][0]], [0.0, 0.5, 0.5, 1.0]);
        assert!(queue(&[], &[]).is_empty());
    }
}
