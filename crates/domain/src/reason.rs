//! Reason codes: the stable names under which a verdict explains itself, and their sentences.

use super::decision::Decision;

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
    /// Trait of the movement: How the speed is spread over slow and fast is unlike people's.
    SpeedSpread,
    /// Trait of the movement: How long the speed stays the same is unlike people's.
    SpeedRhythm,
    /// Trait of the movement: The way the pointer speeds up and slows down is unlike people's.
    Acceleration,
    /// Trait of the movement: How often and how sharply the pointer turns is unlike people's.
    Turning,
    /// Trait of the movement: People slow down in bends; here speed and bend go together in another way.
    PowerLaw,
    /// Trait of the movement: The fine roughness of the path is unlike that of a hand.
    Roughness,
    /// Trait of the movement: Short pieces of the path are straighter or more bent than people's.
    Straightness,
    /// Trait of the movement: Pauses and jumps between movements are unlike people's.
    Pauses,
    /// Trait of the movement: Single reaches start, peak and end in another way than people's.
    StrokeShape,
    /// Trait of the movement: Reaches are more alike, or differ more, than people's.
    StrokeVariety,
    /// Trait of the movement: The path follows a drawn curve more closely, or less, than a correcting hand does.
    Smoothness,
    /// Trait of the movement: The last moments before clicks are unlike people's.
    ClickApproach,
    /// Trait of the movement: Times and sizes of the recorded steps fit the movement in another way than people's.
    EventStream,
    /// The score would fail the session, but its recorder is unlike any that the model has seen.
    UnfamiliarRecorder,
    /// The movement is that of an earlier session; see [`super::evidence`].
    ReplayedMovement,
    /// Several earlier sessions have this movement.
    Campaign,
    /// An override lets the user pass.
    Allowed,
    /// An override fails the user.
    Denied,
    /// It was sent with a test key that always passes.
    TestPass,
    /// It was sent with a test key that is always reviewed.
    TestReview,
    /// It was sent with a test key that always fails.
    TestFail,
    /// There is too little movement between pauses; see [`super::movement_amount`].
    TooLittleMovement,
    /// It is further from people than every person of the calibration.
    OutsidePeople,
    /// Two rules hold that no person of the calibration has together.
    MachineMotion,
    /// It has no movement at all: somebody used the keyboard, or a screen reader.
    NoPointer,
    /// Most of its movements were made by a script of the page.
    UntrustedEvents,
}

impl Reason {
    /// Every reason, in the order in which a verdict lists them.
    pub const ALL: [Self; 35] = [
        Self::PathTooStraight,
        Self::NoJitter,
        Self::ImpossibleSpeed,
        Self::PerfectAccuracy,
        Self::RoboticTiming,
        Self::UnlikeHumans,
        Self::CalibrationTooSmall,
        Self::TooFewMovements,
        Self::Flagged,
        Self::SpeedSpread,
        Self::SpeedRhythm,
        Self::Acceleration,
        Self::Turning,
        Self::PowerLaw,
        Self::Roughness,
        Self::Straightness,
        Self::Pauses,
        Self::StrokeShape,
        Self::StrokeVariety,
        Self::Smoothness,
        Self::ClickApproach,
        Self::EventStream,
        Self::UnfamiliarRecorder,
        Self::ReplayedMovement,
        Self::Campaign,
        Self::Allowed,
        Self::Denied,
        Self::TestPass,
        Self::TestReview,
        Self::TestFail,
        Self::TooLittleMovement,
        Self::OutsidePeople,
        Self::MachineMotion,
        Self::NoPointer,
        Self::UntrustedEvents,
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
            Self::SpeedSpread => "speed_spread",
            Self::SpeedRhythm => "speed_rhythm",
            Self::Acceleration => "acceleration",
            Self::Turning => "turning",
            Self::PowerLaw => "power_law",
            Self::Roughness => "roughness",
            Self::Straightness => "straightness",
            Self::Pauses => "pauses",
            Self::StrokeShape => "stroke_shape",
            Self::StrokeVariety => "stroke_variety",
            Self::Smoothness => "smoothness",
            Self::ClickApproach => "click_approach",
            Self::EventStream => "event_stream",
            Self::UnfamiliarRecorder => "unfamiliar_recorder",
            Self::ReplayedMovement => "replayed_movement",
            Self::Campaign => "campaign",
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::TestPass => "test_pass",
            Self::TestReview => "test_review",
            Self::TestFail => "test_fail",
            Self::TooLittleMovement => "too_little_movement",
            Self::OutsidePeople => "outside_people",
            Self::MachineMotion => "machine_motion",
            Self::NoPointer => "no_pointer",
            Self::UntrustedEvents => "untrusted_events",
        }
    }

    /// The reason with this code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Whether it is one of the heuristic's rules, which speak against the session by themselves.
    #[must_use]
    pub fn is_rule(self) -> bool {
        matches!(
            self,
            Self::PathTooStraight
                | Self::NoJitter
                | Self::ImpossibleSpeed
                | Self::PerfectAccuracy
                | Self::RoboticTiming
        )
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
            Self::SpeedSpread => "How the speed is spread over slow and fast is unlike people's.",
            Self::SpeedRhythm => "How long the speed stays the same is unlike people's.",
            Self::Acceleration => "The way the pointer speeds up and slows down is unlike people's.",
            Self::Turning => "How often and how sharply the pointer turns is unlike people's.",
            Self::PowerLaw => "People slow down in bends; here speed and bend go together in another way.",
            Self::Roughness => "The fine roughness of the path is unlike that of a hand.",
            Self::Straightness => "Short pieces of the path are straighter or more bent than people's.",
            Self::Pauses => "Pauses and jumps between movements are unlike people's.",
            Self::StrokeShape => "Single reaches start, peak and end in another way than people's.",
            Self::StrokeVariety => "Reaches are more alike, or differ more, than people's.",
            Self::Smoothness => "The path follows a drawn curve more closely, or less, than a correcting hand does.",
            Self::ClickApproach => "The last moments before clicks are unlike people's.",
            Self::EventStream => "Times and sizes of the recorded steps fit the movement in another way than people's.",
            Self::UnfamiliarRecorder => {
                "What recorded the session is unlike anything the model has seen, so it is reviewed at worst."
            }
            Self::ReplayedMovement => "The movement is that of an earlier session, closer than two people ever were.",
            Self::Campaign => "Several earlier sessions have this movement.",
            Self::Allowed => "Somebody lets this user pass, whatever the movement.",
            Self::Denied => "Somebody denies this user, whatever the movement.",
            Self::TestPass => "It was sent with a test key that always passes.",
            Self::TestReview => "It was sent with a test key that is always reviewed.",
            Self::TestFail => "It was sent with a test key that always fails.",
            Self::TooLittleMovement => "There is too little movement between pauses to judge.",
            Self::OutsidePeople => "The movement is further from people than that of any person the model knows.",
            Self::MachineMotion => {
                "It has neither jitter nor an uneven clock; no person the model was calibrated on lacked both."
            }
            Self::UntrustedEvents => "Most movements were made by a script of the page, not by the visitor's device.",
            Self::NoPointer => "No pointer moved, as with a keyboard or a screen reader, so nothing was scored.",
        }
    }
}

impl Reason {
    /// The reason of a test key that always gives `decision`.
    #[must_use]
    pub fn of_test(decision: Decision) -> Self {
        match decision {
            Decision::Pass => Self::TestPass,
            Decision::Review => Self::TestReview,
            Decision::Fail => Self::TestFail,
        }
    }

    /// The decision that it alone brings about, whatever the movement.
    #[must_use]
    pub fn forces(self) -> Option<Decision> {
        match self {
            Self::Allowed | Self::TestPass => Some(Decision::Pass),
            Self::TestReview => Some(Decision::Review),
            Self::Denied | Self::TestFail => Some(Decision::Fail),
            _ => None,
        }
    }

    /// Whether it names the part of the movement that moved a model's score most.
    #[must_use]
    pub fn is_trait(self) -> bool {
        (Self::SpeedSpread..=Self::EventStream).contains(&self)
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

    /// Takes `reason` out.
    pub fn remove(&mut self, reason: Reason) {
        self.0 &= !(1 << reason as u64);
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

    /// The decision that one of them alone brings about; that of a test key where there are two.
    #[must_use]
    pub fn forced(self) -> Option<Decision> {
        self.iter().filter_map(Reason::forces).last()
    }

    /// The set without the traits of the movement.
    #[must_use]
    pub fn without_traits(self) -> Self {
        self.iter().filter(|reason| !reason.is_trait()).collect()
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
    fn every_code_is_documented_with_its_sentence() {
        let reasons = include_str!("../../../docs/reasons.md");
        for reason in Reason::ALL {
            let row = format!("| `{}` | {} |", reason.code(), reason.message());
            assert!(reasons.contains(&row), "docs/reasons.md lacks the row {row}");
        }
    }

    #[test]
    fn traits_can_be_left_out_and_single_reasons_taken_out() {
        let mut set: Reasons = Reason::ALL.into_iter().collect();
        set.remove(Reason::NoJitter);
        let left: Vec<Reason> = set.without_traits().iter().collect();
        assert!(!left.contains(&Reason::NoJitter) && !left.iter().any(|reason| reason.is_trait()));
        assert!(left.contains(&Reason::Flagged) && left.contains(&Reason::UnfamiliarRecorder));
    }

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
