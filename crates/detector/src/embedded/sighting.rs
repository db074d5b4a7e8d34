//! One session scored by itself when it is taken in, and what the watchers of the model count of it.
//!
//! A session is counted when it was accepted, and once: the batch that reuses its score does not ask the detector.

use std::sync::Arc;

use super::drift::{Drift, Place};
use super::kept::RecentRows;
use super::{ActiveModel, Assessment, EmbeddedDetector, Model, Shadow, Tally};
use playproof_domain::features::Extractor;
use playproof_domain::id::Seq;
use playproof_domain::reason::Reasons;
use playproof_domain::result::{Source, Thresholds, Verdict};
use playproof_domain::session::Session;

/// What drift and shadow will count of a session that was scored, and what its batch will want of it.
#[derive(Debug)]
pub struct Sighting {
    lately: Arc<RecentRows>,
    asked: Option<Box<[f32]>>,
    drift: Arc<Drift>,
    place: Option<Place>,
    shadow: Option<(Arc<Shadow>, Tally)>,
}

impl Sighting {
    /// Counts the session, and keeps what the batch wants of it where one follows.
    pub fn count(self, session: Seq) {
        if let Some(asked) = self.asked {
            self.lately.keep(session, asked);
        }
        self.drift.count(self.place.iter());
        if let Some((shadow, tally)) = self.shadow {
            shadow.add(tally);
        }
    }
}

impl EmbeddedDetector {
    /// The verdict on one session, with the reasons known before, and what is to be counted of it once it is accepted;
    /// `None` where the model refuses to score it. `extractor` and `row` are buffers of the caller. The reasons of a session
    /// that waits for its batch lack the traits of its movement: the batch adds them.
    #[must_use]
    pub fn judge(
        &self,
        session: &Session,
        known_reasons: Reasons,
        thresholds: &Thresholds,
        extractor: &mut Extractor,
        row: &mut Vec<f64>,
    ) -> Option<(Verdict, Sighting)> {
        let going = self.in_service().of(&session.deployment_id).clone();
        extractor.extract(going.model.feature_set(), session, row);
        going.sight(row, session, known_reasons, thresholds)
    }
}

impl ActiveModel {
    fn sight(
        self,
        row: &[f64],
        session: &Session,
        known_reasons: Reasons,
        thresholds: &Thresholds,
    ) -> Option<(Verdict, Sighting)> {
        if self.refusal(row).is_some() {
            return None;
        }
        let Self { model, drift, shadow, lately } = self;
        let assess = if session.use_batch { Model::assess_briefly } else { Model::assess };
        let Assessment { raw, calibrated, class, notes } = assess(&model, row);
        let asked = (session.use_batch && model.is_explained(row, &calibrated)).then(|| model.asked(row));
        let place = drift.place(row, calibrated.p);
        let shadow = shadow.map(|shadow| {
            let tally = shadow.compare(row, &calibrated);
            (shadow, tally)
        });
        let reasons = known_reasons.union(notes);
        let verdict =
            Verdict::calibrated(raw, &calibrated, class, reasons, Source::Embedded, model.identity(), thresholds);
        Some((verdict, Sighting { lately, asked, drift, place, shadow }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::EXPLAINED;
    use crate::embedded::kept::Traits;
    use crate::{Detector as _, Outcome, Row};
    use playproof_domain::testing::wandering;

    #[tokio::test]
    async fn a_session_judged_alone_gets_the_verdict_and_the_place_that_a_batch_gives_it() {
        let model = Arc::new(Model::bundled().unwrap());
        let [alone, together] = [(); 2].map(|()| EmbeddedDetector::new(Arc::clone(&model)));
        for detector in [&alone, &together] {
            detector
                .set_shadow(Some((Arc::clone(&model), Thresholds { pass: 0.1, review: 0.2, ..Thresholds::default() })));
        }
        let (mut extractor, mut row) = (Extractor::default(), Vec::new());
        let mut rows = Vec::new();
        let mut verdicts = Vec::new();
        for seed in 0..250 {
            let session = Session { use_batch: seed % 2 == 0, ..wandering(seed, 14) };
            let (verdict, sighting) = alone
                .judge(&session, Reasons::default(), &Thresholds::default(), &mut extractor, &mut row)
                .expect("the model scores it");
            let id = Seq(i64::try_from(seed).unwrap());
            sighting.count(id);
            verdicts.push(verdict);
            let (game_type, device_type) = (session.game_type.clone(), session.device_type.clone());
            rows.push(Row { id, deployment: String::new(), game_type, device_type, features: row.clone() });
        }
        let answer = together.score(&rows).await.unwrap();
        for ((id, outcome), verdict) in answer.outcomes.into_iter().zip(&verdicts) {
            let Outcome::Calibrated { raw, calibrated, class, notes } = outcome else { panic!("{outcome:?}") };
            assert_eq!((Some(raw), Some(calibrated.score)), (verdict.raw_score, verdict.anomaly_score));
            assert_eq!((&class, answer.models.of(id)), (&verdict.class, &verdict.model));
            let basis = verdict.basis.unwrap();
            assert_eq!(Some(calibrated.supported_score), basis.supported_score);
            let (kept, row) = (alone.kept().unwrap(), rows.iter().find(|row| row.id == id).unwrap());
            // What a queued session lacks its batch adds, from what is kept and from the row alike.
            if id.0 % 2 == 0 {
                let traits = kept.traits("", &row.features, &calibrated);
                assert_eq!(
                    (kept.recall("", id, &calibrated), basis.known_reasons.union(traits)),
                    (Traits::Known(traits), notes)
                );
                let again = if calibrated.score > EXPLAINED { Traits::FromRow } else { Traits::Known(traits) };
                assert_eq!(kept.recall("", id, &calibrated), again);
            } else {
                assert_eq!(basis.known_reasons, notes);
            }
        }
        assert_eq!(alone.drift().report().map(|report| report.sessions), Some(250));
        assert_eq!(alone.drift().report(), together.drift().report());
        assert_eq!(alone.shadow().unwrap().tally(), together.shadow().unwrap().tally());
    }

    #[test]
    fn what_was_not_accepted_is_not_counted() {
        let detector = EmbeddedDetector::new(Arc::new(Model::bundled().unwrap()));
        let (mut extractor, mut row) = (Extractor::default(), Vec::new());
        let session = wandering(1, 14);
        for n in 0..400 {
            let (_, sighting) = detector
                .judge(&session, Reasons::default(), &Thresholds::default(), &mut extractor, &mut row)
                .expect("the model scores it");
            if n % 2 == 0 {
                sighting.count(Seq(n));
            }
        }
        assert_eq!(detector.drift().report().map(|report| report.sessions), Some(200));
    }
    #[test]
    fn a_row_that_the_model_refuses_gets_no_verdict_and_is_not_counted() {
        let detector = EmbeddedDetector::new(Arc::new(Model::bundled().unwrap()));
        let width = detector.model().feature_set().columns().len();
        let sight =
            |row: &[f64]| detector.going().sight(row, &wandering(1, 2), Reasons::default(), &Thresholds::default());
        assert!(sight(&vec![1.0; width]).is_some());
        assert!(sight(&vec![1.0; width - 1]).is_none());
        for odd in [f64::NAN, f64::INFINITY] {
            let mut row = vec![1.0; width];
            row[width / 2] = odd;
            assert!(sight(&row).is_none(), "{odd}");
        }
    }
}
