//! The reaches of a movement: its parts between near-stops, between clicks, and each two in a row.

use super::anchors::Anchors;
use super::path::Path;
use super::rarity::Target;
use super::shape::{self, Kind, PAIR_POINTS, POINTS, Packed};

/// Shortest and longest reach, steps.
const LENGTH: (f64, f64) = (8.0, 400.0);
/// Smallest extent of a reach, px.
const MIN_EXTENT: f64 = 20.0;
/// A way that leaves the straight line by less than this share of its length is as good as straight: everybody draws it,
/// machines above all.
const MIN_BOW: f64 = 0.015;
/// Steps left out beside a click: who lays reaches onto other targets breaks the way there.
const BESIDE_CLICK: f64 = 4.0;
/// Clicks that are closer together, steps, are one.
const MIN_BETWEEN_CLICKS: f64 = 8.0;

/// One reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reach {
    pub(super) kind: Kind,
    /// Whether its shape was mirrored to bow to one side.
    pub(super) mirrored: bool,
    /// Where it begins, steps.
    pub(super) begin: f64,
    /// Where it ends.
    pub(super) end: f64,
    pub(super) shape: Packed,
    pub(super) target: Target,
}

/// Finds the reaches of a path that say anything at all, at most `count`: those that say most, in order of time.
pub(super) fn find(path: &Path, anchors: &Anchors, clicks: &[f64], count: usize) -> Vec<Reach> {
    let mut reaches = Vec::new();
    for ends in anchors.slow.windows(2) {
        reaches.extend(single(path, Kind::Stop, ends[0], ends[1]));
    }
    for ends in anchors.slow.windows(3) {
        reaches.extend(pair(path, ends[0], ends[1], ends[2]));
    }
    let mut clicks = clicks.to_vec();
    clicks.sort_by(f64::total_cmp);
    clicks.dedup_by(|later, earlier| *later - *earlier < MIN_BETWEEN_CLICKS);
    for ends in clicks.windows(2) {
        reaches.extend(single(path, Kind::Click, ends[0] + BESIDE_CLICK, ends[1] - BESIDE_CLICK));
    }
    keep(&mut reaches, count);
    reaches
}

/// Keeps the `count` reaches whose copies would exceed chance most, in order of time.
fn keep(reaches: &mut Vec<Reach>, count: usize) {
    let worth = |reach: &Reach| reach.target.best() * reach.kind.weight();
    reaches.retain(|reach| worth(reach) >= 0.0);
    reaches.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
    reaches.truncate(count);
    reaches.sort_by(|a, b| a.begin.total_cmp(&b.begin).then(a.end.total_cmp(&b.end)));
}

/// The `count` of them that say most, in order of time.
pub(super) fn chosen(reaches: &[Reach], count: usize) -> Vec<Reach> {
    let mut chosen = reaches.to_vec();
    keep(&mut chosen, count);
    chosen
}

fn fits(begin: f64, end: f64) -> bool {
    (LENGTH.0..=LENGTH.1).contains(&(end - begin))
}

fn single(path: &Path, kind: Kind, begin: f64, end: f64) -> Option<Reach> {
    let mut points = [(0.0, 0.0); POINTS];
    if !fits(begin, end) {
        return None;
    }
    along(path, begin, end, &mut points);
    if !is_large(&points) || is_straight(&points) {
        return None;
    }
    let (shape, mirrored) = shape::of_reach(&points)?;
    Some(reach(kind, mirrored, begin, end, &shape))
}

fn pair(path: &Path, begin: f64, middle: f64, end: f64) -> Option<Reach> {
    if !fits(begin, middle) || !fits(middle, end) {
        return None;
    }
    let mut points = [(0.0, 0.0); 2 * PAIR_POINTS - 1];
    along(path, begin, middle, &mut points[..PAIR_POINTS]);
    along(path, middle, end, &mut points[PAIR_POINTS - 1..]);
    if !is_large(&points) {
        return None;
    }
    // Two straight ways differ by an affine map and their timing alone.
    if is_straight(&points[..PAIR_POINTS]) && is_straight(&points[PAIR_POINTS - 1..]) {
        return corner(path, begin, end);
    }
    let (shape, mirrored) = shape::of_pair(&points)?;
    Some(reach(Kind::Pair, mirrored, begin, end, &shape))
}

/// Two straight ways in a row as one shape, freed of a similarity alone. It is no evidence, but a movement that has several
/// in common with another one is laid over it.
fn corner(path: &Path, begin: f64, end: f64) -> Option<Reach> {
    let mut points = [(0.0, 0.0); POINTS];
    along(path, begin, end, &mut points);
    let (shape, mirrored) = shape::of_reach(&points)?;
    let reach = reach(Kind::Stop, mirrored, begin, end, &shape);
    Some(Reach { target: reach.target.without_excess(), ..reach })
}

/// Everything is computed from the packed shape, so that a kept reach and one that was just seen are worth the same.
fn reach(kind: Kind, mirrored: bool, begin: f64, end: f64, shape: &shape::Shape) -> Reach {
    let shape = shape::pack(kind, shape);
    let target = Target::new(kind, &shape::unpack(kind, &shape));
    Reach { kind, mirrored, begin, end, shape, target }
}

fn is_straight(points: &[(f64, f64)]) -> bool {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return true };
    let (dx, dy) = (last.0 - first.0, last.1 - first.1);
    let length = (dx * dx + dy * dy).sqrt();
    let off = points.iter().map(|p| (dx * (p.1 - first.1) - dy * (p.0 - first.0)).abs()).fold(0.0, f64::max);
    // There and back again is not straight.
    let squared = |p: &(f64, f64)| (p.0 - first.0) * (p.0 - first.0) + (p.1 - first.1) * (p.1 - first.1);
    let back = points.iter().map(squared).fold(0.0, f64::max).sqrt();
    off < MIN_BOW * length * length && back <= 1.2 * length
}

fn is_large(points: &[(f64, f64)]) -> bool {
    let extent = |of: fn(&(f64, f64)) -> f64| {
        let (low, high) = points.iter().map(of).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        high - low
    };
    extent(|p| p.0).max(extent(|p| p.1)) >= MIN_EXTENT
}

/// Points at equal shares of the way from `begin` to `end`, where half of the share is of the time and half of the
/// length: what re-timing and what stretching change, each by half.
pub(super) fn along(path: &Path, begin: f64, end: f64, points: &mut [(f64, f64)]) {
    let from = path.travelled_at(begin);
    let length = path.travelled_at(end) - from;
    let (of_time, of_length) = (0.5 / (end - begin), if length > 0.0 { 0.5 / length } else { 0.0 });
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let spacing = 1.0 / (points.len() - 1) as f64;
    let last = points.len() - 1;
    let (mut next, mut wanted) = (1, spacing);
    let (mut before, mut done) = (path.at(begin), 0.0);
    points[0] = before;
    // The path bends at whole steps alone.
    let bends = path.whole_steps(begin, end).chain([(end, path.at(end), path.travelled_at(end))]);
    for (at, here, travelled) in bends {
        let reached = of_time * (at - begin) + of_length * (travelled - from);
        while next < last && wanted <= reached {
            let share = if reached > done { (wanted - done) / (reached - done) } else { 1.0 };
            points[next] = (before.0 + share * (here.0 - before.0), before.1 + share * (here.1 - before.1));
            next += 1;
            #[expect(clippy::cast_precision_loss, reason = "a small constant")]
            let share = next as f64 * spacing;
            wanted = share;
        }
        (before, done) = (here, reached);
    }
    points[next..].fill(before);
}
