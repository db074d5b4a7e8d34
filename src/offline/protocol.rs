//! Protocols that say how far a recipe of training carries: train without something, judge by just that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::evaluation::{Ranked, Ranking, Scored, ranking};
use super::labels::Label;
use crate::adversary::{self, Clock, Family, Kind};
use crate::detector::embedded::Model;
use crate::detector::embedded::quantiles::quantile;
use crate::detector::embedded::train::{self, Example, Material, Recipe, Report, recorders};
use crate::domain::features::{Extractor, FeatureSet};
use crate::domain::heuristic;
use crate::domain::reason::Reason;
use crate::domain::result::{Decision, Thresholds, Verdict};
use crate::domain::session::Session;

/// What a file of sessions is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// People to fit on; some of them calibrate.
    Fit,
    /// People to calibrate on.
    Calibration,
    /// People and bots to judge by.
    Test,
}

/// A session with its truth and its role.
#[derive(Clone, Debug)]
pub struct Item {
    /// The session.
    pub session: Session,
    /// The truth.
    pub label: Label,
    /// What it is for.
    pub role: Role,
}

/// Fits and calibrates a model on the people of `items` whose source `wanted` accepts, and on `bots`.
///
/// # Errors
/// [`train::TrainError`] with the mend; an own model that does not load is a fault of the program.
pub fn fit(
    items: &[Item],
    bots: &[Session],
    hold_out: f64,
    recipe: &Recipe,
    wanted: impl Fn(&str) -> bool,
) -> anyhow::Result<(Model, Report)> {
    let people = |role: Role| -> Vec<Example> {
        let wanted = |item: &&Item| item.role == role && item.label.human && wanted(&item.label.source);
        items.iter().filter(wanted).map(example).collect()
    };
    let (fit, held_out) = train::split(people(Role::Fit), hold_out, recipe.seed);
    let calibration: Vec<Example> = people(Role::Calibration).into_iter().chain(held_out).collect();
    let material = Material { fit: &fit, calibration: &calibration, bots };
    let (contents, report) = train::train(&material, recipe, String::new(), &mut |_| ())?;
    Ok((Model::load(&contents.encode())?, report))
}

/// The verdict on a session as the service gives it, but for the heuristic's rules.
#[must_use]
pub fn verdict(
    model: &Model,
    session: &Session,
    thresholds: &Thresholds,
    (extractor, row): &mut (Extractor, Vec<f64>),
) -> Verdict {
    extractor.extract(model.feature_set(), session, row);
    model.verdict(row, heuristic::reservations(session), thresholds)
}

/// Splits a source's people in two: at most `wanted` sessions of one half, and all sessions of the other.
pub fn site<'a>(
    items: impl Iterator<Item = &'a Item>,
    wanted: usize,
    seed: u64,
) -> (Vec<Example>, Vec<(&'a Session, &'a Label)>) {
    let items: Vec<&Item> = items.collect();
    let examples = items.iter().map(|item| example(item)).collect();
    let (mut site, others) = train::split(examples, 0.5, seed);
    let others: BTreeSet<String> = others.into_iter().map(|example| example.session.id.to_string()).collect();
    // Spread over people, not the first of them only.
    let step = (site.len() / wanted.max(1)).max(1);
    site = site.into_iter().step_by(step).take(wanted).collect();
    let of_others = items.iter().filter(|item| others.contains(item.session.id.as_str()));
    (site, of_others.map(|item| (&item.session, &item.label)).collect())
}

/// `base` adapted to a site as `train --base` does it.
///
/// # Errors
/// [`train::TrainError`] with the mend; an own model that does not load is a fault of the program.
pub fn adapted(base: &Model, site: Vec<Example>, recipe: &Recipe) -> anyhow::Result<Model> {
    let share = train::site_share(site.len());
    let (fit, calibration) = train::split(site, share, recipe.seed);
    let material = Material { fit: &fit, calibration: &calibration, bots: &[] };
    let (contents, _) = train::adapt(base.contents(), &material, recipe, "", &mut |_| ())?;
    Ok(Model::load(&contents.encode())?)
}

fn example(item: &Item) -> Example {
    Example {
        session: item.session.clone(),
        user: Some(item.label.user.clone()).filter(|user| !user.is_empty()),
        source: item.label.source.clone(),
    }
}

/// What a verdict says of a session whose truth is known.
#[must_use]
pub fn scored(verdict: &Verdict, label: &Label) -> Scored {
    Scored {
        human: label.human,
        family: label.family.clone(),
        source: label.source.clone(),
        user: label.user.clone(),
        raw: verdict.raw_score.unwrap_or_default(),
        score: verdict.anomaly_score.unwrap_or_default(),
        decision: verdict.decision,
        abstained: verdict.reasons.contains(Reason::UnfamiliarRecorder),
    }
}

/// Scores sessions at the default thresholds.
#[must_use]
pub fn score(model: &Model, sessions: &[(&Session, &Label)]) -> Vec<Scored> {
    let one = |buffers: &mut (Extractor, Vec<f64>), (session, label): &(&Session, &Label)| {
        scored(&verdict(model, session, &Thresholds::default(), buffers), label)
    };
    sessions.par_iter().map_init(Default::default, one).collect()
}

/// One bot a session, of every family that a mouse's session can be made into by turns: bots for sources that have none.
#[must_use]
pub fn imitations(sessions: &[&Session], seed: u64) -> Vec<(Session, Label)> {
    let families: Vec<Family> = Family::ALL.into_iter().filter(|family| family.kind() == Kind::Reach).collect();
    made(sessions, &families, seed)
}

/// One bot a session, of `families` by turns.
#[must_use]
pub fn made(sessions: &[&Session], families: &[Family], seed: u64) -> Vec<(Session, Label)> {
    let one = |(i, session): (usize, &&Session)| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(i as u64);
        let clock = Clock::draw(&mut rng);
        let family = *families.get(i % families.len().max(1))?;
        let label = Label { family: family.name().to_owned(), ..Label::default() };
        adversary::imitate(session, family, clock, &mut rng).map(|bot| (bot, label))
    };
    sessions.par_iter().enumerate().filter_map(one).collect()
}

/// The session with every time stretched by `pace`.
#[must_use]
pub fn paced(session: &Session, pace: f64) -> Session {
    let mut changed = session.clone();
    changed.duration_ms *= pace;
    changed.movements.t.iter_mut().for_each(|t| *t *= pace);
    changed.clicks.iter_mut().for_each(|click| click.t *= pace);
    changed
}

/// Which of `folds` a person belongs to.
#[must_use]
pub fn fold(user: &str, seed: u64, folds: u64) -> u64 {
    let mut digest = Sha256::new();
    digest.update(seed.to_le_bytes());
    digest.update(user.as_bytes());
    let head: [u8; 32] = digest.finalize().into();
    u64::from(head[0]) % folds.max(1)
}

/// Which of a model's generator families resemble bots of a public family so much that they must not be trained on when
/// the model is judged by that family.
#[must_use]
pub fn near(family: &str) -> &'static [Family] {
    match family {
        "linear_const" | "linear_ease" | "linear_noise" | "mousesim" | "tween_pyautogui" => {
            &[Family::Straight, Family::MinimumJerk]
        }
        "bezier_gauss" | "ghost_cursor" | "oxymouse_bezier" | "pyclick" | "human_mouse" => {
            &[Family::Bezier, Family::Spline, Family::Polyline]
        }
        "windmouse_npm" | "windmouse_py" => &[Family::Wind],
        "teleport_click" => &[Family::Jumps],
        "replay_noise" => &[Family::Replay, Family::Morph, Family::Walk, Family::Keyframes],
        "seed_synthetic" => &[Family::Walk],
        _ => &[],
    }
}

/// A change to a session that leaves the movement what it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Events every so many ms.
    Resampled(f64),
    /// Elsewhere on the screen.
    Shifted,
    /// On a screen of another size.
    Scaled(f64),
    /// On whole pixels.
    Rounded,
    /// Times on the ticks of a coarse clock, in ms.
    Ticked(f64),
}

impl Change {
    /// Every change that decisions should survive.
    pub const ALL: [Self; 7] = [
        Self::Resampled(1000.0 / 60.0),
        Self::Resampled(8.0),
        Self::Resampled(1000.0 / 240.0),
        Self::Shifted,
        Self::Scaled(0.5),
        Self::Scaled(2.0),
        Self::Rounded,
    ];
    /// Every change whose effect on each feature is stated.
    pub const STATED: [Self; 8] = [
        Self::Resampled(1000.0 / 30.0),
        Self::Resampled(1000.0 / 60.0),
        Self::Resampled(8.0),
        Self::Resampled(1000.0 / 240.0),
        Self::Scaled(0.5),
        Self::Scaled(2.0),
        Self::Rounded,
        Self::Ticked(15.6),
    ];

    /// The changed session.
    #[must_use]
    pub fn apply(self, session: &Session) -> Session {
        let mut changed = match self {
            // No randomness is drawn on a constant clock.
            Self::Resampled(step) => {
                recorders::retime(session, Clock::Constant(step), &mut ChaCha8Rng::seed_from_u64(0))
            }
            _ => session.clone(),
        };
        let place = |(x, y): (f64, f64)| match self {
            Self::Resampled(_) | Self::Ticked(_) => (x, y),
            Self::Shifted => (x + 137.0, y - 59.0),
            Self::Scaled(by) => (by * x, by * y),
            Self::Rounded => (x.round(), y.round()),
        };
        let Session { movements, clicks, .. } = &mut changed;
        for (x, y) in movements.x.iter_mut().zip(&mut movements.y) {
            (*x, *y) = place((*x, *y));
        }
        for click in clicks {
            (click.x, click.y) = place((click.x, click.y));
        }
        if let Self::Ticked(tick) = self {
            movements.t.iter_mut().for_each(|t| *t = (*t / tick).floor() * tick);
        }
        changed
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resampled(step) => write!(f, "resampled to {:.0} Hz", 1000.0 / step),
            Self::Shifted => f.write_str("shifted"),
            Self::Scaled(by) => write!(f, "scaled by {by}"),
            Self::Rounded => f.write_str("rounded to whole pixels"),
            Self::Ticked(tick) => write!(f, "times on a tick of {tick} ms"),
        }
    }
}

/// How far one feature moves when the recording changes and the movement does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// The column.
    pub column: &'static str,
    /// Median over the sessions of the absolute difference, as a share of the distance between the quartiles of people, or
    /// of a quarter of that between the 1st and 99th percentiles where this is more; one value a change.
    pub by: Vec<f64>,
}

/// For each column of `set`, how far each of `changes` moves it.
#[must_use]
pub fn moved(set: FeatureSet, sessions: &[&Session], changes: &[Change]) -> Vec<Moved> {
    let rows = |change: Option<Change>| -> Vec<Vec<f64>> {
        let row = |extractor: &mut Extractor, session: &&Session| {
            let mut row = Vec::new();
            match change {
                None => extractor.extract(set, session, &mut row),
                Some(change) => extractor.extract(set, &change.apply(session), &mut row),
            }
            row
        };
        sessions.par_iter().map_init(Extractor::default, row).collect()
    };
    let before = rows(None);
    let after: Vec<Vec<Vec<f64>>> = changes.iter().map(|change| rows(Some(*change))).collect();
    let column = |(at, column): (usize, &&'static str)| {
        let mut own: Vec<f64> = before.iter().map(|row| row[at]).collect();
        own.sort_by(f64::total_cmp);
        let between = |low: f64, high: f64| quantile(&own, high) - quantile(&own, low);
        // Most people may have the very same value.
        let spread = between(0.25, 0.75).max(0.25 * between(0.01, 0.99)).max(f64::MIN_POSITIVE);
        let by = after.iter().map(|rows| {
            let mut moved: Vec<f64> = rows.iter().zip(&before).map(|(a, b)| (a[at] - b[at]).abs()).collect();
            moved.sort_by(f64::total_cmp);
            quantile(&moved, 0.5) / spread
        });
        Moved { column, by: by.collect() }
    };
    set.columns().iter().enumerate().map(column).collect()
}

/// For each change, the share of `sessions` that get another decision by it; and the share that do by any.
#[must_use]
pub fn flips(model: &Model, sessions: &[&Session]) -> (Vec<(Change, f64)>, f64) {
    let decisions = |change: Option<Change>| -> Vec<Decision> {
        let decide = |buffers: &mut (Extractor, Vec<f64>), session: &Session| {
            verdict(model, session, &Thresholds::default(), buffers).decision
        };
        sessions
            .par_iter()
            .map_init(Default::default, |buffers, session| match change {
                None => decide(buffers, session),
                Some(change) => decide(buffers, &change.apply(session)),
            })
            .collect()
    };
    let before = decisions(None);
    let mut any = vec![false; before.len()];
    let each = Change::ALL.map(|change| {
        let mut flipped = 0;
        for ((was, is), any) in before.iter().zip(decisions(Some(change))).zip(&mut any) {
            flipped += usize::from(*was != is);
            *any |= *was != is;
        }
        (change, share(flipped, before.len()))
    });
    (each.to_vec(), share(any.iter().filter(|any| **any).count(), any.len()))
}

/// `part` of `whole`; 0 of nothing.
#[must_use]
pub fn share(part: usize, whole: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "numbers of sessions")]
    let share = part as f64 / whole.max(1) as f64;
    share
}

/// Shares of pass, review and fail.
#[must_use]
pub fn decided<'a>(scored: impl IntoIterator<Item = &'a Scored>) -> [f64; 3] {
    let (mut counts, mut all) = ([0usize; 3], 0);
    for one in scored {
        counts[Decision::ALL.iter().position(|d| *d == one.decision).unwrap_or_default()] += 1;
        all += 1;
    }
    counts.map(|n| share(n, all))
}

/// The figures of all people against the bots that `bots` accepts; `None` without either.
#[must_use]
pub fn ranked(scored: &[Scored], bots: impl Fn(&Scored) -> bool) -> Option<Ranking> {
    let part: Vec<&Scored> = scored.iter().filter(|s| s.human || bots(s)).collect();
    let raws: Vec<(f64, bool, f64)> = part.iter().map(|s| (s.raw, s.human, 1.0)).collect();
    weighed(raws)
}

fn weighed(mut raws: Vec<(f64, bool, f64)>) -> Option<Ranking> {
    raws.sort_by(|a, b| b.0.total_cmp(&a.0));
    let ranked: Vec<Ranked> = raws.into_iter().map(|(raw, human, weight)| Ranked { raw, human, weight }).collect();
    ranking(&ranked)
}

/// By how much the TPR at 1 % of `after` exceeds that of `before`, on the same sessions in the same order, with the 95 %
/// interval of a paired bootstrap over people and bots.
#[must_use]
pub fn gain(before: &[Scored], after: &[Scored], seed: u64) -> Option<(f64, f64, f64)> {
    const DRAWS: u64 = 400;
    let mut units: BTreeMap<(bool, String), Vec<usize>> = BTreeMap::new();
    for (i, one) in before.iter().enumerate() {
        let name = if one.human && !one.user.is_empty() { one.user.clone() } else { format!("#{i}") };
        units.entry((one.human, name)).or_default().push(i);
    }
    let (people, bots): (Vec<_>, Vec<_>) = units.into_iter().partition(|((human, _), _)| *human);
    let difference = |weights: &[f64]| {
        let of = |scored: &[Scored]| {
            let raws = scored.iter().zip(weights).map(|(s, w)| (s.raw, s.human, *w)).collect();
            weighed(raws).map(|r| r.tpr_at_1_percent)
        };
        Some(of(after)? - of(before)?)
    };
    let value = difference(&vec![1.0; before.len()])?;
    let mut drawn: Vec<f64> = (0..DRAWS)
        .into_par_iter()
        .filter_map(|draw| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(draw);
            let mut weights = vec![0.0; before.len()];
            for side in [&people, &bots] {
                for _ in 0..side.len() {
                    side[rng.random_range(0..side.len())].1.iter().for_each(|i| weights[*i] += 1.0);
                }
            }
            difference(&weights)
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    let at = |q: usize| drawn.get(drawn.len() * q / 1000).copied();
    Some((value, at(25)?, at(975)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(human: bool, user: &str, raw: f64) -> Scored {
        let (user, family) = (user.to_owned(), String::new());
        Scored {
            human,
            family,
            source: String::new(),
            user,
            raw,
            score: 0.0,
            decision: Decision::Pass,
            abstained: false,
        }
    }

    #[test]
    fn a_better_ranking_of_the_same_sessions_is_a_gain_and_the_same_is_none() {
        let list = |shift: f64| -> Vec<Scored> {
            let human = |i: u32| scored(true, &format!("u{}", i % 20), f64::from(i) / 100.0);
            let bot = |i: u32| scored(false, "", f64::from(i) / 100.0 + shift);
            (0..200).map(human).chain((0..100).map(bot)).collect()
        };
        let (value, low, high) = gain(&list(1.2), &list(1.9), 1).unwrap();
        assert!(value > 0.5 && low > 0.3 && high >= value, "{value} {low} {high}");
        assert_eq!(gain(&list(1.2), &list(1.2), 1), Some((0.0, 0.0, 0.0)));
    }

    #[test]
    fn changes_keep_the_movement() {
        let mut session = Session::default();
        for i in 0..300 {
            let t = 16.0 * f64::from(i);
            session.movements.x.push((400.0 + 300.0 * (t / 700.0).sin()).round());
            session.movements.y.push((300.0 + 200.0 * (t / 900.0).cos()).round());
            session.movements.t.push(t);
        }
        for change in Change::ALL.into_iter().chain(Change::STATED) {
            let changed = change.apply(&session);
            let by = if let Change::Scaled(by) = change { by } else { 1.0 };
            let width = |s: &Session| {
                s.movements.x.iter().copied().fold(f64::MIN, f64::max)
                    - s.movements.x.iter().copied().fold(f64::MAX, f64::min)
            };
            assert!((width(&changed) - by * width(&session)).abs() < 3.0 + 0.05 * width(&session), "{change:?}");
            assert_ne!(changed.movements.x.first(), None);
        }
    }
}
