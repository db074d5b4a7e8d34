//! Decisions, and the thresholds that turn a score into one. Everything else in the domain may name them.

/// What a site should do with the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Looks human.
    Pass,
    /// Odd enough for a second look.
    Review,
    /// Not human by the stated error rate.
    Fail,
}

impl Decision {
    /// Every decision, in the order in which stores number them.
    pub const ALL: [Self; 3] = [Self::Pass, Self::Review, Self::Fail];

    /// The name used in answers and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Review => "review",
            Self::Fail => "fail",
        }
    }

    /// The decision called `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.name() == name)
    }
}

/// Up to `pass` a score passes, up to `review` it is reviewed, above that it fails. Without a pointer there is no score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// `ANOMALY_THRESHOLD_PASS`.
    pub pass: f64,
    /// `ANOMALY_THRESHOLD_REVIEW`, larger than `pass`.
    pub review: f64,
    /// What becomes of a session without movement.
    pub no_pointer: NoPointer,
}

/// What becomes of a session without movement: of somebody with a keyboard or a screen reader, or of a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoPointer {
    /// It gets a second look.
    #[default]
    Review,
    /// It passes: the site asks for something else.
    Pass,
}

impl NoPointer {
    /// The decision.
    #[must_use]
    pub fn decision(self) -> Decision {
        match self {
            Self::Review => Decision::Review,
            Self::Pass => Decision::Pass,
        }
    }

    /// The one with the decision called `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Review, Self::Pass].into_iter().find(|one| one.decision().name() == name)
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { pass: 1.0, review: 2.5, no_pointer: NoPointer::Review }
    }
}

impl Thresholds {
    /// The decision for a score.
    #[must_use]
    pub fn decide(&self, score: f64) -> Decision {
        if score <= self.pass {
            Decision::Pass
        } else if score <= self.review {
            Decision::Review
        } else {
            Decision::Fail
        }
    }

    /// Confidence in `decision` at `score`, as clients of the original know it: 0.7 to 1 for a pass, 0.7 falling to 0.5
    /// across review, 0.7 rising to 0.95 for a fail. A score beyond the decision's range counts as its nearest end.
    #[must_use]
    pub fn confidence(&self, decision: Decision, score: f64) -> f64 {
        match decision {
            Decision::Pass => (1.0 - 0.3 * score.min(self.pass)).max(0.7),
            Decision::Review => {
                0.7 - 0.2 * (score.clamp(self.pass, self.review) - self.pass) / (self.review - self.pass)
            }
            Decision::Fail => (0.7 + 0.1 * (score - self.review).max(0.0)).min(0.95),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_change_just_above_the_thresholds() {
        let t = Thresholds::default();
        let decide = |s: f64| t.decide(s).name();
        assert_eq!(
            [decide(0.0), decide(1.0), decide(1.001), decide(2.5), decide(2.501)],
            ["pass", "pass", "review", "review", "fail"]
        );
    }

    #[test]
    fn confidences_are_those_that_clients_know() {
        let t = Thresholds::default();
        let confidence = |s: f64| (t.confidence(t.decide(s), s) * 1e9).round() / 1e9;
        assert_eq!([confidence(0.0), confidence(0.5), confidence(1.0)], [1.0, 0.85, 0.7]);
        assert_eq!([confidence(1.75), confidence(2.5)], [0.6, 0.5]);
        assert_eq!([confidence(3.5), confidence(6.0)], [0.8, 0.95]);
    }
}
