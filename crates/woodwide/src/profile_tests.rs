//! How an answer about other rows is noticed, for each nature of a model.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::*;

const PEOPLE: usize = 200;

/// What a model that looks at one row at a time answers: people below 1, the outlier at 9, sessions like people.
fn alone(slot: Slot) -> f64 {
    match slot {
        Slot::Known(place) => (place as f64 * 0.618_034).fract(),
        Slot::Session(place) => (place as f64 * 0.414_214).fract(),
        Slot::Outlier => 9.0,
    }
}

fn answer(layout: &Layout, score: impl Fn(Slot) -> f64) -> Scores {
    let scores: Vec<f64> = layout.slots.iter().map(|slot| score(*slot)).collect();
    Scores { flags: scores.iter().map(|score| *score > 0.98).collect(), scores: Some(scores) }
}

fn flags(layout: &Layout) -> Scores {
    Scores { scores: None, ..answer(layout, alone) }
}

fn learn(answer: impl Fn(&Layout) -> Scores) -> Result<Profile, IntegrityError> {
    let (first, second) = (people_alone(PEOPLE), in_company(FEW_ROWS));
    let nature = nature((&first, &answer(&first)), (&second, &answer(&second)))?;
    Ok(Profile { version: "v".into(), reference: "r".into(), nature, top_up: 0, as_dataset: false, warm_up_ms: 0 })
}

/// A model that ranks rows within the call.
fn ranked(layout: &Layout) -> Scores {
    let all: Vec<f64> = layout.slots.iter().map(|slot| alone(*slot)).collect();
    let scores = all.iter().map(|v| all.iter().filter(|other| *other < v).count() as f64 / all.len() as f64).collect();
    Scores { flags: vec![false; all.len()], scores: Some(scores) }
}

#[test]
fn the_first_two_calls_tell_what_the_answers_are_like() {
    assert!(matches!(learn(|l| answer(l, alone)).unwrap().nature, ScoringMode::ContextFree { outlier: 9.0, .. }));
    assert!(matches!(learn(ranked).unwrap().nature, ScoringMode::InContext { .. }));
    assert!(matches!(learn(flags).unwrap().nature, ScoringMode::FlagsOnly { .. }));
}

#[test]
fn scores_of_any_size_are_told_apart() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for (size, offset) in [(1e-8, 0.0), (1e-8, 1e-3), (1e12, 0.0), (1.0, -1e6)] {
        let sized = |slot| offset + size * alone(slot);
        let profile = learn(|l| answer(l, sized)).unwrap();
        assert!(matches!(profile.nature, ScoringMode::ContextFree { .. }), "{size}");
        for _ in 0..500 {
            let layout = profile.layout(20, 10, &mut rng);
            let honest = answer(&layout, sized);
            assert!(profile.check(&layout, &honest).is_ok(), "{size}");
            let mut shifted = honest;
            shifted.scores.as_mut().unwrap().rotate_right(1);
            assert_eq!(profile.check(&layout, &shifted), Err(IntegrityError::OtherScore), "{size}");
        }
    }
}

/// By up to `noise` of itself, otherwise in tables of another size.
fn noisy(layout: &Layout, noise: f64) -> Scores {
    let block = (layout.slots.len() / 64) as f64;
    answer(layout, |slot| alone(slot) * (1.0 + noise * (1e3 * (alone(slot) + block)).sin()))
}

#[test]
fn the_noise_of_arithmetic_is_no_company_and_no_other_score() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for noise in [1e-7, 1e-5, 3e-4] {
        let profile = learn(|l| noisy(l, noise)).unwrap();
        assert!(matches!(profile.nature, ScoringMode::ContextFree { .. }), "{noise}");
        for sessions in [1, 50, 300, 2000] {
            let layout = profile.layout(sessions, 10, &mut rng);
            assert!(profile.check(&layout, &noisy(&layout, noise)).is_ok(), "{noise} {sessions}");
            let wrong = answer(&layout, |slot| alone(slot) * 1.05);
            assert_eq!(profile.check(&layout, &wrong), Err(IntegrityError::OtherScore), "{noise} {sessions}");
        }
    }
    assert!(matches!(learn(|l| noisy(l, 0.05)).unwrap().nature, ScoringMode::InContext { .. }));
}

#[test]
fn a_model_that_scores_people_alike_is_not_used() {
    let alike = |slot| if slot == Slot::Outlier { 9.0 } else { 0.25 };
    assert_eq!(learn(|l| answer(l, alike)), Err(IntegrityError::Alike));
}

#[test]
fn flags_that_depend_on_the_company_are_believed_in_any_company() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for share in [0.02, 0.1] {
        // The oddest of the call are flagged; a session may be odder than the outlier, or as ordinary as people.
        let flag = |layout: &Layout, odd: usize| {
            let value = |slot: &Slot| match slot {
                Slot::Session(place) if place % 3 < odd => 9.0,
                slot => alone(*slot),
            };
            let all: Vec<f64> = layout.slots.iter().map(value).collect();
            let above = |v: f64| all.iter().filter(|other| **other > v).count() as f64 / all.len() as f64;
            Scores { flags: all.iter().map(|v| above(*v) < share).collect(), scores: None }
        };
        let profile = learn(|l| flag(l, 0)).unwrap();
        for round in 0..2000 {
            let layout = profile.layout([1, 10, 50, 300][round % 4], 10, &mut rng);
            assert!(profile.check(&layout, &flag(&layout, round % 3)).is_ok(), "{share} {round}");
        }
    }
}

#[test]
fn a_model_that_takes_a_planted_outlier_for_a_person_is_not_used() {
    let blind = |slot| if slot == Slot::Outlier { 0.3 } else { alone(slot) };
    assert_eq!(learn(|l| answer(l, blind)), Err(IntegrityError::Useless));
    let none = |l: &Layout| Scores { flags: vec![false; l.slots.len()], scores: None };
    assert_eq!(learn(none), Err(IntegrityError::Useless));
    let all = |l: &Layout| Scores { flags: vec![true; l.slots.len()], scores: None };
    assert_eq!(learn(all), Err(IntegrityError::Useless));
}

#[test]
fn honest_answers_are_believed() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for model in [&|l: &Layout| answer(l, alone) as Scores, &ranked as &dyn Fn(&Layout) -> Scores, &flags] {
        let profile = learn(model).unwrap();
        for sessions in [1, 10, 50] {
            let layout = profile.layout(sessions, 10, &mut rng);
            assert!(profile.check(&layout, &model(&layout)).is_ok(), "{}", profile.kind());
            assert!(layout.slots.len() >= 10);
        }
    }
}

#[test]
fn scores_shifted_or_shuffled_under_right_ids_are_accepted_less_than_once_in_a_thousand_times() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut accepted = [0; 4];
    for model in [&|l: &Layout| answer(l, alone) as Scores, &ranked as &dyn Fn(&Layout) -> Scores] {
        let profile = learn(model).unwrap();
        for round in 0..2000 {
            let sessions = [10, 50][round % 2];
            let layout = profile.layout(sessions, 10, &mut rng);
            let honest = model(&layout);
            let mut shifted = honest.clone();
            shifted.scores.as_mut().unwrap().rotate_right(1);
            let mut shuffled = honest.clone();
            shuffled.scores.as_mut().unwrap().shuffle(&mut rng);
            let place = if matches!(profile.nature, ScoringMode::ContextFree { .. }) { 0 } else { 2 };
            accepted[place] += u32::from(profile.check(&layout, &shifted).is_ok());
            accepted[place + 1] += u32::from(profile.check(&layout, &shuffled).is_ok());
        }
    }
    assert!(accepted.iter().all(|count| *count <= 2), "{accepted:?} of 2000 each");
}

#[test]
fn a_model_that_changed_is_noticed() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let profile = learn(|l| answer(l, alone)).unwrap();
    let layout = profile.layout(20, 10, &mut rng);
    let drifted = answer(&layout, |slot| alone(slot) * 1.001);
    assert_eq!(profile.check(&layout, &drifted), Err(IntegrityError::OtherScore));
    assert_eq!(profile.check(&layout, &flags(&layout)), Err(IntegrityError::OtherForm));
    let flagging = learn(flags).unwrap();
    let all = Scores { flags: vec![true; layout.slots.len()], scores: None };
    assert_eq!(flagging.check(&layout, &all), Err(IntegrityError::OtherFlag));
}

#[test]
fn flags_under_the_wrong_rows_and_flags_cut_short_are_noticed() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let profile = learn(flags).unwrap();
    let mut accepted = [0; 3];
    for _ in 0..2000 {
        let layout = profile.layout(50, 10, &mut rng);
        // A third of the sessions is flagged.
        let third = |slot| matches!(slot, Slot::Session(place) if place % 3 == 0);
        let mut honest = flags(&layout);
        honest.flags.iter_mut().zip(&layout.slots).for_each(|(flag, slot)| *flag |= third(*slot));
        assert!(profile.check(&layout, &honest).is_ok());
        let mut wrong = [honest.clone(), honest.clone(), honest];
        wrong[0].flags.rotate_right(1);
        wrong[1].flags.shuffle(&mut rng);
        *wrong[2].flags.last_mut().unwrap() = false;
        for (count, wrong) in accepted.iter_mut().zip(wrong) {
            *count += u32::from(profile.check(&layout, &wrong).is_ok());
        }
    }
    assert_eq!(accepted, [0; 3], "of 2000 each");
}

#[test]
fn a_negative_score_is_believed_only_of_a_model_that_gives_people_some() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (shift, believed) in [(0.0, Err(IntegrityError::Negative)), (-0.5, Ok(()))] {
        let profile = learn(|l| answer(l, |slot| alone(slot) + shift)).unwrap();
        let layout = profile.layout(20, 10, &mut rng);
        let odd = answer(&layout, |slot| if slot == Slot::Session(7) { -1.0 } else { alone(slot) + shift });
        assert_eq!(profile.check(&layout, &odd).map(|_| ()), believed);
    }
}

#[test]
fn a_model_that_was_taken_to_rank_within_the_call_and_does_not_is_noticed() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let (first, second) = (people_alone(PEOPLE), in_company(FEW_ROWS));
    // One of the two first answers was not about the rows sent.
    let odd = answer(&second, |slot| if slot == Slot::Known(3) { 0.5 } else { alone(slot) });
    let nature = nature((&first, &answer(&first, alone)), (&second, &odd)).unwrap();
    let misjudged = Profile { nature, ..learn(ranked).unwrap() };
    let layout = misjudged.layout(20, 10, &mut rng);
    assert!(misjudged.is_misjudged(&layout, &answer(&layout, alone)));
    let profile = learn(ranked).unwrap();
    let layout = profile.layout(20, 10, &mut rng);
    assert!(!profile.is_misjudged(&layout, &ranked(&layout)));
}
