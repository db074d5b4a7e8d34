//! Which stretches of a path moved a score: each is taken out in turn, the rest joined without a jump, and judged again.
//! ("Occlusion" as in Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014, section 4.2.)

use super::session::Session;

/// Fewest movements of a stretch.
const MIN_SAMPLES: usize = 40;
/// Most stretches.
const MAX_STRETCHES: usize = 12;

/// A stretch of a path: movements `from..to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first movement of it.
    pub from: usize,
    /// The first one after it.
    pub to: usize,
}

/// The stretches of a session of so many movements, of equal length; none where there are too few for two.
#[must_use]
pub fn stretches(movements: usize) -> Vec<Stretch> {
    let count = (movements / MIN_SAMPLES).min(MAX_STRETCHES);
    if count < 2 {
        return Vec::new();
    }
    (0..count).map(|n| Stretch { from: movements * n / count, to: movements * (n + 1) / count }).collect()
}

/// The session without a stretch: what came after it goes on where and when the stretch began.
#[must_use]
pub fn without(session: &Session, stretch: Stretch) -> Session {
    let mut rest = session.clone();
    let Stretch { from, to } = stretch;
    let at = |place: usize| {
        let m = &session.movements;
        m.x.get(place).zip(m.y.get(place)).zip(m.t.get(place)).map(|((x, y), t)| (*x, *y, *t))
    };
    let Some(began) = at(from) else { return rest };
    // Nothing comes after the last stretch.
    let ended = at(to).unwrap_or((began.0, began.1, f64::INFINITY));
    let shift =
        if ended.2.is_finite() { (ended.0 - began.0, ended.1 - began.1, ended.2 - began.2) } else { (0.0, 0.0, 0.0) };
    let to = to.min(session.movements.len());
    for (values, by) in
        [(&mut rest.movements.x, shift.0), (&mut rest.movements.y, shift.1), (&mut rest.movements.t, shift.2)]
    {
        values.drain(from..to);
        values[from..].iter_mut().for_each(|value| *value -= by);
    }
    if !rest.movements.trusted.is_empty() {
        rest.movements.trusted.drain(from..to);
    }
    rest.clicks.retain(|click| click.t < began.2 || click.t >= ended.2);
    for click in rest.clicks.iter_mut().filter(|click| click.t >= ended.2) {
        (click.x, click.y, click.t) = (click.x - shift.0, click.y - shift.1, click.t - shift.2);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Bounds;

    fn session(count: usize) -> Session {
        let movements: Vec<String> =
            (0..count).map(|i| format!(r#"{{"x":{},"y":{},"timestamp":{}}}"#, 2 * i, i, 16 * i)).collect();
        let clicks =
            r#"[{"x":1,"y":1,"timestamp":16,"targetHit":true},{"x":9,"y":9,"timestamp":3200,"targetHit":true}]"#;
        let text = format!(r#"{{"sessionId":"a","movements":[{}],"clicks":{clicks}}}"#, movements.join(","));
        let mut session = Session::default();
        session.parse_into(text.as_bytes(), &Bounds::default()).unwrap();
        session
    }

    #[test]
    fn stretches_cover_the_path_once() {
        assert!(stretches(79).is_empty());
        for count in [80, 200, 2_000] {
            let all = stretches(count);
            assert!(all.len() >= 2 && all[0].from == 0 && all.last().unwrap().to == count);
            assert!(all.windows(2).all(|pair| pair[0].to == pair[1].from));
        }
    }

    #[test]
    fn the_rest_is_joined_without_a_jump() {
        let whole = session(240);
        for stretch in stretches(240) {
            let rest = without(&whole, stretch);
            assert_eq!(rest.movements.len(), 240 - (stretch.to - stretch.from));
            // Of a straight and steady path any rest is one too.
            assert!(rest.movements.x.windows(2).all(|pair| pair[1] - pair[0] == 2.0));
            assert!(rest.movements.t.windows(2).all(|pair| pair[1] - pair[0] == 16.0));
        }
        let first = without(&whole, Stretch { from: 0, to: 120 });
        assert_eq!(first.clicks.len(), 1, "the click within is gone");
        assert_eq!(first.clicks[0].t, 3200.0 - 120.0 * 16.0);
    }
}
