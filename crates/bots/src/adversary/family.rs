//! The families of bots: their names, their order, and what each starts from.

/// What a bot makes its movement from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The person's stops, with another movement between them.
    Reach,
    /// A random or periodic process that knows no stops.
    Process,
    /// A program's steps at the program's own pace.
    Driver,
    /// A stored, composed or fitted motion that is led from stop to stop.
    Template,
    /// The person's own movement, rearranged or at another pace.
    Recorded,
    /// The strokes of a finger.
    Touch,
}

/// How a bot moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// A straight line with some easing and noise.
    Straight,
    /// A Bézier curve of second or third degree.
    Bezier,
    /// Straight pieces through a few points off the line.
    Polyline,
    /// A smooth curve through a few points off the line.
    Spline,
    /// A pull to the target and a wandering push, as `WindMouse` has it.
    Wind,
    /// One to three jumps.
    Jumps,
    /// Minimum-jerk submovements with corrections and noise that grows with speed.
    MinimumJerk,
    /// Log-normal strokes with tremor and a corrected end.
    Lognormal,
    /// A curve through some of the person's own samples.
    Keyframes,
    /// Another leg of the person's, turned, stretched and timed to fit.
    Morph,
    /// The leg's own small steps in another order.
    Walk,
    /// The person's own movement with noise, an uneven clock, or both.
    Replay,
    /// Positions independent of each other.
    WhiteNoise,
    /// Positions whose spectrum falls with frequency.
    ColoredNoise,
    /// Independent steps, reflected at a box.
    BoundedWalk,
    /// A velocity that forgets itself at some rate.
    SmoothWalk,
    /// Steps with a heavy tail.
    LevyFlight,
    /// Stays that tremble, and jumps between them.
    LingerAndJump,
    /// One axis a tick.
    PerTick,
    /// Two to five places by turns.
    Alternation,
    /// Sums of sines, circles and spirals.
    Lissajous,
    /// A little way forth and back every second or so.
    Jiggler,
    /// Line after line.
    SawtoothScan,
    /// Straight steps at a driver's own rate, and pauses.
    DriverSteps,
    /// Steps of one length at a timer's rate.
    DriverPaced,
    /// Jumps across the screen at every event.
    FastTeleport,
    /// Two movements whose events alternate.
    TwoPointers,
    /// A reach that is far too slow or too fast.
    PacedBot,
    /// A template scaled to each reach, with deviation, noise and a flow of speed.
    TemplateMotion,
    /// Reaches from few smooth components.
    HarmonicMotion,
    /// A linear recurrence fitted to the person's velocities.
    RecurrentMotion,
    /// The person's steps in another order.
    ShuffledSteps,
    /// The person's movement from its end to its start.
    Reversed,
    /// The person's movement, several times slower.
    Slowed,
    /// The person's movement, two to three times faster.
    Hurried,
    /// One axis of the person's movement with the other of another time.
    AxisSwappedNoise,
    /// The spectrum of the person's velocity with phases at random.
    PhaseRandomized,
    /// Straight strokes at constant speed.
    TouchStraightSwipes,
    /// Straight strokes with an easing.
    TouchEasedSwipes,
    /// Bézier curves as strokes.
    TouchBezierSwipes,
    /// The person's strokes with noise, an uneven clock, or both.
    TouchReplayNoise,
    /// Taps and short drags at a constant delay.
    TouchTaps,
    /// Strokes in equal steps at a constant interval.
    TouchDriver,
    /// Other strokes of the person's, turned and stretched to fit.
    TouchMorph,
}

/// Every family in the order of [`Family`], with its name and kind.
const TABLE: [(Family, &str, Kind); 44] = [
    (Family::Straight, "straight", Kind::Reach),
    (Family::Bezier, "bezier", Kind::Reach),
    (Family::Polyline, "polyline", Kind::Reach),
    (Family::Spline, "spline", Kind::Reach),
    (Family::Wind, "wind", Kind::Reach),
    (Family::Jumps, "jumps", Kind::Reach),
    (Family::MinimumJerk, "minimum_jerk", Kind::Reach),
    (Family::Lognormal, "lognormal", Kind::Reach),
    (Family::Keyframes, "keyframes", Kind::Reach),
    (Family::Morph, "morph", Kind::Reach),
    (Family::Walk, "walk", Kind::Reach),
    (Family::Replay, "replay", Kind::Reach),
    (Family::WhiteNoise, "white_noise", Kind::Process),
    (Family::ColoredNoise, "colored_noise", Kind::Process),
    (Family::BoundedWalk, "bounded_walk", Kind::Process),
    (Family::SmoothWalk, "smooth_walk", Kind::Process),
    (Family::LevyFlight, "levy_flight", Kind::Process),
    (Family::LingerAndJump, "linger_and_jump", Kind::Process),
    (Family::PerTick, "per_tick", Kind::Process),
    (Family::Alternation, "alternation", Kind::Process),
    (Family::Lissajous, "lissajous", Kind::Process),
    (Family::Jiggler, "jiggler", Kind::Process),
    (Family::SawtoothScan, "sawtooth_scan", Kind::Process),
    (Family::DriverSteps, "driver_steps", Kind::Driver),
    (Family::DriverPaced, "driver_paced", Kind::Driver),
    (Family::FastTeleport, "fast_teleport", Kind::Driver),
    (Family::TwoPointers, "two_pointers", Kind::Driver),
    (Family::PacedBot, "paced_bot", Kind::Driver),
    (Family::TemplateMotion, "template_motion", Kind::Template),
    (Family::HarmonicMotion, "harmonic_motion", Kind::Template),
    (Family::RecurrentMotion, "recurrent_motion", Kind::Template),
    (Family::ShuffledSteps, "shuffled_steps", Kind::Recorded),
    (Family::Reversed, "reversed", Kind::Recorded),
    (Family::Slowed, "slowed", Kind::Recorded),
    (Family::Hurried, "hurried", Kind::Recorded),
    (Family::AxisSwappedNoise, "axis_swapped_noise", Kind::Recorded),
    (Family::PhaseRandomized, "phase_randomized", Kind::Recorded),
    (Family::TouchStraightSwipes, "touch_straight_swipes", Kind::Touch),
    (Family::TouchEasedSwipes, "touch_eased_swipes", Kind::Touch),
    (Family::TouchBezierSwipes, "touch_bezier_swipes", Kind::Touch),
    (Family::TouchReplayNoise, "touch_replay_noise", Kind::Touch),
    (Family::TouchTaps, "touch_taps", Kind::Touch),
    (Family::TouchDriver, "touch_driver", Kind::Touch),
    (Family::TouchMorph, "touch_morph", Kind::Touch),
];

impl Family {
    /// Every family: those that play the person's round from the plainest to the hardest, then by [`Kind`].
    pub const ALL: [Self; TABLE.len()] = {
        let mut all = [Self::Straight; TABLE.len()];
        let mut k = 0;
        while k < all.len() {
            all[k] = TABLE[k].0;
            k += 1;
        }
        all
    };

    /// The name used in labels and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// What its movement is made from.
    #[must_use]
    pub fn kind(self) -> Kind {
        TABLE[self as usize].2
    }

    /// The family called `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }

    /// The families that neither play the person's round leg by leg nor need a touchscreen.
    pub fn zoo() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|family| !matches!(family.kind(), Kind::Reach | Kind::Touch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_families_and_names_each_once() {
        for (k, family) in Family::ALL.into_iter().enumerate() {
            assert_eq!(family as usize, k, "{}", family.name());
            assert_eq!(Family::parse(family.name()), Some(family));
        }
    }
}
