//! Familiarity: whether people were recorded like the session at hand.
//!
//! A session stands at a place in a few traits of recorder and task, next to the people a model was fitted on. How far the
//! third nearest of them is says how well its recorder is known.

use super::classifier::single;
use super::quantiles::quantile;

/// A session is as far from the people fitted on as from the one of this rank.
const RANK: usize = 3;
/// Sessions of people whose places are kept, spread evenly over all.
const MAX_PLACES: usize = 2000;
/// Traits count as this many standard deviations at most.
const MAX_DEVIATION: f32 = 6.0;
/// Most traits.
pub const MAX_TRAITS: usize = 16;
/// Share of people of known recorders who count as fully known, and of those who count as known at all.
const KNOWN_SHARES: [f64; 2] = [0.65, 0.95];
/// Distances below this are not told apart.
const MIN_DISTANCE: f32 = 1e-3;

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

/// Where the people that a model was fitted on stand in the traits.
#[derive(Clone, Debug, PartialEq)]
pub struct Familiarity {
    traits: Vec<Trait>,
    /// The traits of one person's session after the other.
    fitted: Vec<f32>,
    /// The same for comparing.
    places: Places,
    /// Up to the first distance a recorder is fully known, from the second on not at all.
    reach: [f32; 2],
}

impl Familiarity {
    /// The familiarity of recordings like the rows `fitted`, in the traits `columns`; its reach is what `others` need, who
    /// were recorded alike.
    #[must_use]
    pub fn fit(columns: &[usize], fitted: &[&[f64]], others: &[&[f64]]) -> Option<Self> {
        let traits: Vec<Trait> = columns.iter().map(|column| trait_of(*column, fitted)).collect();
        let fitted: Vec<f32> = spread(fitted.len()).flat_map(|i| place(&traits, fitted[i])).collect();
        let places = Places::of(&fitted, traits.len());
        let distance = |row: &&[f64]| {
            let at: Vec<f32> = place(&traits, row).collect();
            f64::from(places.far(&at))
        };
        let mut away: Vec<f64> = others.iter().map(distance).collect();
        away.sort_by(f64::total_cmp);
        let reach = KNOWN_SHARES.map(|share| single(quantile(&away, share)));
        Self::from_parts(traits, fitted, reach, usize::MAX)
    }

    /// A familiarity over rows of `width` columns; `None` when its parts do not fit together or are not finite.
    #[must_use]
    pub fn from_parts(traits: Vec<Trait>, fitted: Vec<f32>, reach: [f32; 2], width: usize) -> Option<Self> {
        let fit = traits.len() <= MAX_TRAITS
            && traits.iter().all(|t| t.column < width && t.mean.is_finite() && t.spread.is_finite() && t.spread > 0.0)
            && traits.is_empty() == fitted.is_empty()
            && fitted.len().is_multiple_of(traits.len().max(1))
            && reach.is_sorted()
            && fitted.iter().chain(&reach).all(|v| v.is_finite());
        fit.then(|| Self { places: Places::of(&fitted, traits.len()), traits, fitted, reach })
    }

    /// This familiarity, with the recorders of `base` known as well; `None` when the two have other traits.
    #[must_use]
    pub fn with(&self, base: &Self) -> Option<Self> {
        let pairs = || self.traits.iter().zip(&base.traits);
        if self.traits.len() != base.traits.len() || pairs().any(|(a, b)| a.column != b.column) {
            return None;
        }
        // Places are deviations from each model's own people: those of this one are written in the base's.
        let to_base = |(value, (from, to)): (&f32, (&Trait, &Trait))| {
            ((value * from.spread + from.mean - to.mean) / to.spread).clamp(-MAX_DEVIATION, MAX_DEVIATION)
        };
        let moved =
            self.fitted.chunks_exact(self.traits.len().max(1)).flat_map(|at| at.iter().zip(pairs()).map(to_base));
        let fitted = base.fitted.iter().copied().chain(moved).collect();
        Self::from_parts(base.traits.clone(), fitted, base.reach, usize::MAX)
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

    /// 1 where people were recorded like this row, 0 where nobody was, falling in between with the logarithm of the
    /// distance; one half where nothing is known of any recorder.
    #[must_use]
    pub fn of(&self, row: &[f64]) -> f64 {
        if self.traits.is_empty() {
            return 0.5;
        }
        let mut at = [0.0; MAX_TRAITS];
        for (at, value) in at.iter_mut().zip(place(&self.traits, row)) {
            *at = value;
        }
        let away = self.places.far(&at[..self.traits.len()]);
        let [near, end] = self.reach;
        if away <= near {
            1.0
        } else if away >= end {
            0.0
        } else {
            let [away, near, end] = [away, near, end].map(|d| f64::from(d.max(MIN_DISTANCE)).ln());
            ((end - away) / (end - near).max(1e-9)).clamp(0.0, 1.0)
        }
    }
}

/// At most [`MAX_PLACES`] of `n`, evenly spread without a period of their own: multiples of the golden section.
fn spread(n: usize) -> impl Iterator<Item = usize> {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length"
    )]
    let at = move |k: usize| ((k as f64 * GOLDEN).fract() * n as f64) as usize;
    (0..n.min(MAX_PLACES)).map(move |k| if n <= MAX_PLACES { k } else { at(k).min(n - 1) })
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

/// The places of people in groups, trait by trait within a group, so that a whole group is compared by vector
/// instructions.
#[derive(Clone, Debug, PartialEq)]
struct Places {
    groups: Vec<f32>,
    /// Places that are not there fill the last group.
    count: usize,
}

/// Places of a group.
const GROUP: usize = 16;

impl Places {
    /// The places whose `traits` values follow each other in `fitted`.
    fn of(fitted: &[f32], traits: usize) -> Self {
        let mut groups = Vec::with_capacity(fitted.len().next_multiple_of(GROUP * traits.max(1)));
        for group in fitted.chunks(GROUP * traits.max(1)) {
            for i in 0..traits {
                groups.extend((0..GROUP).map(|k| group.get(k * traits + i).copied().unwrap_or(0.0)));
            }
        }
        Self { groups, count: fitted.len() / traits.max(1) }
    }

    /// How far a place is from these: the distance to the one of rank [`RANK`].
    fn far(&self, at: &[f32]) -> f32 {
        let mut nearest = [f32::INFINITY; RANK];
        for (g, group) in self.groups.chunks_exact(GROUP * at.len().max(1)).enumerate() {
            let mut away = [0.0f32; GROUP];
            for (values, at) in group.as_chunks::<GROUP>().0.iter().zip(at) {
                for (away, value) in away.iter_mut().zip(values) {
                    *away += (value - at) * (value - at);
                }
            }
            for away in away.into_iter().take(self.count - g * GROUP) {
                if away < nearest[RANK - 1] {
                    let rank = nearest.partition_point(|v| *v <= away);
                    nearest[rank..].rotate_right(1);
                    nearest[rank] = away;
                }
            }
        }
        let last = nearest.iter().rev().find(|v| v.is_finite());
        last.map_or(f32::MAX, |v| v.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(at: impl Iterator<Item = f64>) -> Vec<Vec<f64>> {
        at.map(|v| vec![v, 0.0]).collect()
    }

    fn slices(rows: &[Vec<f64>]) -> Vec<&[f64]> {
        rows.iter().map(Vec::as_slice).collect()
    }

    #[test]
    fn what_people_were_recorded_like_is_known_and_what_nobody_was_is_not() {
        let people = rows((0..400).map(|i| f64::from(i % 20) * 0.1));
        let familiarity = Familiarity::fit(&[0], &slices(&people), &slices(&people)).unwrap();
        assert_eq!([1.0, 40.0, -9.0].map(|v| familiarity.of(&[v, 0.0])), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn the_distance_is_that_to_the_third_of_all_places() {
        let noise = |i: usize| (u32::try_from(i).unwrap().wrapping_mul(2_654_435_761) >> 8) as f32 / 4e6;
        for (count, traits) in [(1, 1), (2, 3), (15, 2), (16, 5), (17, 5), (600, 9)] {
            let fitted: Vec<f32> = (0..count * traits).map(noise).collect();
            let at: Vec<f32> = (0..traits).map(|i| noise(i + 77_777)).collect();
            let away = |place: &[f32]| place.iter().zip(&at).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
            let mut all: Vec<f32> = fitted.chunks_exact(traits).map(away).collect();
            all.sort_by(f32::total_cmp);
            let third = all[all.len().min(RANK) - 1].sqrt();
            assert_eq!(Places::of(&fitted, traits).far(&at), third, "{count} places of {traits} traits");
        }
        assert_eq!(Places::of(&[], 4).far(&[0.0; 4]), f32::MAX);
    }

    #[test]
    fn recorders_of_a_base_and_of_a_site_are_known_to_both() {
        let [base, site] = [0.0, 50.0].map(|from| rows((0..400).map(move |i| from + f64::from(i % 20) * 0.1)));
        let fit = |rows: &[Vec<f64>]| Familiarity::fit(&[0], &slices(rows), &slices(rows)).unwrap();
        let both = fit(&site).with(&fit(&base)).unwrap();
        assert_eq!([1.0, 51.0].map(|v| fit(&base).of(&[v, 0.0])), [1.0, 0.0]);
        assert_eq!(both.of(&[1.0, 0.0]), 1.0);
        let other = Familiarity::fit(&[1], &slices(&base), &slices(&base)).unwrap();
        assert!(other.with(&fit(&base)).is_none());
    }
}
