//! The heuristic verdict that answers at once: fixed rules over feature set v1, deterministic.

use super::features::v1::{self, Features, RuleInputs};
use super::movement_amount::MovementAmount;
use super::reason::{Reason, Reasons};
use super::session::Session;

/// The largest score before reasons are added.
pub const MAX_SCORE: f64 = 5.0;
/// A heuristic score above this counts as flagged beside a flag-only detector.
pub const ANOMALY_AT: f64 = 2.0;
/// `modelId` of heuristic answers.
pub const MODEL_ID: &str = "heuristic_fallback";
/// `modelVersion` of heuristic answers.
pub const MODEL_VERSION: &str = "v1";

/// The rules that hold and the score they and the softer signs add up to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heuristic {
    /// 0 to [`MAX_SCORE`], before [`boosted`](Heuristic::boosted).
    pub score: f64,
    /// Which rules hold.
    pub reasons: Reasons,
}

impl Heuristic {
    /// Applies the rules to a row.
    #[must_use]
    pub fn judge(f: &Features) -> Self {
        if f.total_moves == 0.0 {
            return Self { score: 0.0, reasons: Reasons::default() };
        }
        let reasons = rules(&RuleInputs::from(f));
        let mut score = if f.path_efficiency > 0.9 { 5.0 * (f.path_efficiency - 0.9) } else { 0.0 };
        let signs = [
            f.control_smoothness_score > 0.95,
            f.small_jitter_ratio < 0.05,
            f.direction_change_rate < 1.0 && f.duration_ms > 3000.0,
        ];
        score += 0.5 * signs.into_iter().map(f64::from).sum::<f64>();
        score += 0.5 * f64::from(reasons.count());
        Self { score: score.clamp(0.0, MAX_SCORE), reasons }
    }

    /// The final heuristic score: with any reason at least 1.5, plus 0.3 for each.
    #[must_use]
    pub fn boosted(&self) -> f64 {
        if self.reasons.is_empty() {
            return self.score;
        }
        self.score.max(1.5) + 0.3 * f64::from(self.reasons.count())
    }
}

/// The rules that hold.
#[must_use]
pub fn rules(f: &RuleInputs) -> Reasons {
    let rules = [
        (Reason::PathTooStraight, f.path_efficiency > 0.98 && f.total_moves > 20.0),
        (Reason::NoJitter, f.small_jitter_ratio < 0.01 && f.total_moves > 50.0),
        (Reason::ImpossibleSpeed, f.max_speed > 10_000.0),
        (Reason::PerfectAccuracy, f.click_accuracy >= 1.0 && f.total_clicks > 10.0),
        (Reason::RoboticTiming, f.inter_move_time_std < 1.0 && f.total_moves > 50.0),
    ];
    rules.into_iter().filter(|(_, holds)| *holds).map(|(reason, _)| reason).collect()
}

/// The reasons that go with a verdict: the rules that hold, and a note where there are hardly any movements. The note is
/// no rule: it must not raise the heuristic score.
#[must_use]
pub fn reasons_with_notes(rules: Reasons, total_moves: f64) -> Reasons {
    let mut reasons = rules;
    if total_moves < f64::from(v1::MIN_MOVEMENTS) {
        reasons.insert(Reason::TooFewMovements);
    }
    reasons
}

/// What keeps `session` from passing whatever its score is: that there is no movement, or too little to judge, or that most
/// of it was made by a script of the page.
#[must_use]
pub fn reservations(session: &Session) -> Reasons {
    if session.movements.is_empty() {
        return [Reason::NoPointer].into_iter().collect();
    }
    let too_little = MovementAmount::of(session).is_too_little().then_some(Reason::TooLittleMovement);
    let untrusted = is_untrusted(session).then_some(Reason::UntrustedEvents);
    too_little.into_iter().chain(untrusted).collect()
}

/// Whether the client says of most movements that they are not the visitor's (`isTrusted: false`). A client can lie, so that
/// it says `true`, or nothing, proves nothing.
fn is_untrusted(session: &Session) -> bool {
    let untrusted = session.movements.trusted.iter().filter(|trusted| **trusted == Some(false)).count();
    2 * untrusted > session.movements.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordinary() -> Features {
        Features {
            duration_ms: 9000.0,
            total_moves: 400.0,
            max_speed: 3000.0,
            path_efficiency: 0.2,
            small_jitter_ratio: 0.2,
            direction_change_rate: 5.0,
            control_smoothness_score: 0.3,
            inter_move_time_std: 12.0,
            ..Features::default()
        }
    }

    #[test]
    fn an_ordinary_session_scores_zero() {
        assert_eq!(Heuristic::judge(&ordinary()), Heuristic { score: 0.0, reasons: Reasons::default() });
    }

    #[test]
    fn each_rule_fires_at_its_own_edge() {
        type Change = fn(&mut Features);
        let cases: [(Reason, Change, Change); 5] = [
            (Reason::PathTooStraight, |f| f.path_efficiency = 0.981, |f| f.path_efficiency = 0.98),
            (Reason::NoJitter, |f| f.small_jitter_ratio = 0.0099, |f| f.small_jitter_ratio = 0.01),
            (Reason::ImpossibleSpeed, |f| f.max_speed = 10_000.1, |f| f.max_speed = 10_000.0),
            (
                Reason::PerfectAccuracy,
                |f| (f.click_accuracy, f.total_clicks) = (1.0, 11.0),
                |f| (f.click_accuracy, f.total_clicks) = (1.0, 10.0),
            ),
            (Reason::RoboticTiming, |f| f.inter_move_time_std = 0.99, |f| f.inter_move_time_std = 1.0),
        ];
        for (reason, over, at) in cases {
            let judge = |change: Change| {
                let mut f = ordinary();
                change(&mut f);
                Heuristic::judge(&f).reasons
            };
            assert_eq!(judge(over).iter().collect::<Vec<_>>(), [reason]);
            assert!(!judge(at).contains(reason));
        }
    }

    #[test]
    fn a_session_of_a_few_points_is_noted_as_such() {
        let few = Features { total_moves: 9.0, ..ordinary() };
        assert!(reasons_with_notes(Reasons::default(), few.total_moves).contains(Reason::TooFewMovements));
        assert!(reasons_with_notes(Reasons::default(), 10.0).is_empty());
        assert!(Heuristic::judge(&few).reasons.is_empty());
    }

    #[test]
    fn a_straight_robotic_line_adds_up_as_documented() {
        let f = Features {
            path_efficiency: 1.0,
            small_jitter_ratio: 0.0,
            inter_move_time_std: 0.0,
            control_smoothness_score: 0.99,
            direction_change_rate: 0.0,
            ..ordinary()
        };
        let verdict = Heuristic::judge(&f);
        // 5 (1 - 0.9) + three signs + three reasons, then + 0.3 a reason
        assert!((verdict.score - (0.5 + 1.5 + 1.5)).abs() < 1e-12);
        assert!((verdict.boosted() - (3.5 + 0.9)).abs() < 1e-12);
    }
}
