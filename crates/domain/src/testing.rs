//! Sessions for tests, of this crate and of those above it (feature `testing`). Not part of the product.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test ends at the first surprise")]

use crate::session::{Movements, Session};

/// A wandering movement of its own for every seed: targets from a linear congruence, reached along a bent way.
#[must_use]
pub fn wandering(seed: u64, targets: usize) -> Session {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |range: f64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1u32 << 31) * range
    };
    let mut moves = Movements::default();
    let (mut from, mut now) = ((draw(1000.0), draw(700.0)), 0.0);
    for _ in 0..targets {
        let to = (draw(1000.0), draw(700.0));
        let (bend, steps) = (draw(0.6) - 0.3, 20.0 + draw(30.0).floor());
        let mut step = 0.0;
        while step < steps {
            let s: f64 = step / steps;
            // Minimum jerk (Flash and Hogan, 1985), bent to one side.
            let s = s * s * s * (10.0 - 15.0 * s + 6.0 * s * s);
            let side = bend * 4.0 * s * (1.0 - s);
            moves.x.push(from.0 + s * (to.0 - from.0) - side * (to.1 - from.1));
            moves.y.push(from.1 + s * (to.1 - from.1) + side * (to.0 - from.0));
            moves.t.push(now);
            now += 16.0;
            step += 1.0;
        }
        now += draw(200.0);
        from = to;
    }
    Session { movements: moves, ..Session::default() }
}

/// The recording of a client whose clock is set back by `back` before each of its movements `at`.
#[must_use]
pub fn set_back(session: &Session, at: &[usize], back: f64) -> Session {
    let mut stepped = session.clone();
    for at in at {
        let since = session.movements.t[*at];
        stepped.movements.t[*at..].iter_mut().for_each(|t| *t -= back);
        let clicks = stepped.clicks.iter_mut().zip(&session.clicks);
        clicks.filter(|(_, sent)| sent.t >= since).for_each(|(click, _)| click.t -= back);
    }
    stepped
}
