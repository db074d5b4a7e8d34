//! Decisions over time: counts by what sessions have in common, and which shares moved between two periods.

use super::decision::Decision;
use super::reason::Reason;
use super::result::ModelIdentity;

/// The device that a session claims, as far as counts tell devices apart: clients may claim any text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceClass {
    /// A mouse.
    Mouse,
    /// A trackpad.
    Trackpad,
    /// Fingers.
    Touch,
    /// A pen.
    Stylus,
    /// No pointer.
    Keyboard,
    /// Nothing was claimed.
    Unknown,
    /// Any other text.
    Other,
}

impl DeviceClass {
    /// Every class, in the order in which stores number them.
    pub const ALL: [Self; 7] =
        [Self::Mouse, Self::Trackpad, Self::Touch, Self::Stylus, Self::Keyboard, Self::Unknown, Self::Other];

    /// The name used in answers: the text that is claimed, or `other`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mouse => "mouse",
            Self::Trackpad => "trackpad",
            Self::Touch => "touch",
            Self::Stylus => "stylus",
            Self::Keyboard => "keyboard",
            Self::Unknown => "unknown",
            Self::Other => "other",
        }
    }

    /// The class of what a session claims.
    #[must_use]
    pub fn of(claimed: &str) -> Self {
        let named = Self::ALL.into_iter().filter(|class| *class != Self::Other);
        named.into_iter().find(|class| class.name() == claimed).unwrap_or(Self::Other)
    }
}

/// How many sessions stand at each decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those that passed.
    pub pass: u64,
    /// Those that are to be reviewed.
    pub review: u64,
    /// Those that failed.
    pub fail: u64,
}

impl Tally {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.pass + self.review + self.fail
    }

    /// Those with one decision.
    #[must_use]
    pub fn of(&self, decision: Decision) -> u64 {
        match decision {
            Decision::Pass => self.pass,
            Decision::Review => self.review,
            Decision::Fail => self.fail,
        }
    }
}

/// One session with a decision.
impl From<Decision> for Tally {
    fn from(decision: Decision) -> Self {
        let one = |other: Decision| u64::from(decision == other);
        Self { pass: one(Decision::Pass), review: one(Decision::Review), fail: one(Decision::Fail) }
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.pass += other.pass;
        self.review += other.review;
        self.fail += other.fail;
    }
}

/// What the sessions of a tally have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Facet {
    /// The deployment.
    Deployment(String),
    /// The device that they claim.
    Device(DeviceClass),
    /// The model that gave the result.
    Model(ModelIdentity),
    /// A reason that their verdicts name.
    Reason(Reason),
}

/// The tallies of a facet in two periods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetTally {
    /// What they have in common.
    pub facet: Facet,
    /// In the period asked for.
    pub now: Tally,
    /// In the period of the same length before it.
    pub before: Tally,
}

/// What a share is taken of.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// The sessions with a decision, of all.
    Decision(Decision),
    /// The sessions of a facet, of all.
    Traffic(Facet),
    /// The sessions that passed, of a facet's.
    Passing(Facet),
}

/// A share that differs between two periods by more than chance.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    /// The share of what.
    pub measure: Measure,
    /// Part and whole in the period asked for.
    pub now: (u64, u64),
    /// Part and whole in the period before.
    pub before: (u64, u64),
}

/// Fewer sessions in a period say nothing about a share.
const MIN_COMPARED: u64 = 50;
/// Least difference of two shares that is told.
const MIN_DIFFERENCE: f64 = 0.01;
/// Standard errors that a difference must exceed: about 1 in 100,000 by chance, as some dozens of shares are looked at.
const MIN_Z: f64 = 4.4;

impl Shift {
    /// How much larger the share is now, -1 to 1.
    #[must_use]
    pub fn difference(&self) -> f64 {
        share(self.now) - share(self.before)
    }

    /// Whether both wholes are large enough and the difference is more than chance: the z-test of two proportions with
    /// their pooled variance.
    fn is_told(&self) -> bool {
        let ((a, n), (b, m)) = (self.now, self.before);
        if n.min(m) < MIN_COMPARED || self.difference().abs() < MIN_DIFFERENCE {
            return false;
        }
        let pooled = share((a + b, n + m));
        let error = (pooled * (1.0 - pooled) * (1.0 / float(n) + 1.0 / float(m))).sqrt();
        error > 0.0 && self.difference().abs() > MIN_Z * error
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

fn share((part, whole): (u64, u64)) -> f64 {
    if whole == 0 { 0.0 } else { float(part) / float(whole) }
}

/// The largest shifts between two periods, at most `most`, the largest first. `now` and `before` are the tallies of all
/// sessions.
#[must_use]
pub fn shifts(now: Tally, before: Tally, facets: &[FacetTally], most: usize) -> Vec<Shift> {
    let of_all = |measure, part: u64, earlier: u64| Shift {
        measure,
        now: (part, now.total()),
        before: (earlier, before.total()),
    };
    let mut all: Vec<Shift> =
        Decision::ALL.into_iter().map(|d| of_all(Measure::Decision(d), now.of(d), before.of(d))).collect();
    for FacetTally { facet, now, before } in facets {
        all.push(of_all(Measure::Traffic(facet.clone()), now.total(), before.total()));
        // A reason is why a session does not pass, so its pass rate says nothing more.
        if !matches!(facet, Facet::Reason(_)) {
            let measure = Measure::Passing(facet.clone());
            all.push(Shift { measure, now: (now.pass, now.total()), before: (before.pass, before.total()) });
        }
    }
    all.retain(Shift::is_told);
    all.sort_by(|a, b| b.difference().abs().total_cmp(&a.difference().abs()));
    all.truncate(most);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(pass: u64, review: u64, fail: u64) -> Tally {
        Tally { pass, review, fail }
    }

    #[test]
    fn what_clients_claim_is_one_of_few_classes() {
        for class in DeviceClass::ALL {
            assert_eq!(DeviceClass::of(class.name()), class);
        }
        assert_eq!(DeviceClass::of("MOUSE'; --"), DeviceClass::Other);
    }

    #[test]
    fn a_share_that_moved_is_told_and_noise_is_not() {
        let touch =
            FacetTally { facet: Facet::Device(DeviceClass::Touch), now: tally(100, 50, 850), before: tally(95, 3, 2) };
        let mouse = FacetTally {
            facet: Facet::Device(DeviceClass::Mouse),
            now: tally(930, 30, 40),
            before: tally(925, 33, 42),
        };
        let told = shifts(tally(1030, 80, 890), tally(1020, 36, 44), &[touch, mouse], 9);
        let measures: Vec<&Measure> = told.iter().map(|shift| &shift.measure).collect();
        assert_eq!(measures[0], &Measure::Passing(Facet::Device(DeviceClass::Touch)), "{told:?}");
        assert!((told[0].difference() - (0.1 - 0.95)).abs() < 1e-12);
        assert!(measures.contains(&&Measure::Decision(Decision::Fail)));
        assert!(!measures.contains(&&Measure::Passing(Facet::Device(DeviceClass::Mouse))), "{told:?}");
        assert!(told.windows(2).all(|pair| pair[0].difference().abs() >= pair[1].difference().abs()));
    }

    #[test]
    fn few_sessions_say_nothing() {
        assert_eq!(shifts(tally(0, 0, 49), tally(900, 0, 0), &[], 9), []);
        assert_eq!(shifts(tally(0, 0, 0), tally(0, 0, 0), &[], 9), []);
        assert_eq!(shifts(tally(0, 0, 900), tally(900, 0, 0), &[], 1).len(), 1);
    }
}
