//! Other recorders: the same session as another browser, screen, clock or connection would have recorded it.
//!
//! What a session looks like depends on its recorder as much as on its person. A model fitted on a few recorders would
//! take theirs for human nature; fitted on many imagined ones as well it has less to hold on to.

use rand::{Rng, RngExt};

use crate::domain::session::{Movements, Session};

/// The same session through a recorder drawn at random. Times, places and clicks keep belonging together.
#[must_use]
pub fn re_record(session: &Session, rng: &mut impl Rng) -> Session {
    let least_gap = match rng.random_range(0..8) {
        0..3 => 0.0,
        3 => 15.0,
        4 => 25.0,
        5 => 33.0,
        6 => 50.0,
        _ => rng.random_range(5.0..70.0),
    };
    let lost = if rng.random_bool(0.4) { rng.random_range(0.0..0.3) } else { 0.0 };
    let tick = if rng.random_bool(0.35) { [15.625, 10.0, 16.67][rng.random_range(0..3)] } else { 1.0 };
    let late = if rng.random_bool(0.4) { rng.random_range(0.5..6.0) } else { 0.0 };
    // Slower and faster people, too.
    let pace = rng.random_range(-0.4..0.4f64).exp();
    let zoom = rng.random_range(-0.8..0.8f64).exp();
    let whole = rng.random_bool(0.8);
    let place = |v: f64| if whole { (v * zoom).round() } else { v * zoom };

    let moves = &session.movements;
    let mut order: Vec<usize> = (0..moves.len()).collect();
    order.sort_by(|a, b| moves.t[*a].total_cmp(&moves.t[*b]));
    let mut out = Movements::default();
    let mut last_kept = f64::NEG_INFINITY;
    let mut last_time = f64::NEG_INFINITY;
    for i in order {
        let (t, x, y) = (pace * moves.t[i], place(moves.x[i]), place(moves.y[i]));
        let still = out.x.last() == Some(&x) && out.y.last() == Some(&y);
        if t - last_kept < least_gap || still || rng.random_bool(lost) {
            continue;
        }
        last_kept = t;
        let delayed = t + if late > 0.0 { -late * (1.0 - rng.random::<f64>()).ln() } else { 0.0 };
        last_time = ((delayed / tick).floor() * tick).max(last_time);
        out.x.push(x);
        out.y.push(y);
        out.t.push(last_time);
    }
    if out.len() < 30 {
        return session.clone();
    }
    let mut changed = Session { movements: out, duration_ms: pace * session.duration_ms, ..session.clone() };
    for click in &mut changed.clicks {
        (click.x, click.y, click.t) = (place(click.x), place(click.y), pace * click.t);
    }
    changed
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn a_re_recorded_session_keeps_its_order_and_rough_path() {
        let n = 400;
        let t: Vec<f64> = (0..n).map(|i| f64::from(i) * 16.0).collect();
        let movements = Movements { x: t.iter().map(|t| t / 4.0).collect(), y: vec![5.0; t.len()], t, trusted: vec![] };
        let session = Session { movements, ..Session::default() };
        for seed in 0..50 {
            let again = re_record(&session, &mut ChaCha8Rng::seed_from_u64(seed)).movements;
            assert!(again.t.is_sorted() && again.x.is_sorted() && again.len() >= 30);
        }
    }
}
