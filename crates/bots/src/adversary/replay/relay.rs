//! What an attacker with a library of recordings does to lay them out anew: mirror, stretch, re-time, join, and lay single
//! reaches onto other targets.

use rand::{Rng, RngExt as _};

use super::place;
use playproof_domain::session::{Click, Movements, Session};

/// Cuts that are closer together, ms, are one.
const MIN_PIECE_MS: f64 = 300.0;
/// At rest for so long, ms, or slower than a sixth of the mean speed, is a stop.
const STOP_MS: f64 = 100.0;

/// Left and right, or top and bottom.
pub(super) fn mirror(moves: &mut Movements, rng: &mut impl Rng) {
    if rng.random_bool(0.5) {
        place(moves, |x, y| (-x, y));
    } else {
        place(moves, |x, y| (x, -y));
    }
}

/// By 0.7 to 1.4 in one direction.
pub(super) fn stretch(moves: &mut Movements, rng: &mut impl Rng) {
    let by = rng.random_range(0.7..1.4);
    if rng.random_bool(0.5) {
        place(moves, |x, y| (by * x, y));
    } else {
        place(moves, |x, y| (x, by * y));
    }
}

/// Pieces of 0.3 to 1.5 s at paces of their own.
pub(super) fn retime(moves: &mut Movements, clicks: &mut [Click], rng: &mut impl Rng) {
    let Some(first) = moves.t.first().copied() else { return };
    let old = moves.t.clone();
    let (mut now, mut last, mut until, mut pace) = (0.0, first, first, 1.0);
    for t in &mut moves.t {
        if *t >= until {
            until = *t + rng.random_range(300.0..1500.0);
            pace = rng.random_range(0.85..1.18);
        }
        now += (*t - last) * pace;
        last = *t;
        *t = now;
    }
    for click in clicks {
        let next = old.partition_point(|t| *t < click.t).clamp(1, old.len().max(2) - 1);
        let gap = old[next] - old[next - 1];
        let share = if gap > 0.0 { ((click.t - old[next - 1]) / gap).clamp(0.0, 1.0) } else { 0.0 };
        click.t = moves.t[next - 1] + share * (moves.t[next] - moves.t[next - 1]);
    }
}

/// The session between two shares of its time.
pub(super) fn part(session: &Session, from: f64, to: f64) -> Session {
    let (first, last) = ends(&session.movements);
    let within = first + from * (last - first)..=first + to * (last - first);
    let m = &session.movements;
    let kept: Vec<usize> = (0..m.len()).filter(|i| within.contains(&m.t[*i])).collect();
    let pick = |column: &[f64]| kept.iter().map(|i| column[*i]).collect();
    let movements = Movements { x: pick(&m.x), y: pick(&m.y), t: pick(&m.t), trusted: Vec::new() };
    let clicks = session.clicks.iter().filter(|click| within.contains(&click.t)).copied().collect();
    Session { movements, clicks, ..session.clone() }
}

/// Sessions one after the other, each going on from where the last one ended.
pub(super) fn join(parts: &[Session]) -> Session {
    let mut out = Session { movements: Movements::default(), clicks: Vec::new(), ..parts[0].clone() };
    for part in parts.iter().filter(|part| !part.movements.t.is_empty()) {
        let m = &part.movements;
        let to = &mut out.movements;
        let (x, y, t) = match to.t.last() {
            Some(last) => (to.x[to.len() - 1] - m.x[0], to.y[to.len() - 1] - m.y[0], last + 16.0 - m.t[0]),
            None => (0.0, 0.0, -m.t[0]),
        };
        to.x.extend(m.x.iter().map(|v| v + x));
        to.y.extend(m.y.iter().map(|v| v + y));
        to.t.extend(m.t.iter().map(|v| v + t));
        out.clicks.extend(part.clicks.iter().map(|click| Click {
            x: click.x + x,
            y: click.y + y,
            t: click.t + t,
            ..*click
        }));
    }
    out
}

/// Two fifths of a session between movement that `bot` makes.
pub(super) fn inside<R: Rng>(session: &Session, mut bot: impl FnMut(&mut R) -> Session, rng: &mut R) -> Session {
    let begin = rng.random_range(0.0..0.6);
    let own = part(session, begin, begin + 0.4);
    let (first, last) = ends(&own.movements);
    let before = rng.random_range(0.2..0.8);
    let mut around = |share: f64| {
        let bot = bot(rng);
        let (from, to) = ends(&bot.movements);
        part(&bot, 0.0, (1.5 * share * (last - first) / (to - from).max(1.0)).min(1.0))
    };
    let (ahead, behind) = (around(before), around(1.0 - before));
    join(&[ahead, own, behind])
}

/// The pieces of a session between its clicks, or its stops where it has few clicks; each begins where the last one ends.
pub(super) fn pieces(session: &Session) -> Vec<Session> {
    let m = &session.movements;
    let mut cuts: Vec<f64> = session.clicks.iter().map(|click| click.t).collect();
    cuts.sort_by(f64::total_cmp);
    cuts.dedup_by(|later, earlier| *later - *earlier < MIN_PIECE_MS);
    if cuts.len() < 4 {
        cuts = stops(m);
    }
    let mut ends: Vec<usize> = cuts.iter().map(|cut| m.t.partition_point(|t| t <= cut)).collect();
    ends.push(m.len());
    let mut pieces = Vec::new();
    let mut from = 0usize;
    for end in ends {
        if end >= from + 3 {
            let range = from.saturating_sub(1)..end;
            let (begin, last) = (m.t[range.start], m.t[end - 1]);
            let movements = Movements {
                x: m.x[range.clone()].to_vec(),
                y: m.y[range.clone()].to_vec(),
                t: m.t[range].to_vec(),
                trusted: Vec::new(),
            };
            let clicks = session.clicks.iter().filter(|c| c.t > begin && c.t <= last).copied().collect();
            pieces.push(Session { movements, clicks, ..session.clone() });
            from = end;
        }
    }
    pieces
}

/// Each piece turned, and scaled by 0.75 to 1.3, from where the last one ended.
pub(super) fn lay(pieces: &[Session], rng: &mut impl Rng) -> Session {
    let Some(first) = pieces.first() else { return Session::default() };
    let mut out = Session { movements: Movements::default(), clicks: Vec::new(), ..first.clone() };
    let (mut x, mut y, mut t) = (300.0, 300.0, 0.0);
    for piece in pieces {
        let (sin, cos) = rng.random_range(0.0..std::f64::consts::TAU).sin_cos();
        let by = rng.random_range(0.75..1.3);
        let m = &piece.movements;
        let skip = usize::from(!out.movements.t.is_empty());
        out.clicks.extend(piece.clicks.iter().map(|click| Click { t: click.t - m.t[0] + t, ..*click }));
        for i in skip..m.len() {
            let (dx, dy) = (by * (m.x[i] - m.x[0]), by * (m.y[i] - m.y[0]));
            out.movements.x.push(x + cos * dx - sin * dy);
            out.movements.y.push(y + sin * dx + cos * dy);
            out.movements.t.push(t + m.t[i] - m.t[0]);
        }
        let last = out.movements.len().saturating_sub(1);
        (x, y, t) = (out.movements.x[last], out.movements.y[last], out.movements.t[last]);
    }
    out
}

/// The middles of pauses, and of moments slower than a sixth of the mean.
fn stops(m: &Movements) -> Vec<f64> {
    let (first, last) = ends(m);
    let way: f64 = (1..m.len()).map(|i| (m.x[i] - m.x[i - 1]).hypot(m.y[i] - m.y[i - 1])).sum();
    let slow = way / (last - first).max(1.0) / 6.0;
    let mut cuts: Vec<f64> = Vec::new();
    for i in 1..m.len() {
        let (gap, step) = (m.t[i] - m.t[i - 1], (m.x[i] - m.x[i - 1]).hypot(m.y[i] - m.y[i - 1]));
        let middle = 0.5 * (m.t[i] + m.t[i - 1]);
        let is_stop = gap >= STOP_MS || (gap >= 8.0 && step / gap < slow);
        if is_stop && cuts.last().is_none_or(|cut| middle - cut >= MIN_PIECE_MS) {
            cuts.push(middle);
        }
    }
    cuts
}

fn ends(m: &Movements) -> (f64, f64) {
    (m.t.first().copied().unwrap_or(0.0), m.t.last().copied().unwrap_or(0.0))
}
