//! What the bundled model decides on movements that no person makes, as the service judges them.

use playproof_batch::detector::embedded::Model;
use playproof_batch::domain::result::{Decision, Thresholds};
use playproof_batch::domain::session::{Movements, Session};
use playproof_batch::generator;
use playproof_batch::offline::protocol;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// What the service decides on a session of movements alone.
fn decided(model: &Model, movements: Movements) -> Decision {
    let duration_ms = movements.t.last().copied().unwrap_or(0.0);
    let session = Session { duration_ms, movements, ..Session::default() };
    protocol::verdict(model, &session, &Thresholds::default(), &mut Default::default()).decision
}

#[test]
fn random_positions_and_wandering_ones_never_pass() {
    let model = Model::bundled().unwrap();
    // Eight seconds each.
    for (step, n) in [(16.0, 500), (33.0, 242), (50.0, 160), (100.0, 80u32)] {
        for seed in 0..10 {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let mut made = |next: &mut dyn FnMut(&mut ChaCha8Rng, u32) -> (f64, f64)| {
                let mut movements = Movements::default();
                for i in 0..n {
                    let (x, y) = next(rng, i);
                    movements.x.push(x);
                    movements.y.push(y);
                    movements.t.push(step * f64::from(i));
                }
                decided(&model, movements)
            };
            let (mut x, mut y) = (600.0f64, 400.0f64);
            let decisions = [
                made(&mut |rng, _| (rng.random_range(0.0..1200.0), rng.random_range(0.0..800.0))),
                made(&mut |rng, _| (500.0 + rng.random_range(0.0..200.0), 300.0 + rng.random_range(0.0..200.0))),
                made(&mut |_, i| if i % 2 == 0 { (200.0, 300.0) } else { (900.0, 500.0) }),
                made(&mut |rng, _| {
                    x = (x + rng.random_range(-30.0..30.0)).clamp(0.0, 1200.0);
                    y = (y + rng.random_range(-30.0..30.0)).clamp(0.0, 800.0);
                    (x, y)
                }),
            ];
            assert!(!decisions.contains(&Decision::Pass), "step {step}, seed {seed}: {decisions:?}");
        }
    }
}

#[test]
fn no_slower_pace_makes_a_bot_pass() {
    let model = Model::bundled().unwrap();
    let mut passing = Vec::new();
    for pace in [1.0, 3.0, 10.0, 30.0, 100.0] {
        for family in generator::Family::ALL {
            for seed in 0..40 {
                let mut moves = generator::generate(family, seed, generator::Shape::default()).movements;
                moves.t.iter_mut().for_each(|t| *t *= pace);
                if decided(&model, moves) == Decision::Pass {
                    passing.push((family, seed, pace));
                }
            }
        }
    }
    assert!(passing.is_empty(), "{passing:?}");
}
