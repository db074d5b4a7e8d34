//! Bot generators: families of synthetic sessions for the demo, for load and for tests.
//!
//! Each family moves a pointer from target to target in its own way (`path.rs`); the round of targets, pauses and
//! clicks is the same for all. Everything follows from the family, the seed and the shape. None of it imitates a
//! particular person, and nothing here is fitted to recordings.

mod path;

use std::io::Write as _;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use playproof_domain::id::SessionId;
use playproof_domain::session::{Click, Movements, Session};

/// How a bot moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// A straight line at constant speed: what a script does that interpolates.
    StraightLine,
    /// A straight line with a slow start and end and Gaussian jitter on positions and times.
    EasedJitter,
    /// A cubic Bézier curve with random control points, as many automation packages draw.
    Bezier,
    /// `WindMouse`: gravity towards the target and a random wind.
    WindMouse,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 4] = [Self::StraightLine, Self::EasedJitter, Self::Bezier, Self::WindMouse];

    /// The name used in identifiers and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StraightLine => "straight_line",
            Self::EasedJitter => "eased_jitter",
            Self::Bezier => "bezier",
            Self::WindMouse => "windmouse",
        }
    }
}

/// How much a bot does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Exactly so many movements; without it, as many as fit 6 to 12 seconds.
    pub movements: Option<usize>,
}

/// The playing field, px.
const FIELD: (f64, f64) = (1280.0, 720.0);
/// Sampling intervals of common browsers and bots, ms.
const INTERVALS: [f64; 3] = [8.0, 10.0, 16.7];

/// A session of `family`; the same arguments give the same session.
#[must_use]
pub fn generate(family: Family, seed: u64, shape: Shape) -> Session {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Families with one seed must not share their targets.
    rng.set_stream(family as u64);
    let interval = INTERVALS[rng.random_range(0..INTERVALS.len())];
    let lasting = rng.random_range(6000.0..12_000.0);
    let mut moves = Movements::default();
    let mut clicks = Vec::new();
    let (mut hits, mut misses) = (0, 0);
    let mut at = (rng.random_range(0.0..FIELD.0).round(), rng.random_range(0.0..FIELD.1).round());
    let mut now = 0.0;
    push(&mut moves, at, now);
    let enough = |moves: &Movements, now: f64| match shape.movements {
        Some(count) => moves.len() >= count,
        None => now >= lasting,
    };
    while !enough(&moves, now) {
        let target = next_target(at, &mut rng);
        for step in path::path(family, at, target, interval, &mut rng) {
            now += step.after;
            let point = (step.x.round(), step.y.round());
            if point != at && !enough(&moves, now) {
                push(&mut moves, point, now);
                at = point;
            }
        }
        if enough(&moves, now) {
            break;
        }
        now += rng.random_range(20.0..120.0);
        let target_hit = rng.random_bool(0.9);
        clicks.push(Click { x: at.0, y: at.1, t: tenths(now), target_hit });
        if target_hit {
            hits += 1;
        } else {
            misses += 1;
        }
        now += rng.random_range(100.0..600.0);
    }
    let id = format!("bot-{}-{seed:016x}", family.name());
    Session {
        // The name and the digits are all within the rule for identifiers.
        id: SessionId::parse(&id).unwrap_or_default(),
        game_type: "bubble-pop".to_owned(),
        device_type: "mouse".to_owned(),
        duration_ms: tenths(now),
        movements: moves,
        clicks,
        hits,
        misses,
        use_batch: false,
        ..Session::default()
    }
}

fn push(moves: &mut Movements, (x, y): (f64, f64), t: f64) {
    moves.x.push(x);
    moves.y.push(y);
    moves.t.push(tenths(t));
}

/// Times as browsers give them: tenths of a millisecond.
fn tenths(ms: f64) -> f64 {
    (ms * 10.0).round() / 10.0
}

/// A target some way off, so that there is a movement to make.
fn next_target(at: (f64, f64), rng: &mut ChaCha8Rng) -> (f64, f64) {
    loop {
        let target = (rng.random_range(0.0..FIELD.0).round(), rng.random_range(0.0..FIELD.1).round());
        if (target.0 - at.0).hypot(target.1 - at.1) > 80.0 {
            return target;
        }
    }
}

/// The session as the body of a request, `useBatch` as told.
#[must_use]
pub fn to_json(session: &Session, use_batch: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + 48 * session.movements.len());
    // Writing to a Vec cannot fail.
    let _ = write_json(session, use_batch, &mut out);
    out
}

fn write_json(session: &Session, use_batch: bool, out: &mut Vec<u8>) -> std::io::Result<()> {
    write!(out, "{{\"sessionId\":\"{}\"", session.id)?;
    let deployment = (!session.deployment_id.is_empty()).then_some(&session.deployment_id);
    let texts = [("userId", session.user_id.as_ref()), ("deploymentId", deployment)];
    let texts =
        texts.into_iter().chain([("gameType", Some(&session.game_type)), ("deviceType", Some(&session.device_type))]);
    for (name, text) in texts {
        if let Some(text) = text {
            write!(out, ",\"{name}\":")?;
            serde_json::to_writer(&mut *out, text)?;
        }
    }
    write!(out, ",\"durationMs\":{},\"movements\":[", session.duration_ms)?;
    let moves = &session.movements;
    for i in 0..moves.len() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, "{comma}{{\"x\":{},\"y\":{},\"timestamp\":{}", moves.x[i], moves.y[i], moves.t[i])?;
        if let Some(Some(trusted)) = moves.trusted.get(i) {
            write!(out, ",\"isTrusted\":{trusted}")?;
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"clicks\":[");
    for (i, click) in session.clicks.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let Click { x, y, t, target_hit } = click;
        write!(out, "{comma}{{\"x\":{x},\"y\":{y},\"timestamp\":{t},\"targetHit\":{target_hit}}}")?;
    }
    write!(out, "],\"hits\":{},\"misses\":{},\"useBatch\":{use_batch}}}", session.hits, session.misses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use playproof_domain::features::Extractor;
    use playproof_domain::session::Bounds;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
        for family in Family::ALL {
            let json = |seed| to_json(&generate(family, seed, Shape::default()), true);
            assert_eq!(json(7), json(7));
            assert_ne!(json(7), json(8));
        }
    }

    #[test]
    fn a_session_survives_its_own_json() {
        for (seed, family) in (0..).zip(Family::ALL) {
            let mut session = generate(family, seed, Shape { movements: Some(449) });
            session.user_id = Some("a \"user\"\n".to_owned());
            session.deployment_id = "site".to_owned();
            session.use_batch = true;
            assert_eq!(session.movements.len(), 449);
            assert_eq!(Session::parse(&to_json(&session, true), &Bounds::default()).unwrap(), session);
        }
    }

    #[test]
    fn sessions_look_like_play_time_runs_forward_within_the_field_and_targets_are_clicked() {
        for family in Family::ALL {
            for seed in 0..20 {
                let session = generate(family, seed, Shape::default());
                assert!((6000.0..15_000.0).contains(&session.duration_ms), "{}", session.duration_ms);
                assert!(session.movements.t.windows(2).all(|t| t[0] < t[1]), "{family:?} {seed}");
                assert!(session.movements.x.iter().all(|x| (-200.0..FIELD.0 + 200.0).contains(x)));
                assert!(session.clicks.len() >= 3);
                assert!(session.movements.len() >= 100, "{family:?} {seed}: {}", session.movements.len());
            }
        }
    }

    #[test]
    fn families_differ_in_how_straight_they_move() {
        // turns of more than 30 degrees in a session, averaged over seeds
        let turns = |family| {
            let of = |seed| {
                Extractor::default().v1(&generate(family, seed, Shape { movements: Some(400) })).num_direction_changes
            };
            (0..10).map(of).sum::<f64>() / 10.0
        };
        assert!(turns(Family::StraightLine) < turns(Family::EasedJitter));
        assert!(turns(Family::Bezier) < turns(Family::EasedJitter));
    }
}
