//! Local calibration: which raw scores and distances people have who were recorded like the session at hand.
//!
//! What people look like depends on their recorder and their task. A session is compared with the calibration people
//! nearest to it in a few traits of recorder and task (localised conformal prediction: Guan, "Localized conformal
//! prediction", Biometrika 110, 2023). How near the people fitted on are says whether its recorder is known. Where it is
//! not, the p-value is the largest among those of sources whose people were judged by a model that did not know them; in
//! between the two p-values are mixed, which at most doubles the error (Vovk and Wang, "Combining p-values via
//! averaging", Biometrika 107, 2020).

use super::classifier::single;
use crate::domain::calibration::Calibration;

/// Calibration people that a session is compared with at most.
pub const NEAREST: usize = 1000;
/// A session is as far from the people fitted on as from the one of this rank.
const RANK: usize = 10;
/// Traits count as this many standard deviations at most.
const MAX_DEVIATION: f32 = 6.0;
/// Most traits.
pub const MAX_TRAITS: usize = 16;
/// Share of people of known recorders who count as fully known, and of those who count as known at all.
const KNOWN_SHARES: [f64; 2] = [0.65, 0.95];

/// A column by which recordings are told apart, with mean and standard deviation among the people fitted on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trait {
    /// Its place in the feature set.
    pub column: usize,
    /// The mean.
    pub mean: f32,
    /// The standard deviation, above 0.
    pub spread: f32,
}

/// The calibration people: where each is in the traits, its raw score and its distance from people.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct People {
    /// The traits of one after the other.
    pub places: Vec<f32>,
    /// Raw scores of the classifier.
    pub raw: Vec<f32>,
    /// Squared distances of the support.
    pub distance: Vec<f32>,
}

/// The people of a source whom a model judged that did not know the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreign {
    /// Their raw scores.
    pub raw: Calibration,
    /// Their distances.
    pub distance: Calibration,
}

/// Both p-values of a session, and how well its recorder is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Local {
    /// Of the raw score.
    pub classifier: f64,
    /// Of the distance.
    pub support: f64,
    /// 1 where people were recorded like this, 0 where nobody was.
    pub known: f64,
}

/// What people are like, near each recording.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalCalibration {
    traits: Vec<Trait>,
    /// The traits of the people fitted on, one after the other.
    fitted: Vec<f32>,
    /// Up to the first distance a recorder is fully known, from the second on not at all.
    reach: [f32; 2],
    people: People,
    foreign: Vec<Foreign>,
    largest: [f64; 2],
}

impl LocalCalibration {
    /// The calibration by `people` with the traits `columns`, where `fitted` are rows of the people fitted on and
    /// `calibrating` those of `people`.
    #[must_use]
    pub fn fit(
        columns: &[usize],
        fitted: &[&[f64]],
        calibrating: &[&[f64]],
        (raw, distance): (Vec<f32>, Vec<f32>),
        foreign: Vec<Foreign>,
    ) -> Option<Self> {
        let traits: Vec<Trait> = columns.iter().map(|column| trait_of(*column, fitted)).collect();
        let places = |rows: &[&[f64]]| rows.iter().flat_map(|row| place(&traits, row)).collect::<Vec<f32>>();
        let (fitted, people) = (places(fitted), People { places: places(calibrating), raw, distance });
        let mut away: Vec<f64> =
            people.places.chunks_exact(traits.len().max(1)).map(|at| f64::from(far(&fitted, at))).collect();
        away.sort_by(f64::total_cmp);
        let reach = KNOWN_SHARES.map(|share| single(super::quantiles::quantile(&away, share)));
        Self::from_parts(traits, fitted, reach, people, foreign, usize::MAX)
    }

    /// A calibration of rows of `width` columns; `None` when its parts do not fit together or are not finite.
    #[must_use]
    pub fn from_parts(
        traits: Vec<Trait>,
        fitted: Vec<f32>,
        reach: [f32; 2],
        people: People,
        foreign: Vec<Foreign>,
        width: usize,
    ) -> Option<Self> {
        let n = people.raw.len();
        let whole =
            |places: &[f32]| traits.is_empty() == places.is_empty() && places.len().is_multiple_of(traits.len().max(1));
        let fit = traits.len() <= MAX_TRAITS
            && traits.iter().all(|t| t.column < width && t.mean.is_finite() && t.spread.is_finite() && t.spread > 0.0)
            && n > 0
            && people.distance.len() == n
            && people.places.len() == n * traits.len()
            && whole(&fitted)
            && reach.is_sorted();
        let numbers = fitted.iter().chain(&people.places).chain(&people.raw).chain(&people.distance).chain(&reach);
        if !fit
            || !numbers.into_iter().all(|v| v.is_finite())
            || foreign.iter().any(|f| f.raw.is_empty() || f.distance.is_empty())
        {
            return None;
        }
        let most = |own: &[f32], sets: &mut dyn Iterator<Item = &Calibration>| {
            let own = own.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            sets.filter_map(|set| set.values().last().copied()).fold(f64::from(own), f64::max)
        };
        let largest = [
            most(&people.raw, &mut foreign.iter().map(|f| &f.raw)),
            most(&people.distance, &mut foreign.iter().map(|f| &f.distance)),
        ];
        Some(Self { traits, fitted, reach, people, foreign, largest })
    }

    /// This calibration, with the recorders of `base` known as well; `None` when the two have other traits.
    #[must_use]
    pub fn with_recorders_of(&self, base: &Self) -> Option<Self> {
        if self.traits.len() != base.traits.len()
            || self.traits.iter().zip(&base.traits).any(|(a, b)| a.column != b.column)
        {
            return None;
        }
        // Places are deviations from each model's own people: those of this one are written in the base's.
        let moved = |places: &[f32]| -> Vec<f32> {
            let pairs = || self.traits.iter().zip(&base.traits);
            let one = |at: &[f32]| -> Vec<f32> {
                let to_base = |(value, (from, to)): (&f32, (&Trait, &Trait))| {
                    ((value * from.spread + from.mean - to.mean) / to.spread).clamp(-MAX_DEVIATION, MAX_DEVIATION)
                };
                at.iter().zip(pairs()).map(to_base).collect()
            };
            places.chunks_exact(self.traits.len().max(1)).flat_map(one).collect()
        };
        let fitted = base.fitted.iter().copied().chain(moved(&self.fitted)).collect();
        let people = People { places: moved(&self.people.places), ..self.people.clone() };
        Self::from_parts(base.traits.clone(), fitted, base.reach, people, self.foreign.clone(), usize::MAX)
    }

    /// The traits.
    #[must_use]
    pub fn traits(&self) -> &[Trait] {
        &self.traits
    }

    /// The traits of the people fitted on, one after the other.
    #[must_use]
    pub fn fitted(&self) -> &[f32] {
        &self.fitted
    }

    /// Up to which distance in the traits a recorder is fully known, and from which on not at all.
    #[must_use]
    pub fn reach(&self) -> [f32; 2] {
        self.reach
    }

    /// The calibration people.
    #[must_use]
    pub fn people(&self) -> &People {
        &self.people
    }

    /// The people of sources unknown to the model that judged them, source by source.
    #[must_use]
    pub fn foreign(&self) -> &[Foreign] {
        &self.foreign
    }

    /// The largest raw score and the largest distance of any person.
    #[must_use]
    pub fn largest(&self) -> [f64; 2] {
        self.largest
    }

    /// The p-values of a row with this raw score and distance. A larger raw score never has a larger p-value.
    #[must_use]
    pub fn assess(&self, row: &[f64], raw: f64, distance: f64) -> Local {
        let at: Vec<f32> = place(&self.traits, row).collect();
        let known = self.known(&at);
        let mixed = if self.foreign.is_empty() { 1.0 } else { known };
        let [mut classifier, mut support] =
            if mixed > 0.0 { self.near(&at, single(raw), single(distance)) } else { [0.0; 2] };
        if mixed < 1.0 {
            classifier = mixed * classifier + (1.0 - mixed) * self.abroad(|source| (&source.raw, raw));
            support = mixed * support + (1.0 - mixed) * self.abroad(|source| (&source.distance, distance));
        }
        Local { classifier, support, known }
    }

    /// The p-value of a value among people of unknown sources: the largest share in any source of people who have as much,
    /// and the session itself as one of all.
    fn abroad<'a>(&'a self, of: impl Fn(&'a Foreign) -> (&'a Calibration, f64)) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "numbers of people")]
        let share = |set: &Calibration, value: f64| {
            let values = set.values();
            (values.len() - values.partition_point(|v| *v < value)) as f64 / values.len().max(1) as f64
        };
        let worst = self.foreign.iter().map(|source| {
            let (set, value) = of(source);
            share(set, value)
        });
        #[expect(clippy::cast_precision_loss, reason = "a number of people")]
        let all = self.foreign.iter().map(|source| of(source).0.len()).sum::<usize>() as f64;
        (worst.fold(0.0, f64::max) + 1.0 / (1.0 + all)).min(1.0)
    }

    /// The p-values among the nearest people.
    fn near(&self, at: &[f32], raw: f32, distance: f32) -> [f64; 2] {
        let n = self.people.raw.len();
        let p = |chosen: &mut dyn Iterator<Item = usize>| {
            let (mut count, mut as_odd, mut as_far) = (0u32, 0u32, 0u32);
            for i in chosen {
                count += 1;
                as_odd += u32::from(self.people.raw[i] >= raw);
                as_far += u32::from(self.people.distance[i] >= distance);
            }
            [as_odd, as_far].map(|k| f64::from(1 + k) / f64::from(1 + count))
        };
        if n <= NEAREST || at.is_empty() {
            return p(&mut (0..n));
        }
        let mut order: Vec<(f32, u32)> =
            self.people.places.chunks_exact(at.len()).map(|other| squared(other, at)).zip(0..).collect();
        order.select_nth_unstable_by(NEAREST - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        p(&mut order[..NEAREST].iter().map(|(_, i)| *i as usize))
    }

    /// 1 where people were recorded like this, 0 where nobody was, falling in between with the logarithm of the distance.
    fn known(&self, at: &[f32]) -> f64 {
        if at.is_empty() {
            // Nothing is known of any recorder.
            return 0.5;
        }
        let away = far(&self.fitted, at);
        let [near, end] = self.reach;
        if away <= near {
            1.0
        } else if away >= end {
            0.0
        } else {
            let floor = 1e-3;
            let [away, near, end] = [away, near, end].map(|d| f64::from(d.max(floor)).ln());
            ((end - away) / (end - near).max(1e-9)).clamp(0.0, 1.0)
        }
    }
}

fn trait_of(column: usize, rows: &[&[f64]]) -> Trait {
    #[expect(clippy::cast_precision_loss, reason = "a number of sessions")]
    let n = rows.len().max(1) as f64;
    let mean = rows.iter().map(|row| row[column]).sum::<f64>() / n;
    let variance = rows.iter().map(|row| (row[column] - mean).powi(2)).sum::<f64>() / n;
    let spread = single(variance.sqrt());
    Trait { column, mean: single(mean), spread: if spread > 1e-6 { spread } else { 1.0 } }
}

/// Where a row is in the traits.
fn place<'a>(traits: &'a [Trait], row: &'a [f64]) -> impl Iterator<Item = f32> + 'a {
    traits.iter().map(|t| ((single(row[t.column]) - t.mean) / t.spread).clamp(-MAX_DEVIATION, MAX_DEVIATION))
}

fn squared(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// How far a place is from the people at `places`: the distance to the one of rank [`RANK`].
fn far(places: &[f32], at: &[f32]) -> f32 {
    let mut nearest = [f32::INFINITY; RANK];
    for other in places.chunks_exact(at.len().max(1)) {
        let away = squared(other, at);
        if away < nearest[RANK - 1] {
            let rank = nearest.partition_point(|v| *v <= away);
            nearest[rank..].rotate_right(1);
            nearest[rank] = away;
        }
    }
    let last = nearest.iter().rev().find(|v| v.is_finite());
    last.map_or(f32::MAX, |v| v.sqrt())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two recorders, at 0 and at 10; the people of the second have raw scores that are higher by 100.
    fn two_recorders(foreign: Vec<Foreign>) -> LocalCalibration {
        let row = |i: u32| vec![f64::from(i % 2) * 10.0 + f64::from(i % 7) * 0.01];
        let rows: Vec<Vec<f64>> = (0..4000).map(row).collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let raw = (0..4000u16).map(|i| f32::from(i % 2) * 100.0 + f32::from(i) / 4000.0).collect();
        LocalCalibration::fit(&[0], &rows, &rows, (raw, vec![1.0; 4000]), foreign).unwrap()
    }

    #[test]
    fn a_session_is_compared_with_people_recorded_like_it() {
        let calibration = two_recorders(Vec::new());
        let p = |at: f64, raw: f64| calibration.assess(&[at], raw, 0.0).classifier;
        assert!(p(0.0, 90.0) < 0.002 && p(10.0, 90.0) > 0.99);
        assert!((calibration.assess(&[0.0], 0.0, 2.0).support - 1.0 / 1001.0).abs() < 1e-9);
    }

    #[test]
    fn a_recorder_that_nobody_had_is_compared_with_the_worst_source_that_was_left_out() {
        let set = |top: f64| Calibration::new((0..100).map(|i| f64::from(i) * top / 100.0).collect());
        let foreign = [1.0, 300.0].map(|top| Foreign { raw: set(top), distance: set(1.0) });
        let calibration = two_recorders(foreign.to_vec());
        let at = |place: f64| calibration.assess(&[place], 150.0, 0.0);
        assert_eq!(at(0.0).known, 1.0);
        assert!(at(0.0).classifier < 0.002);
        assert_eq!(at(5.0).known, 0.0);
        assert!((at(5.0).classifier - 0.5).abs() < 0.02);
    }

    proptest! {
        #[test]
        fn p_values_are_shares_and_fall_with_the_raw_score(place in -50.0..50.0f64, mut raws in proptest::collection::vec(-10.0..300.0f64, 2..12)) {
            let set = Calibration::new((0..100).map(f64::from).collect());
            let calibration = two_recorders(vec![Foreign { raw: set.clone(), distance: set }]);
            raws.sort_by(f64::total_cmp);
            let p: Vec<f64> = raws.iter().map(|raw| calibration.assess(&[place], *raw, 1.0).classifier).collect();
            prop_assert!(p.iter().all(|p| *p > 0.0 && *p <= 1.0));
            prop_assert!(p.windows(2).all(|pair| pair[0] >= pair[1]));
        }
    }
}
