//! Training: what it accepts, what it learns, and that it is repeatable.

use rand::RngExt as _;

use super::*;
use crate::embedded::Model;
use playproof_domain::id::SessionId;
use playproof_domain::session::Movements;

/// Something like a hand: overlapping submovements with curved, skewed speed and signal-dependent noise.
fn hand(index: usize) -> Example {
    let mut rng = ChaCha8Rng::seed_from_u64(index as u64);
    let mut moves = Movements::default();
    let (mut x, mut y, mut t) = (300.0f64, 300.0f64, 0.0f64);
    while t < 5000.0 {
        let (tx, ty): (f64, f64) = (rng.random_range(0.0..900.0), rng.random_range(0.0..600.0));
        let steps = rng.random_range(20..45);
        let (sx, sy, bow) = (x, y, rng.random_range(-0.15..0.15));
        for i in 1..=steps {
            let u = (f64::from(i) / f64::from(steps)).powf(0.8);
            let s = u * u * (3.0 - 2.0 * u);
            let shake = rng.random_range(-1.0..1.0);
            x = sx + s * (tx - sx) - bow * (std::f64::consts::PI * s).sin() * (ty - sy) + shake;
            y = sy + s * (ty - sy) + bow * (std::f64::consts::PI * s).sin() * (tx - sx) + shake;
            t += 16.0;
            moves.x.push(x.round());
            moves.y.push(y.round());
            moves.t.push(t.round());
        }
        t += rng.random_range(0.0..300.0);
    }
    let id = SessionId::parse(&format!("s{index:04}")).unwrap();
    let session =
        Session { id, duration_ms: t, movements: moves, device_type: "mouse".to_owned(), ..Session::default() };
    Example { session, user: Some(format!("u{}", index % 40)), source: String::new() }
}

fn quick() -> Recipe {
    let boosting = boosting::Settings { trees: 20, depth: 3, ..Recipe::default().boosting };
    Recipe { recorders: 1, counterexamples: 1, boosting, ..Recipe::default() }
}

fn fit(recipe: &Recipe, examples: Vec<Example>) -> (Vec<u8>, Report) {
    let (fit, calibration) = split(examples, 0.3, recipe.seed);
    let (contents, report) =
        train(&Material { fit: &fit, calibration: &calibration, bots: &[] }, recipe, "test".to_owned(), &mut |_| ())
            .unwrap();
    (contents.encode(), report)
}

#[test]
fn the_same_sessions_and_seed_give_the_same_bytes_in_any_order_on_any_number_of_threads() {
    let examples: Vec<Example> = (0..400).map(hand).collect();
    let (first, report) = fit(&quick(), examples.clone());
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut turned = examples.clone();
    turned.reverse();
    assert!(one_thread.install(|| fit(&quick(), turned)).0 == first);
    assert!(fit(&Recipe { seed: 2, ..quick() }, examples).0 != first);
    assert_eq!(report.fitted + report.calibrated, 400);
    assert_eq!(report.fitted_people + report.calibrated_people, 40);

    // What it learned: a straight line at constant speed is odder than nearly every hand it has not seen.
    let model = Model::load(&first).unwrap();
    let score = |session: &Session| {
        let mut row = Vec::new();
        Extractor::default().extract(model.feature_set(), session, &mut row);
        model.assess(&row).raw
    };
    let mut line = hand(1).session;
    for (i, (x, y)) in line.movements.x.iter_mut().zip(&mut line.movements.y).enumerate() {
        let around = f64::from(u32::try_from(i % 60).unwrap());
        (*x, *y) = (10.0 * (around - 30.0).abs(), 5.0 * (around - 30.0).abs());
    }
    let odder = (1000..1100).filter(|i| score(&hand(*i).session) < score(&line)).count();
    assert!(odder >= 99, "{odder} of 100 hands are less odd than a machine's line");
}

#[test]
fn people_are_never_on_both_sides_of_a_split() {
    let (fit, held_out) = split((0..400).map(hand).collect(), 0.25, 9);
    let of = |examples: &[Example]| examples.iter().map(|e| e.user.clone()).collect::<BTreeSet<_>>();
    assert!(of(&fit).is_disjoint(&of(&held_out)));
    assert!((80..=120).contains(&held_out.len()), "{}", held_out.len());
}

#[test]
fn too_few_sessions_are_refused_with_the_number_needed() {
    let all: Vec<Example> = (0..400).map(hand).collect();
    let attempt = |fit: &[Example], calibration: &[Example]| {
        let material = Material { fit, calibration, bots: &[] };
        train(&material, &quick(), String::new(), &mut |_| ()).unwrap_err().to_string()
    };
    assert!(attempt(&all[..199], &all[200..]).contains("only 199 human sessions"));
    // The calibration people are all fitted on.
    assert!(attempt(&all[..300], &all[300..]).contains("only 0 human sessions"));
    let still = Example { session: Session::default(), user: None, source: String::new() };
    assert!(attempt(&vec![still; 500], &[]).contains("only 0 human sessions"));
}

#[test]
fn people_of_left_out_sources_calibrate_beside_those_kept_apart() {
    let examples: Vec<Example> = (0..900)
        .map(|i| Example { source: format!("place {}", i % 3), user: Some(format!("u{i}")), ..hand(i) })
        .collect();
    let (fit, calibration) = split(examples, 0.3, 1);
    let material = Material { fit: &fit, calibration: &calibration, bots: &[] };
    let of = |recipe: &Recipe| train(&material, recipe, String::new(), &mut |_| ()).unwrap();
    let (with, report) = of(&quick());
    let (without, plain) = of(&Recipe { foreign: false, ..quick() });
    assert_eq!((report.foreign, plain.foreign), (3, 0));
    assert_eq!(with.judge.classifier, without.judge.classifier);
    assert_eq!(with.judge.calibration.home(), without.judge.calibration.home());
    assert!(with.judge.calibration.foreign().iter().all(|source| source.raw.len() > 100));
}

#[test]
fn labelled_bots_are_learned_from() {
    let (fit, calibration) = split((0..400).map(hand).collect(), 0.3, 1);
    // Slow circles: nothing that counterexamples do.
    let circle = |i: usize| {
        let mut session = hand(i).session;
        let moves = &mut session.movements;
        for k in 0..moves.t.len() {
            let angle = moves.t[k] / 700.0 + f64::from(u32::try_from(i).unwrap());
            (moves.x[k], moves.y[k]) = (400.0 + 300.0 * angle.sin(), 300.0 + 200.0 * angle.cos());
        }
        session
    };
    let bots: Vec<Session> = (0..40).map(circle).collect();
    let raw = |bots: &[Session]| {
        let material = Material { fit: &fit, calibration: &calibration, bots };
        let (contents, report) = train(&material, &quick(), String::new(), &mut |_| ()).unwrap();
        assert_eq!(report.bots > 0, !bots.is_empty());
        let mut row = Vec::new();
        Extractor::default().extract(contents.set, &circle(77), &mut row);
        contents.judge.classifier.raw(&row)
    };
    assert!(raw(&bots) > raw(&[]) + 0.5);
}

/// The people of a site: like [`hand`], and slower.
fn site(index: usize) -> Example {
    let mut example = hand(1000 + index);
    example.session.movements.t.iter_mut().for_each(|t| *t *= 1.6);
    example.user = Some(format!("site{}", index % 60));
    example
}

#[test]
fn a_sites_own_people_set_its_cuts() {
    let (fit_on, calibration) = split((0..400).map(hand).collect(), 0.3, 1);
    let material = Material { fit: &fit_on, calibration: &calibration, bots: &[] };
    let (base, _) = train(&material, &quick(), String::new(), &mut |_| ()).unwrap();
    let adapted = |n: usize| {
        let (fit, calibration) = split((0..n).map(site).collect(), site_share(n), 1);
        let material = Material { fit: &fit, calibration: &calibration, bots: &[] };
        adapt(&base, &material, &quick(), "a site", &mut |_| ())
    };
    assert!(adapted(199).unwrap_err().to_string().contains("only 199"));
    let (few, report) = adapted(400).unwrap();
    assert_eq!((report.fitted, report.calibrated), (0, 400));
    assert_eq!(few.judge.classifier, base.judge.classifier, "too few to learn from");
    // Of people like those of the site, as many exceed a score as it promises.
    let mut row = Vec::new();
    let exceed = (5000..5400).filter(|i| {
        Extractor::default().extract(few.set, &site(*i).session, &mut row);
        few.judge.assess(&row).calibrated.score > 1.0
    });
    let exceed = exceed.count();
    assert!((12..=80).contains(&exceed), "{exceed} of 400");

    let (many, report) = adapted(800).unwrap();
    assert!(report.fitted >= MIN_FIT && report.calibrated >= 316, "{report:?}");
    assert!(many.judge.classifier.trees().trees() > base.judge.classifier.trees().trees());
    assert_eq!(many.encode(), adapted(800).unwrap().0.encode(), "repeatable");
    // What the base knew is still known.
    let judgement = |example: &Example| {
        let mut row = Vec::new();
        Extractor::default().extract(many.set, &example.session, &mut row);
        many.judge.assess(&row)
    };
    let known = |example: &&Example| judgement(example).known > 0.0;
    assert!(fit_on.iter().filter(known).count() * 100 > fit_on.len() * 90);
    assert!((0..100).map(site).filter(|example| known(&example)).count() > 80);
    let v1 = Recipe { set: FeatureSet::V1, ..quick() };
    assert!(adapt(&base, &material, &v1, "", &mut |_| ()).unwrap_err().to_string().contains("v3"));
}

/// Swipes of a finger, each from another place.
fn finger(index: usize) -> Example {
    let mut example = hand(2000 + index);
    let moves = &mut example.session.movements;
    for k in 0..moves.t.len() {
        let stroke = (k / 25) as f64;
        (moves.x[k], moves.t[k]) = (0.4 * moves.x[k] + 37.0 * stroke % 200.0, moves.t[k] + 180.0 * stroke);
    }
    example.session.duration_ms = moves.t.last().copied().unwrap_or(0.0);
    example.session.device_type = "touch".to_owned();
    example.user = Some(format!("finger{}", index % 60));
    example
}

#[test]
fn a_site_of_fingers_alone_has_its_own_cuts() {
    let (fit, calibration) = split((0..500).map(finger).collect(), 0.3, 1);
    let material = Material { fit: &fit, calibration: &calibration, bots: &[] };
    let (own, _) = train(&material, &quick(), String::new(), &mut |_| ()).unwrap();

    let (fit, calibration) = split((0..400).map(hand).collect(), 0.3, 1);
    let (base, _) =
        train(&Material { fit: &fit, calibration: &calibration, bots: &[] }, &quick(), String::new(), &mut |_| ())
            .unwrap();
    let site: Vec<Example> = (0..400).map(finger).collect();
    let material = Material { fit: &[], calibration: &site, bots: &[] };
    let (adapted, _) = adapt(&base, &material, &quick(), "", &mut |_| ()).unwrap();
    for contents in [own, adapted] {
        let model = Model::load(&contents.encode()).unwrap();
        let mut row = Vec::new();
        let above = (600..900).filter(|i| {
            let session = finger(*i).session;
            Extractor::default().extract(model.feature_set(), &session, &mut row);
            model.assess(&row).calibrated.score > 1.0
        });
        let above = above.count();
        assert!(above < 75, "{above} of 300 fingers are reviewed");
    }
}
