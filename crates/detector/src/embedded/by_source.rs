//! Calibration by source: which raw scores and distances people have, one source of recordings like another.
//!
//! A site is to a model what a source is: people of one recorder at one task. At recorders that are known the p-value is
//! the share of people who have as much, the sources weighed by the square root of their sessions, as in training. At
//! recorders that nobody had it is the quadratic mean, over sources, of the shares among people whom a model judged that
//! did not know their source: between the average source and the worst (conformal calibration of groups: Dunn, Wasserman,
//! Ramdas, "Distribution-free prediction sets for two-layer hierarchical models", JASA 118, 2023; power means of p-values:
//! Vovk and Wang, "Combining p-values via averaging", Biometrika 107, 2020). In between it is the geometric mean of both,
//! weighed by how well the recorder is known.

use super::familiarity::Familiarity;
use playproof_domain::calibration::Calibration;

/// How many times the nominal error people of other persons than the calibrating ones may have, where several sources are
/// taken together: among the sources here the persons of one differ from each other by up to this.
pub const CAUTION: f64 = 2.6;

/// Raw scores and distances of the people of one source, as many of one as of the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Raw scores of the classifier.
    pub raw: Calibration,
    /// Squared distances of the support.
    pub distance: Calibration,
}

/// Which of a source's sets is asked, and the value that is compared.
type Measure = (fn(&Source) -> &Calibration, f64);

/// Both p-values of a session, and how well its recorder is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PValues {
    /// Of the raw score.
    pub classifier: f64,
    /// Of the distance.
    pub support: f64,
    /// 1 where people were recorded like this, 0 where nobody was.
    pub known: f64,
}

/// What people are like, source by source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceCalibration {
    familiarity: Familiarity,
    home: Vec<Source>,
    foreign: Vec<Source>,
    largest: [f64; 2],
}

impl SourceCalibration {
    /// The calibration by people of known sources, `home`, and by people of sources unknown to the model that judged them;
    /// `None` without people, or where a source has a different number of raw scores and distances.
    #[must_use]
    pub fn new(familiarity: Familiarity, home: Vec<Source>, foreign: Vec<Source>) -> Option<Self> {
        let whole = |source: &Source| !source.raw.is_empty() && source.raw.len() == source.distance.len();
        if home.is_empty() || !home.iter().chain(&foreign).all(whole) {
            return None;
        }
        let most = |of: fn(&Source) -> &Calibration| {
            let largest = home.iter().chain(&foreign).filter_map(|source| of(source).values().last().copied());
            largest.fold(f64::NEG_INFINITY, f64::max)
        };
        let largest = [most(raw), most(distance)];
        Some(Self { familiarity, home, foreign, largest })
    }

    /// How well recorders are known.
    #[must_use]
    pub fn familiarity(&self) -> &Familiarity {
        &self.familiarity
    }

    /// The people of known sources, source by source.
    #[must_use]
    pub fn home(&self) -> &[Source] {
        &self.home
    }

    /// The people of sources unknown to the model that judged them, source by source.
    #[must_use]
    pub fn foreign(&self) -> &[Source] {
        &self.foreign
    }

    /// Sessions of known sources.
    #[must_use]
    pub fn people(&self) -> usize {
        self.home.iter().map(|source| source.raw.len()).sum()
    }

    /// The largest raw score and the largest distance of any person.
    #[must_use]
    pub fn largest(&self) -> [f64; 2] {
        self.largest
    }

    /// This calibration with other familiarity.
    #[must_use]
    pub fn familiar(self, familiarity: Familiarity) -> Self {
        Self { familiarity, ..self }
    }

    /// The p-values of a row with this raw score and distance. A larger raw score never has a larger p-value.
    #[must_use]
    pub fn assess(&self, row: &[f64], raw_score: f64, squared: f64) -> PValues {
        let known = self.familiarity.of(row);
        let [classifier, support] = [(raw as fn(&Source) -> &Calibration, raw_score), (distance, squared)]
            .map(|measure| if self.foreign.is_empty() { self.at_home(measure) } else { self.mixed(measure, known) });
        PValues { classifier, support, known }
    }

    fn mixed(&self, measure: Measure, known: f64) -> f64 {
        if known >= 1.0 {
            self.at_home(measure)
        } else if known <= 0.0 {
            self.abroad(measure)
        } else {
            (known * self.at_home(measure).ln() + (1.0 - known) * self.abroad(measure).ln()).exp()
        }
    }

    /// The p-value among people of known sources, and the session itself as one of all.
    fn at_home(&self, measure: Measure) -> f64 {
        let (mut sum, mut weights, mut all) = (0.0, 0.0, 0.0);
        for source in &self.home {
            let (share, n) = share(source, measure);
            sum += n.sqrt() * share;
            weights += n.sqrt();
            all += n;
        }
        let caution = if self.foreign.is_empty() { 1.0 } else { CAUTION };
        // One source alone: the conformal p-value as it is.
        let own = 1.0 / (1.0 + all);
        (caution * (1.0 - own) * sum / weights + own).min(1.0)
    }

    /// The p-value among people of unknown sources, and the session itself as one of all.
    fn abroad(&self, measure: Measure) -> f64 {
        let (mut squares, mut sources, mut all) = (0.0, 0.0, 0.0);
        for source in &self.foreign {
            let (share, n) = share(source, measure);
            squares += share * share;
            sources += 1.0;
            all += n;
        }
        ((squares / sources).sqrt() + 1.0 / (1.0 + all)).min(1.0)
    }
}

fn raw(source: &Source) -> &Calibration {
    &source.raw
}

fn distance(source: &Source) -> &Calibration {
    &source.distance
}

/// The share of a source's people who have as much, and how many they are.
#[expect(clippy::cast_precision_loss, reason = "numbers of people")]
fn share(source: &Source, (of, value): Measure) -> (f64, f64) {
    let values = of(source).values();
    let n = values.len() as f64;
    ((values.len() - values.partition_point(|v| *v < value)) as f64 / n, n)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A source whose people have raw scores evenly up to `top`, and distances up to 1.
    fn source(top: f64) -> Source {
        let set = |top: f64| Calibration::new((1..=500).map(|i| f64::from(i) * top / 500.0).collect());
        Source { raw: set(top), distance: set(1.0) }
    }

    /// People at 0 and 10 are known.
    fn calibration(home: &[f64], foreign: &[f64]) -> SourceCalibration {
        let row = |i: u32| vec![f64::from(i % 2) * 10.0 + f64::from(i % 7) * 0.01];
        let rows: Vec<Vec<f64>> = (0..4000).map(row).collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let familiarity = Familiarity::fit(&[0], &rows, &rows).unwrap();
        let of = |tops: &[f64]| tops.iter().map(|top| source(*top)).collect();
        SourceCalibration::new(familiarity, of(home), of(foreign)).unwrap()
    }

    #[test]
    fn the_people_of_one_source_give_their_conformal_p_value() {
        let p = |raw: f64| calibration(&[100.0], &[]).assess(&[0.0], raw, 0.0).classifier;
        assert!((p(90.1) - 51.0 / 501.0).abs() < 1e-9);
        assert!((p(101.0) - 1.0 / 501.0).abs() < 1e-9);
    }

    #[test]
    fn a_recorder_that_nobody_had_is_compared_with_sources_that_were_left_out() {
        let calibration = calibration(&[1.0, 2.0], &[1.0, 300.0]);
        let at = |place: f64| calibration.assess(&[place], 150.1, 0.0);
        assert_eq!([at(0.0).known, at(5.0).known], [1.0, 0.0]);
        assert!(at(0.0).classifier < 0.0011);
        // None of one source and half of the other: between the average and the worst.
        assert!((at(5.0).classifier - 0.5f64.hypot(0.0) / 2f64.sqrt()).abs() < 0.01);
    }

    #[test]
    fn people_of_other_persons_get_the_benefit_of_the_doubt() {
        let p = |foreign: &[f64]| calibration(&[100.0, 100.0], foreign).assess(&[0.0], 98.1, 0.0).classifier;
        assert!((p(&[1.0, 1.0]) / p(&[]) - CAUTION).abs() < 0.2);
    }

    #[test]
    fn sources_must_be_whole() {
        let familiarity = calibration(&[1.0], &[]).familiarity().clone();
        let torn = Source { raw: Calibration::new(vec![1.0]), distance: Calibration::new(vec![]) };
        assert!(SourceCalibration::new(familiarity.clone(), vec![], vec![]).is_none());
        assert!(SourceCalibration::new(familiarity.clone(), vec![torn.clone()], vec![]).is_none());
        assert!(SourceCalibration::new(familiarity, vec![source(1.0)], vec![torn]).is_none());
    }

    proptest! {
        #[test]
        fn p_values_are_shares_and_fall_with_the_raw_score(place in -50.0..50.0f64, mut raws in proptest::collection::vec(-10.0..300.0f64, 2..12)) {
            let calibration = calibration(&[100.0, 40.0], &[200.0, 20.0]);
            raws.sort_by(f64::total_cmp);
            let p: Vec<f64> = raws.iter().map(|raw| calibration.assess(&[place], *raw, 1.0).classifier).collect();
            prop_assert!(p.iter().all(|p| *p > 0.0 && *p <= 1.0));
            prop_assert!(p.windows(2).all(|pair| pair[0] >= pair[1]));
        }
    }
}
