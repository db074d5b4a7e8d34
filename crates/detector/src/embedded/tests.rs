//! The embedded detector as the service sees it.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::file::tests::small;
use super::*;
use playproof_bots::adversary::{self, Clock, Family};
use playproof_domain::features::Extractor;
use playproof_domain::result::Decision;
use playproof_domain::session::{Movements, Session};

fn model() -> Model {
    Model::load(&small().encode()).unwrap()
}

fn row(total_moves: f64, speed: f64, efficiency: f64) -> Vec<f64> {
    let mut row = vec![0.0; 28];
    (row[1], row[3], row[16]) = (total_moves, speed, efficiency);
    row
}

#[test]
fn the_bundled_model_loads_and_says_what_it_is() {
    let model = Model::bundled().unwrap();
    assert_eq!((model.identity().id.as_str(), model.identity().version.len()), ("embedded", 12));
    assert_eq!(model.feature_set(), FeatureSet::V3);
    assert!(model.calibrated_on() >= 1000, "0.3 % must be resolved");
    assert!(model.provenance().contains("osu_replays") && !model.provenance().contains("web_survey"));
    assert_eq!(Model::bundled().unwrap().identity(), model.identity());
}

#[test]
fn too_little_motion_goes_to_review_whatever_the_row_says() {
    for model in [model(), Model::bundled().unwrap()] {
        let width = model.feature_set().columns().len();
        let (column, least) = model.feature_set().evidence();
        let mut last = f64::INFINITY;
        for evidence in [0.0, 1.0, least - 1.0] {
            let mut row = vec![0.0; width];
            row[column] = evidence;
            let assessed = model.assess(&row);
            assert_eq!(Thresholds::default().decide(assessed.calibrated.supported_score), Decision::Review);
            assert!(assessed.raw < last, "less motion ranks as odder");
            last = assessed.raw;
        }
        for broken in [vec![], vec![1e6; width + 1], vec![f64::NAN; width]] {
            let assessed = model.assess(&broken);
            assert!(assessed.raw.is_finite() && assessed.calibrated.score > 1.0);
        }
    }
}

#[tokio::test]
async fn bad_rows_are_rejected_alone_and_every_row_has_its_outcome() {
    let model = Arc::new(model());
    let mut rows: Vec<Row> = (0..1000)
        .map(|i| Row {
            id: Seq(i),
            deployment: String::new(),
            game_type: String::new(),
            device_type: "mouse".to_owned(),
            features: row(50.0, 200.0 + f64::from(i32::try_from(i).unwrap()), 0.4),
        })
        .collect();
    rows[3].features.pop();
    rows[700].features[5] = f64::NAN;
    let detector = EmbeddedDetector::new(Arc::clone(&model));
    let answer = detector.score(&rows).await.unwrap();
    let one_by_one: Vec<_> = rows.iter().map(|row| detector.going().outcome(row)).collect();
    assert_eq!(answer.outcomes, one_by_one, "the batch does not matter");
    let rejected: Vec<&(Seq, Outcome)> =
        answer.outcomes.iter().filter(|(_, o)| matches!(o, Outcome::Rejected(_))).collect();
    assert_eq!(rejected.len(), 2);
    assert_eq!(rejected[0], &(Seq(3), Outcome::Rejected("the row has 27 features, the model wants 28".to_owned())));
    assert!(matches!(&rejected[1].1, Outcome::Rejected(m) if m.contains("speedStd") || m.contains("not a finite")));
    assert_eq!(answer.models, Models::from(model.identity()));
}

#[test]
fn a_recorder_beyond_the_known_ones_is_noted() {
    let model = model();
    let known_reasons = |interval: f64| {
        let mut row = row(50.0, 200.0, 0.4);
        row[26] = interval;
        model.assess(&row).notes.contains(Reason::UnfamiliarRecorder)
    };
    assert_eq!([known_reasons(16.0), known_reasons(-900.0), known_reasons(961.0)], [false, true, true]);
}

proptest! {
    #[test]
    fn what_is_explained_adds_up_to_the_score(values in proptest::collection::vec(-20.0..20.0f64, playproof_domain::features::v3::WIDTH)) {
        let model = Model::bundled().unwrap();
        let mut values = values;
        values[0] = 300.0;
        let explained = model.explain(&values);
        let sum: f64 = explained.iter().map(|c| c.added).sum();
        let judgement = model.judgement(&values).unwrap();
        prop_assert!((model.base() + sum - judgement.raw).abs() < 1e-6);
        prop_assert!(explained.windows(2).all(|w| w[0].added >= w[1].added));
        prop_assert!(explained.iter().all(|c| c.range.0 <= c.range.1));
        let away: f64 = model.explain_support(&values).iter().map(|share| share.added).sum();
        prop_assert!((away - judgement.distance).abs() < 1e-3 * (1.0 + judgement.distance));
        // The stricter of both parts is the score, as far as people resolve it.
        let score = |p: f64, part: f64| -(p / part).min(1.0).log10();
        let parts = score(judgement.classifier_p, 1.0 - judge::SUPPORT_PART)
            .max(score(judgement.support_p, judge::SUPPORT_PART));
        prop_assert!((parts - judgement.calibrated.supported_score).abs() < 1e-9);
    }

    #[test]
    fn every_bot_of_the_zoo_has_a_score_on_the_scale(seed in any::<u64>(), step in 1.0..400.0f64, reach in 0.0..4000.0f64) {
        let t: Vec<f64> = (0..200).map(|i| f64::from(i) * step).collect();
        let x = t.iter().map(|t| reach * (t / 900.0).sin()).collect();
        let y = t.iter().map(|t| reach * (t / 1300.0).cos()).collect();
        let person = Session {
            duration_ms: 200.0 * step,
            movements: Movements { x, y, t, trusted: vec![] },
            ..Session::default()
        };
        let model = Model::bundled().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut extractor, mut row) = (Extractor::default(), Vec::new());
        for family in Family::ALL {
            let Some(bot) = adversary::imitate(&person, family, Clock::draw(&mut rng), &mut rng) else { continue };
            extractor.extract(model.feature_set(), &bot, &mut row);
            let assessed = model.assess(&row);
            prop_assert!(assessed.calibrated.is_sound(), "{family:?} {:?}", assessed.calibrated);
            prop_assert!(assessed.raw.is_finite());
            // What a client claims to be changes nothing.
            let own = row.clone();
            for claim in ["mouse", "trackpad", "stylus", "touch", "unknown"] {
                let claimed = Session { device_type: claim.to_owned(), ..bot.clone() };
                extractor.extract(model.feature_set(), &claimed, &mut row);
                prop_assert_eq!(&row, &own, "{:?} as {}", family, claim);
            }
        }
    }

    #[test]
    fn the_bundled_model_scores_any_finite_row(values in proptest::collection::vec(any::<f64>(), playproof_domain::features::v3::WIDTH)) {
        prop_assume!(values.iter().all(|v| v.is_finite()));
        let model = Model::bundled().unwrap();
        let assessed = model.assess(&values);
        prop_assert!(assessed.raw.is_finite() && assessed.calibrated.score.is_finite());
    }
}
