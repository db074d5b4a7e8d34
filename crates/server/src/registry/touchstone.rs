//! What every model is held to before it scores, whatever labels say: bots and people of our own. Labels are somebody's
//! word; who labels bots as people could teach a model to pass them all, and who labels people as bots to pass nobody.

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::backtest::{Stored, decide};
use crate::adversary::{Clock, Family, Kind, imitate};
use crate::detector::embedded::Model;
use crate::domain::features::Extractor;
use crate::domain::reason::Reasons;
use crate::domain::result::{Decision, Thresholds};
use crate::domain::session::{Bounds, Session};
use crate::generator;

/// See data/demo/README.md for whose they are. The bundled model is not trained on them.
static PEOPLE: &[u8] = include_bytes!("../../../../data/demo/humans.ndjson.zst");
/// Sessions of each of the generator's families.
const GENERATED: u64 = 50;
/// Bots of each of the adversary's families that are made after one person.
const ROUNDS: u64 = 2;
/// So many more sessions of one kind than the active model a model may judge wrongly: chance, and no lesson.
const TOLERATED: u64 = 3;
/// The same of all bots together, as a share.
const TOLERATED_SHARE: f64 = 0.03;
/// Their seeds are nobody else's.
const FIRST_SEED: u64 = 0x5eed_0b07;

/// Our sessions, and what is known of them.
pub(super) struct Touchstone {
    bots: BTreeMap<&'static str, Vec<Session>>,
    people: Vec<Session>,
}

impl Touchstone {
    /// All of them: a second of work.
    pub(super) fn new() -> Self {
        let people = people();
        let mut bots: BTreeMap<&'static str, Vec<Session>> = BTreeMap::new();
        for family in generator::Family::ALL {
            let made = (0..GENERATED).map(|n| generator::generate(family, FIRST_SEED + n, generator::Shape::default()));
            bots.entry(family.name()).or_default().extend(made);
        }
        // Recordings rearranged are nearly people, and strokes of touchscreens need a person who has made some.
        let is_ours = |family: &Family| !matches!(family.kind(), Kind::Recorded | Kind::Touch);
        for family in Family::ALL.into_iter().filter(is_ours) {
            for (n, person) in (0..).zip(&people) {
                let mut rng = ChaCha8Rng::seed_from_u64(FIRST_SEED + n);
                let made = (0..ROUNDS).filter_map(|_| imitate(person, family, Clock::draw(&mut rng), &mut rng));
                bots.entry(family.name()).or_default().extend(made);
            }
        }
        Self { bots, people }
    }

    /// Why `model` must not score, if it does clearly worse than `active`, which answers call `name`.
    pub(super) fn fault(
        &self,
        model: &Model,
        (active, name): (&Model, &str),
        thresholds: &Thresholds,
    ) -> Option<String> {
        let (mut extractor, mut row) = (Extractor::default(), Vec::new());
        // Passed bots, and people who are not: an unknown recorder fails nobody, so failed ones alone would tell little.
        let mut count = |sessions: &[Session], bot: bool| {
            let mut counts = [0u64; 2];
            for session in sessions {
                let stored = Stored { session: session.clone(), others: Reasons::default(), surely_replayed: false };
                for (count, model) in counts.iter_mut().zip([model, active]) {
                    let decision = decide(model, &stored, thresholds, &mut extractor, &mut row).decision;
                    *count += u64::from((decision == Decision::Pass) == bot);
                }
            }
            counts
        };
        let [of_model, of_active] = count(&self.people, false);
        if of_model > of_active + TOLERATED {
            return Some(format!(
                "of {} recordings of people this model does not pass {of_model}, {name} {of_active}, whatever the labels say; \
                 look through the labels that it was made from",
                self.people.len()
            ));
        }
        let (mut all, mut passed) = (0, [0u64; 2]);
        for (kind, bots) in &self.bots {
            let [of_model, of_active] = count(bots, true);
            if of_model > of_active + TOLERATED {
                return Some(format!(
                    "of {} bots of the kind {kind} this model passes {of_model}, {name} {of_active}, whatever the labels \
                     say; look through the labels that it was made from",
                    bots.len()
                ));
            }
            (all, passed) = (all + bots.len(), [passed[0] + of_model, passed[1] + of_active]);
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of some thousand sessions")]
        let share = (passed[0] as f64 - passed[1] as f64) / all as f64;
        if share > TOLERATED_SHARE {
            return Some(format!(
                "of {all} bots of all kinds this model passes {}, {name} {}, whatever the labels say; look through the \
                 labels that it was made from",
                passed[0], passed[1]
            ));
        }
        None
    }
}

fn people() -> Vec<Session> {
    #[expect(clippy::expect_used, reason = "bundled bytes, read by a test")]
    let text = zstd::decode_all(PEOPLE).expect("the bundled sessions are whole");
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.filter_map(|line| Session::parse(line, &Bounds::default()).ok()).collect()
}

/// The JSON of a bot that the bundled model often passes: reaches of a person, turned and stretched onto others.
#[cfg(test)]
pub(crate) fn hard_bot(person: &Session, seed: u64) -> Vec<u8> {
    let made = imitate(person, Family::Morph, Clock::Own, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
    generator::to_json(&made, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::embedded::by_source::{Source, SourceCalibration};
    use crate::domain::calibration::Calibration;

    #[test]
    fn there_are_people_and_bots_of_every_kind() {
        let all = Touchstone::new();
        assert_eq!(all.people.len(), 23);
        assert!(all.bots.len() > 30, "{}", all.bots.len());
        assert!(all.bots.values().all(|bots| bots.len() >= 20), "each kind can tell");
        let model = Model::bundled().unwrap();
        assert_eq!(all.fault(&model, (&model, "the active one"), &Thresholds::default()), None);
    }

    #[test]
    fn a_model_that_passes_no_people_is_refused_and_the_answer_says_how_many() {
        let active = Model::bundled().unwrap();
        // Whoever it calibrates on is far less odd than anybody: everybody else is odd.
        let mut contents = active.contents().clone();
        let calibration = &contents.judge.calibration;
        let nobody = |source: &Source| Source {
            raw: Calibration::new(vec![-1e6; source.raw.len()]),
            distance: Calibration::new(vec![0.0; source.distance.len()]),
        };
        let [home, foreign] = [calibration.home(), calibration.foreign()].map(|all| all.iter().map(nobody).collect());
        contents.judge.calibration = SourceCalibration::new(calibration.familiarity().clone(), home, foreign).unwrap();
        let model = Model::load(&contents.encode()).unwrap();
        let fault = Touchstone::new().fault(&model, (&active, "the active one"), &Thresholds::default()).unwrap();
        assert!(fault.starts_with("of 23 recordings of people this model does not pass "), "{fault}");
    }
}
