//! Every family keeps its promises, whatever the person.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::replay::{self, Replay};
use super::*;
use playproof_domain::refusal::RefusalKind;
use playproof_domain::session::{Bounds, Click, Movements};

/// Reaches between corners with a rest at each.
fn person() -> Session {
    let mut movements = Movements::default();
    let (mut t, mut at) = (0.0, (100.0, 100.0));
    let mut clicks = Vec::new();
    for (x, y) in [(600.0, 150.0), (550.0, 500.0), (120.0, 420.0), (300.0, 90.0), (640.0, 460.0)] {
        for k in 1..=40 {
            let u = f64::from(k) / 40.0;
            let s = u * u * (3.0 - 2.0 * u);
            t += 16.0;
            movements.x.push((at.0 + s * (x - at.0) + 9.0 * (5.0 * u).sin()).round());
            movements.y.push((at.1 + s * (y - at.1) + 7.0 * (4.0 * u).sin()).round());
            movements.t.push(t);
        }
        at = (x, y);
        clicks.push(Click { x, y, t: t + 60.0, target_hit: true });
        t += 400.0;
    }
    Session { movements, clicks, duration_ms: t, ..Session::default() }
}

fn made(family: Family, clock: Clock, seed: u64) -> Session {
    imitate(&person(), family, clock, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap()
}

#[test]
fn every_family_plays_the_persons_round_in_its_time_and_moves_in_its_own_way() {
    let human = person();
    let mut seen = Vec::new();
    for family in Family::ALL.into_iter().filter(|f| f.kind() == Kind::Reach) {
        for (seed, clock) in [(1, Clock::Own), (2, Clock::Constant(8.0)), (3, Clock::Jitter(16.7, 2.0))] {
            let bot = made(family, clock, seed);
            let moves = &bot.movements;
            assert!(moves.t.is_sorted() && moves.x.iter().chain(&moves.y).all(|v| v.is_finite()), "{family:?}");
            assert!(moves.t[moves.len() - 1] <= human.movements.t[199] + 1.0, "{family:?}");
            assert_eq!(bot.clicks, human.clicks);
            // It comes by every stop: clicks lie where the person's do.
            for click in &human.clicks {
                let last = moves.t.partition_point(|t| *t <= click.t) - 1;
                let away = (moves.x[last] - click.x).hypot(moves.y[last] - click.y);
                assert!(away < 60.0, "{family:?} at {click:?}: {away}");
            }
            if clock == Clock::Own {
                assert_ne!(bot.movements, human.movements, "{family:?}");
                seen.push(bot.movements);
            }
        }
        assert_eq!(made(family, Clock::Own, 7), made(family, Clock::Own, 7), "the seed decides");
        assert_eq!(Family::parse(family.name()), Some(family));
    }
    seen.dedup();
    assert_eq!(seen.len(), 12);
}

#[test]
fn too_little_movement_is_not_imitated() {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    assert_eq!(imitate(&Session::default(), Family::Straight, Clock::Own, rng), None);
}

const CLOCKS: [Clock; 3] = [Clock::Own, Clock::Constant(8.0), Clock::Jitter(16.7, 2.0)];

/// People whose recordings are as odd as they may be.
fn odd_people() -> Vec<Session> {
    let of = |n: u32, place: fn(f64) -> (f64, f64, f64)| {
        let mut session = Session { device_type: "touch".to_owned(), ..Session::default() };
        for k in 0..n {
            let (x, y, t) = place(f64::from(k));
            session.movements.x.push(x);
            session.movements.y.push(y);
            session.movements.t.push(t);
        }
        for k in [0, n / 2] {
            let (x, y, t) = place(f64::from(k));
            session.clicks.push(Click { x, y, t, target_hit: k == 0 });
        }
        session
    };
    vec![
        Session::default(),
        of(1, |_| (5.0, 5.0, 5.0)),
        of(5, |k| (10.0 * k, 7.0 * k, 20.0 * k)),
        of(60, |k| (3.0 * k, 200.0 - k, 1000.0)),
        of(60, |k| (k % 2.0, 0.0, 16.0 * k)),
        of(60, |_| (300.0, 200.0, 0.0)),
        of(80, |k| (1e7 * (0.3 * k).sin(), -1e7 * (0.2 * k).cos(), 16.0 * k)),
        of(60, |k| (2.0 * k, k, 1e15 - 16.0 * k)),
        of(60, |k| (2.0 * k, k, if k < 30.0 { -1e15 } else { 1e15 })),
    ]
}

/// The session as a client sends it.
fn sent(session: &Session) -> String {
    let moves = &session.movements;
    let place = |k: usize| format!(r#"{{"x":{},"y":{},"timestamp":{}}}"#, moves.x[k], moves.y[k], moves.t[k]);
    let movements: Vec<String> = (0..moves.len()).map(place).collect();
    let click = |Click { x, y, t, target_hit }: &Click| {
        format!(r#"{{"x":{x},"y":{y},"timestamp":{t},"targetHit":{target_hit}}}"#)
    };
    let clicks: Vec<String> = session.clicks.iter().map(click).collect();
    let Session { device_type, duration_ms, hits, misses, .. } = session;
    let (movements, clicks) = (movements.join(","), clicks.join(","));
    format!(
        r#"{{"sessionId":"bot-1","deviceType":"{device_type}","durationMs":{duration_ms},"hits":{hits},"misses":{misses},
        "movements":[{movements}],"clicks":[{clicks}]}}"#
    )
}

fn assert_within_bounds(bot: &Session, family: Family) {
    let moves = &bot.movements;
    assert!((10..=5000).contains(&moves.len()), "{family:?} has {}", moves.len());
    assert!(moves.y.len() == moves.len() && moves.t.len() == moves.len(), "{family:?}");
    assert!(moves.x.iter().chain(&moves.y).all(|v| v.abs() <= 1e7), "{family:?}");
    assert!(moves.t.is_sorted(), "{family:?}");
    if family.kind() != Kind::Reach {
        assert!((0.0..1e4).contains(&moves.t[0]), "{family:?} starts at {}", moves.t[0]);
    }
    match Session::parse(sent(bot).as_bytes(), &Bounds::default()) {
        Ok(parsed) => assert_eq!(parsed.movements, bot.movements, "{family:?}"),
        // A pace of 30 times a person's makes steps that can't be milliseconds.
        Err(refusal) => assert_eq!(refusal.kind, RefusalKind::TimestampUnit, "{family:?}: {refusal:?}"),
    }
}

#[test]
fn every_family_moves_within_bounds_in_its_own_way_and_the_seed_decides() {
    let mouse = person();
    let mut seen = Vec::new();
    for family in Family::ALL {
        let human = if family.kind() == Kind::Touch {
            Session { device_type: "touch".to_owned(), ..mouse.clone() }
        } else {
            mouse.clone()
        };
        let mut made = 0;
        for seed in 0..30 {
            for clock in CLOCKS {
                let play = || imitate(&human, family, clock, &mut ChaCha8Rng::seed_from_u64(seed));
                let Some(bot) = play() else { continue };
                assert_within_bounds(&bot, family);
                made += 1;
                if seed == 7 && clock == Clock::Own {
                    assert_eq!(play().as_ref(), Some(&bot), "{family:?}");
                    assert!(!seen.contains(&bot.movements), "{family:?}");
                    seen.push(bot.movements);
                }
            }
        }
        assert!(made >= 80, "{family:?} was made only {made} times of 90");
    }
}

#[test]
fn odd_people_are_imitated_within_bounds_or_not_at_all() {
    for (which, human) in odd_people().iter().enumerate() {
        for family in Family::ALL {
            for seed in 0..30 {
                for clock in CLOCKS {
                    if let Some(bot) = imitate(human, family, clock, &mut ChaCha8Rng::seed_from_u64(seed)) {
                        assert_within_bounds(&bot, family);
                        assert!(bot.duration_ms.abs() <= 1e15, "{family:?} after {which}");
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_small_session_is_imitated_within_bounds(
        points in proptest::collection::vec((-2e3..2e3f64, -2e3..2e3f64, 0.0..90.0f64), 1..90),
        clicks in proptest::collection::vec(0.0..5e3f64, 0..6),
        touch: bool,
        family in 0..Family::ALL.len(),
        seed: u64,
    ) {
        let device_type = if touch { "touch" } else { "mouse" }.to_owned();
        let mut human = Session { device_type, ..Session::default() };
        let mut now = 0.0;
        for (x, y, dt) in points {
            now += dt;
            human.movements.x.push(x);
            human.movements.y.push(y);
            human.movements.t.push(now);
        }
        human.clicks = clicks.into_iter().map(|t| Click { x: 1.0, y: 2.0, t, target_hit: true }).collect();
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let clock = Clock::draw(rng);
        if let Some(bot) = imitate(&human, Family::ALL[family], clock, rng) {
            assert_within_bounds(&bot, Family::ALL[family]);
        }
    }
}

#[test]
fn every_replay_goes_forward_in_time_and_is_made_again_by_the_same_seed() {
    let sessions: Vec<Session> = (0..4)
        .map(|n| {
            let mut session = person();
            session.movements.x.iter_mut().for_each(|x| *x += f64::from(n) * 0.1 * *x);
            session
        })
        .collect();
    assert!(sessions.iter().all(replay::has_five_reaches));
    let bot = |rng: &mut ChaCha8Rng| imitate(&person(), Family::Straight, Clock::Own, rng).unwrap();
    for replay in Replay::ALL {
        for place in 0..sessions.len() {
            let make = || replay.apply(&sessions, place, bot, &mut ChaCha8Rng::seed_from_u64(place as u64));
            let (session, sources) = make();
            assert_eq!((&session, &sources), (&make().0, &make().1), "{}", replay.name());
            assert_eq!(sources[0], place, "{}", replay.name());
            let moves = &session.movements;
            assert!(moves.t.is_sorted() && moves.len() > 50, "{}: {}", replay.name(), moves.len());
            assert!(moves.x.iter().chain(&moves.y).all(|v| v.is_finite()), "{}", replay.name());
            assert_eq!(session == sessions[place], replay == Replay::AsItWas, "{}", replay.name());
        }
    }
}
