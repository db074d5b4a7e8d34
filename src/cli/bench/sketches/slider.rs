//! Short drags, such as a slider asks for: they say too little to be known again.

use rand::{Rng, RngExt as _};

use crate::domain::session::{Movements, Session};

/// A short session with one drag to the right, as a slider asks for: minimum jerk (Flash and Hogan, 1985), a correction
/// at the end, a little bow and tremor.
pub(super) fn slider(rng: &mut impl Rng) -> Session {
    let (length, lasting): (f64, f64) = (rng.random_range(200.0..320.0), rng.random_range(500.0..1500.0));
    let (over, bow) = (rng.random_range(-0.06..0.06), rng.random_range(-12.0..12.0));
    let step = [1000.0 / 60.0, 8.0, 1000.0 / 144.0][rng.random_range(0..3)];
    let eased = |s: f64| s * s * s * (10.0 - 15.0 * s + 6.0 * s * s);
    let mut moves = Movements::default();
    let (mut now, end) = (0.0f64, 1.4 * lasting);
    while now <= end {
        let main = eased((now / lasting).min(1.0));
        let mend = eased(((now - lasting) / (0.4 * lasting)).clamp(0.0, 1.0));
        moves.x.push((length * ((1.0 + over) * main - over * mend) + rng.random_range(-0.7..0.7)).round());
        moves.y.push((bow * 4.0 * main * (1.0 - main) + rng.random_range(-0.7..0.7)).round());
        moves.t.push(now);
        now += step;
    }
    Session { movements: moves, ..Session::default() }
}
