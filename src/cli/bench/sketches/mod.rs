//! `bench sketches`: how many replays are found among many sketches, and how many sessions match that are no replays.

mod changes;
mod kept;

use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use self::changes::Change;
use self::kept::Kept;
use crate::domain::session::Session;
use crate::domain::sketch::{Index, Likeness, Movement, SAME, SURELY_SAME, Sketch};
use crate::generator::{self, Family, Shape};
use crate::offline::labels::Labels;
use crate::offline::load;

/// Sessions whose closest others give the tail from which rates are extrapolated.
const TAIL: usize = 100;
/// The index for which rates are stated.
const STATED: f64 = 1e6;

/// Measure how many replays of sessions are found among many sketches, and how many sessions match by chance
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Sessions, one JSON object a line: plain, gzip or zstd
    #[arg(long, required = true, num_args = 1.., value_name = "INPUT")]
    sessions: Vec<PathBuf>,
    /// Labels; of labelled sessions only those of people are taken
    #[arg(long, num_args = 1.., value_name = "CSV")]
    labels: Vec<PathBuf>,
    /// Generated sessions whose sketches lie beside theirs
    #[arg(long, default_value_t = 0, value_name = "N")]
    background: u64,
    /// Also look every session up among all others, and short slider-like sessions among all
    #[arg(long)]
    pairs: bool,
    /// Slider-like sessions of `--pairs`
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    sliders: u64,
    /// Replay each so-many-th session
    #[arg(long, default_value = "4", value_name = "N")]
    every: NonZeroU64,
    /// Also put all sketches into a store on disk, in a folder here, and look the replays up there
    #[arg(long)]
    store: bool,
    /// The seed of changes and background
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let labels = Labels::open(&args.labels)?;
    let person = |session: &Session| labels.get(session.id.as_str()).is_none_or(|label| label.human);
    let load = |(): &mut (), session: Session| person(&session).then_some(session);
    let sessions = load::each(&args.sessions, || (), load, |refused| eprintln!("{refused}"), |_| {})?;
    anyhow::ensure!(!sessions.is_empty(), "the files hold no session of a person; name files that do");
    let mut index = Kept::new(args.store)?;
    // Half of the generated ones before and half after them, so that theirs are neither the oldest nor the latest.
    let half = args.background / 2;
    let mut kept = background(args, 0..half, &mut index)?;
    let sketched: Vec<Option<Sketch>> = sessions.par_iter().map(sketch).collect();
    let mut ids = Vec::with_capacity(sessions.len());
    for sketch in sketched {
        ids.push(sketch.map(|sketch| index.insert(sketch)).transpose()?);
    }
    kept += background(args, half..args.background, &mut index)?;
    let known = ids.iter().flatten().count();
    crate::cli::say(&format!(
        "{known} of {} sessions have a sketch of {} bytes, beside {kept} of {} generated ones",
        sessions.len(),
        Sketch::BYTES,
        args.background
    ))?;
    crate::cli::say(&replays(args, &sessions, &ids, &index.memory)?)?;
    if args.store {
        crate::cli::say(&index.look_up(args, &sessions, &ids)?)?;
    }
    let index = index.memory;
    if args.pairs {
        crate::cli::say(&pairs(&sessions, &ids, &index))?;
        let matched = (0..args.sliders).into_par_iter().filter(|seed| {
            let slider = changes::slider(&mut ChaCha8Rng::seed_from_u64(args.seed.wrapping_add(*seed)));
            Movement::of(&slider).is_some()
        });
        let matched = matched.count();
        crate::cli::say(&format!(
            "{matched} of {} slider-like sessions have a sketch; the rest match nothing",
            args.sliders
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn sketch(session: &Session) -> Option<Sketch> {
    Movement::of(session).map(|movement| movement.sketch())
}

/// Fills the index with generated sessions; how many of them have a sketch.
fn background(args: &Args, numbers: Range<u64>, index: &mut Kept) -> anyhow::Result<u64> {
    const BLOCK: u64 = 20_000;
    let mut kept = 0;
    for from in numbers.clone().step_by(20_000) {
        let numbers = from..(from + BLOCK).min(numbers.end);
        let made: Vec<_> = numbers
            .into_par_iter()
            .filter_map(|n| {
                #[expect(clippy::cast_possible_truncation, reason = "a remainder")]
                let family = Family::ALL[(n % Family::ALL.len() as u64) as usize];
                sketch(&generator::generate(family, args.seed.wrapping_add(n), Shape::default()))
            })
            .collect();
        for sketch in made {
            index.insert(sketch)?;
            kept += 1;
        }
    }
    Ok(kept)
}

/// A table of the replays found, one row a change, and how long the look-ups took.
fn replays(args: &Args, sessions: &[Session], ids: &[Option<i64>], index: &Index) -> anyhow::Result<String> {
    let every = usize::try_from(args.every.get()).context("--every is too large")?;
    let people = people(ids);
    let mut table = String::from("change             found   surely    p50 ms   p99 ms   wrong\n");
    for change in Change::ALL {
        let looked: Vec<(bool, bool, usize, Duration)> = (0..sessions.len())
            .into_par_iter()
            .step_by(every)
            .map(|i| {
                let mut rng = ChaCha8Rng::seed_from_u64(args.seed.wrapping_add(i as u64));
                let replay = change.apply(&sessions[i], &mut rng);
                let started = Instant::now();
                let found = Movement::of(&replay).map(|movement| index.find(&movement)).unwrap_or_default();
                let took = started.elapsed();
                let own = found.iter().find(|(id, _)| Some(*id) == ids[i]).map(|(_, like)| like.left);
                let wrong = found.iter().filter(|(id, like)| !people.contains(id) && like.left <= SAME).count();
                (own.is_some_and(|left| left <= SAME), own.is_some_and(|left| left <= SURELY_SAME), wrong, took)
            })
            .collect();
        let share = |count: usize| 100.0 * number(count) / number(looked.len());
        let found = share(looked.iter().filter(|l| l.0).count());
        let surely = share(looked.iter().filter(|l| l.1).count());
        let mut times: Vec<f64> = looked.iter().map(|l| l.3.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        let wrong: usize = looked.iter().map(|l| l.2).sum();
        writeln!(table, "{:<16} {found:>6.1} % {surely:>6.1} % {p50:>8.2} {p99:>8.2} {wrong:>7}", change.name())?;
    }
    Ok(table)
}

/// What matches among the sessions themselves, and the rate of chance matches beyond what can be counted.
fn pairs(sessions: &[Session], ids: &[Option<i64>], index: &Index) -> String {
    let known = people(ids);
    let first = known.start;
    let places: Vec<usize> = (0..ids.len()).filter(|i| ids[*i].is_some()).collect();
    let found: Vec<(usize, Vec<(i64, Likeness)>)> = places
        .par_iter()
        .map(|i| {
            let found = Movement::of(&sessions[*i]).map(|movement| index.find(&movement)).unwrap_or_default();
            (*i, found.into_iter().filter(|(id, _)| Some(*id) != ids[*i]).collect())
        })
        .collect();
    let name = |id: i64| usize::try_from(id - first).ok().and_then(|n| places.get(n)).map(|i| sessions[*i].id.as_str());
    let (mut text, mut matching, mut generated) = (String::new(), 0, 0);
    let mut closest = Vec::new();
    for (i, found) in &found {
        generated += usize::from(found.iter().any(|(id, like)| !known.contains(id) && like.left <= SAME));
        let people = || found.iter().filter(|(id, _)| known.contains(id));
        let matched: Vec<_> = people().filter(|(_, like)| like.left <= SAME).collect();
        matching += usize::from(!matched.is_empty());
        for (id, like) in matched {
            let other = name(*id).unwrap_or_default();
            let _ = writeln!(
                text,
                "  {} {other} left {:.4} scale {:.3} pace {:.3}",
                sessions[*i].id, like.left, like.scale, like.pace
            );
        }
        closest.extend(people().map(|(_, like)| like.left).find(|left| *left > SAME));
    }
    closest.sort_by(f64::total_cmp);
    let (n, others) = (found.len(), found.len().saturating_sub(1));
    let mut out = format!(
        "{} pairs: {matching} of {n} sessions match another of them, {generated} a generated one\n{text}",
        n * others / 2
    );
    if closest.len() > TAIL {
        // Hill (1975): the distances of the closest others as a power law, fitted to the TAIL smallest.
        let edge = closest[TAIL];
        let index = number(TAIL) / closest[..TAIL].iter().map(|left| (edge / left).ln()).sum::<f64>();
        let rate = |left: f64| number(TAIL) / number(n) * (left / edge).powf(index) * STATED / number(others);
        let _ = writeln!(
            out,
            "closest of the rest {:.4}; extrapolated among {STATED:e} of people (power law {index:.1} on the {TAIL} \
             closest): {:.1e} matches a session at {SAME}, {:.1e} at {SURELY_SAME}",
            closest[0],
            rate(SAME),
            rate(SURELY_SAME)
        );
    }
    out
}

/// The numbers in the index that are people's.
fn people(ids: &[Option<i64>]) -> Range<i64> {
    let mut known = ids.iter().flatten();
    let first = known.next().copied().unwrap_or(0);
    first..known.next_back().copied().unwrap_or(first) + 1
}

fn number(count: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts for printed rates")]
    let count = count as f64;
    count
}
