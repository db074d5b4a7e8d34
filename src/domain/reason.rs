//! Reason codes: the stable names under which a verdict explains itself, and their sentences.

/// Why a session looks odd or what limits its verdict. The codes are public API; add, never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// `pathEfficiency > 0.98` over more than 20 movements.
    PathTooStraight,
    /// `smallJitterRatio < 0.01` over more than 50 movements.
    NoJitter,
    /// `maxSpeed > 10000` px/s.
    ImpossibleSpeed,
    /// Every one of more than 10 clicks hit.
    PerfectAccuracy,
    /// `interMoveTimeStd < 1` ms over more than 50 movements.
    RoboticTiming,
    /// The calibrated score is higher than that of all but a few calibration humans.
    UnlikeHumans,
    /// The score would fail the session, but the calibration set is too small to say so.
    CalibrationTooSmall,
    /// The session has too few movements to be judged by its motion.
    TooFewMovements,
    /// A detector that gives no score flagged the session.
    Flagged,
    /// The movement is that of an earlier session; see [`super::evidence`].
    ReplayedMovement,
    /// Several earlier sessions have this movement.
    Campaign,
}

impl Reason {
    /// Every reason, in the order in which a verdict lists them.
    pub const ALL: [Self; 11] = [
        Self::PathTooStraight,
        Self::NoJitter,
        Self::ImpossibleSpeed,
        Self::PerfectAccuracy,
        Self::RoboticTiming,
        Self::UnlikeHumans,
        Self::CalibrationTooSmall,
        Self::TooFewMovements,
        Self::Flagged,
        Self::ReplayedMovement,
        Self::Campaign,
    ];

    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::PathTooStraight => "path_too_straight",
            Self::NoJitter => "no_jitter",
            Self::ImpossibleSpeed => "impossible_speed",
            Self::PerfectAccuracy => "perfect_accuracy",
            Self::RoboticTiming => "robotic_timing",
            Self::UnlikeHumans => "unlike_humans",
            Self::CalibrationTooSmall => "calibration_too_small",
            Self::TooFewMovements => "too_few_movements",
            Self::Flagged => "flagged",
            Self::ReplayedMovement => "replayed_movement",
            Self::Campaign => "campaign",
        }
    }

    /// Whether it is one of the heuristic's rules, which speak against the session by themselves.
    #[must_use]
    pub fn is_rule(self) -> bool {
        match self {
            Self::PathTooStraight
            | Self::NoJitter
            | Self::ImpossibleSpeed
            | Self::PerfectAccuracy
            | Self::RoboticTiming => true,
            Self::UnlikeHumans
            | Self::CalibrationTooSmall
            | Self::TooFewMovements
            | Self::Flagged
            | Self::ReplayedMovement
            | Self::Campaign => false,
        }
    }

    /// The sentence shown to people.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::PathTooStraight => "The path is almost a straight line.",
            Self::NoJitter => "The movement lacks the small jitter of a hand.",
            Self::ImpossibleSpeed => "The pointer moved faster than a hand can.",
            Self::PerfectAccuracy => "Every click hit its target.",
            Self::RoboticTiming => "The time between movements is too regular.",
            Self::UnlikeHumans => "The movement as a whole is unlike that of the people the model was calibrated on.",
            Self::CalibrationTooSmall => {
                "The score would fail the session, but too few people calibrate it to be sure."
            }
            Self::TooFewMovements => "There are too few movements to judge the motion.",
            Self::Flagged => "The detector flagged the session as an anomaly.",
            Self::ReplayedMovement => "The movement is that of an earlier session, closer than two people ever were.",
            Self::Campaign => "Several earlier sessions have this movement.",
        }
    }
}

/// A set of reasons in one word; it iterates in the order of [`Reason::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reasons(u64);

impl Reasons {
    /// Adds `reason`.
    pub fn insert(&mut self, reason: Reason) {
        self.0 |= 1 << reason as u64;
    }

    /// Whether `reason` is in the set.
    #[must_use]
    pub fn contains(self, reason: Reason) -> bool {
        self.0 & (1 << reason as u64) != 0
    }

    /// Both sets together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The reasons in order.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL.into_iter().filter(move |r| self.contains(*r))
    }

    /// The set as a number for storage: bit `i` is the `i`-th of [`Reason::ALL`].
    #[must_use]
    pub fn bits(self) -> i64 {
        self.0.cast_signed()
    }

    /// The set from its stored number; unknown bits are kept.
    #[must_use]
    pub fn from_bits(bits: i64) -> Self {
        Self(bits.cast_unsigned())
    }
}

impl FromIterator<Reason> for Reasons {
    fn from_iter<I: IntoIterator<Item = Reason>>(reasons: I) -> Self {
        let mut set = Self::default();
        reasons.into_iter().for_each(|r| set.insert(r));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_code_and_bit() {
        let codes: std::collections::HashSet<_> = Reason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for (i, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i, "the stored bit of {reason:?} is its place in ALL");
        }
        let set: Reasons = [Reason::RoboticTiming, Reason::NoJitter].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Reason::NoJitter, Reason::RoboticTiming]);
        assert_eq!(Reasons::from_bits(set.bits()), set);
    }
}
