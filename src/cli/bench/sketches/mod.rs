//! `bench sketches`: how many replays are found among many sketches, and how many sessions match that are no replays.

mod kept;
mod slider;

use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use self::kept::Kept;
use crate::adversary::replay::{self, Replay};
use crate::domain::session::Session;
use crate::domain::sketch::{
    EVIDENT, Index, Likeness, MAX_EXCESS, Movement, SAME, SURELY_EVIDENT, SURELY_SAME, Sketch, Strength,
};
use crate::generator::{self, Family, Shape};
use crate::offline::labels::Labels;
use crate::offline::load;

/// Sessions whose closest others give the tail from which rates are extrapolated.
const TAIL: usize = 100;
/// Fewest sums of evidence from which a rate is extrapolated.
const MIN_SUMS: usize = 12;
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
    /// Generated sessions of `--pairs` that are looked up
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    generated: u64,
    /// Replay each so-many-th session
    #[arg(long, default_value = "4", value_name = "N")]
    every: NonZeroU64,
    /// Also put all sketches into a store on disk, in a folder here, and look the replays up there
    #[arg(long)]
    store: bool,
    /// Put them into the shared store in this empty database instead
    #[arg(long, value_name = "URL")]
    url: Option<String>,
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
    let mut index = Kept::new(args.store, args.url.as_deref())?;
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
    crate::cli::say(&format!(
        "{:.0} bytes a session in memory",
        number(index.memory.bytes()) / number(known + usize::try_from(kept)?)
    ))?;
    crate::cli::say(&replays(args, &sessions, &ids, &index.memory)?)?;
    crate::cli::say(&rate(&sessions, &index.memory))?;
    if args.store || args.url.is_some() {
        crate::cli::say(&index.look_up(&sessions)?)?;
    }
    let index = index.memory;
    if args.pairs {
        crate::cli::say(&pairs(&labels, &sessions, &ids, &index))?;
        crate::cli::say(&generated(args, &ids, &index))?;
        let matched = (0..args.sliders).into_par_iter().filter(|seed| {
            let slider = slider::slider(&mut ChaCha8Rng::seed_from_u64(args.seed.wrapping_add(*seed)));
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

/// The movement of any of the generator's bots.
fn bot(rng: &mut ChaCha8Rng) -> Session {
    let family = Family::ALL[rng.random_range(0..Family::ALL.len())];
    generator::generate(family, rng.random(), Shape::default())
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

/// What one look-up found.
struct Looked {
    found: bool,
    surely: bool,
    wrong: usize,
    took: Duration,
}

/// A table of the replays found, one row a change, and how long the look-ups took.
fn replays(args: &Args, sessions: &[Session], ids: &[Option<i64>], index: &Index) -> anyhow::Result<String> {
    let every = usize::try_from(args.every.get()).context("--every is too large")?;
    let people = people(ids);
    let mut table = String::from("change                sessions   found   surely    p50 ms   p99 ms   wrong\n");
    for change in Replay::ALL {
        let looked: Vec<Looked> = (0..sessions.len())
            .into_par_iter()
            .step_by(every)
            .filter(|i| !change.is_of_reaches() || replay::has_five_reaches(&sessions[*i]))
            .map(|i| {
                let mut rng = ChaCha8Rng::seed_from_u64(args.seed.wrapping_add(i as u64));
                let (replay, sources) = change.apply(sessions, i, bot, &mut rng);
                let own: Vec<i64> = sources.iter().filter_map(|place| ids[*place]).collect();
                let started = Instant::now();
                let found = Movement::of(&replay).map(|movement| index.find(&movement));
                let took = started.elapsed();
                let found = found.unwrap_or_default();
                let strength = found.iter().filter(|(id, _)| own.contains(id)).filter_map(|(_, l)| l.strength()).max();
                let wrong = |(id, like): &&(i64, Likeness)| !people.contains(id) && like.strength().is_some();
                Looked {
                    found: strength.is_some(),
                    surely: strength == Some(Strength::SurelySame),
                    wrong: found.iter().filter(wrong).count(),
                    took,
                }
            })
            .collect();
        let share = |count: usize| 100.0 * number(count) / number(looked.len());
        let found = share(looked.iter().filter(|l| l.found).count());
        let surely = share(looked.iter().filter(|l| l.surely).count());
        let mut times: Vec<f64> = looked.iter().map(|l| l.took.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        let wrong: usize = looked.iter().map(|l| l.wrong).sum();
        writeln!(
            table,
            "{:<20} {:>8} {found:>6.1} % {surely:>6.1} % {p50:>8.2} {p99:>8.2} {wrong:>7}",
            change.name(),
            looked.len(),
        )?;
    }
    Ok(table)
}

/// How many sessions a second are made a movement, looked up and compared, on every core.
fn rate(sessions: &[Session], index: &Index) -> String {
    let started = Instant::now();
    let mut looked = 0;
    while started.elapsed() < Duration::from_secs(5) {
        let found = |session: &Session| Movement::of(session).map_or(0, |movement| index.find(&movement).len());
        let _: usize = sessions.par_iter().map(found).sum();
        looked += sessions.len();
    }
    let per_second = number(looked) / started.elapsed().as_secs_f64();
    format!("{per_second:.0} sessions a second are compared in memory on {} threads", rayon::current_num_threads())
}

/// What matches among the sessions themselves, and the rate of chance matches beyond what can be counted.
fn pairs(labels: &Labels, sessions: &[Session], ids: &[Option<i64>], index: &Index) -> String {
    let known = people(ids);
    let first = known.start;
    let places: Vec<usize> = (0..ids.len()).filter(|i| ids[*i].is_some()).collect();
    let found: Vec<_> = places
        .par_iter()
        .map(|i| {
            let own = ids[*i];
            let wanted = |id: i64| known.contains(&id) && Some(id) != own;
            let found = Movement::of(&sessions[*i]).map(|movement| index.find_among(&movement, wanted));
            (*i, found.unwrap_or_default())
        })
        .collect();
    let place = |id: i64| usize::try_from(id - first).ok().and_then(|n| places.get(n)).copied();
    let of = |i: usize| labels.get(sessions[i].id.as_str()).map_or(("", ""), |l| (l.source.as_str(), l.user.as_str()));
    let (mut text, mut by_source) = (String::new(), std::collections::BTreeMap::<&str, (usize, usize)>::new());
    let mut closest: Vec<(&str, f64, f64)> = Vec::new();
    for (i, found) in &found {
        let matched: Vec<_> = found.iter().filter(|(_, like)| like.strength().is_some()).collect();
        let (source, user) = of(*i);
        let counts = by_source.entry(source).or_default();
        counts.0 += 1;
        counts.1 += usize::from(!matched.is_empty());
        for (id, like) in &matched {
            let (other, whose) = place(*id).map_or(("", ""), of);
            let _ = writeln!(
                text,
                "  {source} {user} / {other} {whose} residual {:.4} evidence {:.1} of {} reaches, scale {:.3} pace {:.3}",
                like.residual, like.evidence, like.reaches, like.scale, like.pace
            );
        }
        if matched.is_empty() {
            let residual = found.iter().map(|(_, like)| like.residual).fold(f64::INFINITY, f64::min);
            let evidence = found.iter().map(|(_, like)| f64::from(like.evidence)).fold(0.0, f64::max);
            closest.push((source, residual, evidence));
        }
    }
    let (n, others) = (found.len(), found.len().saturating_sub(1));
    let matching: usize = by_source.values().map(|(_, matching)| matching).sum();
    let mut out = format!("{} pairs: {matching} of {n} sessions match another of them\n{text}", n * others / 2);
    for (source, (count, matching)) in &by_source {
        let _ = writeln!(out, "  {source}: {matching} of {count}");
    }
    let groups = by_source.keys().copied().map(Some).chain([None]);
    for group in groups {
        let of_group: Vec<&(&str, f64, f64)> = closest.iter().filter(|(s, ..)| group.is_none_or(|g| g == *s)).collect();
        let mut residuals: Vec<f64> = of_group.iter().map(|c| c.1).filter(|residual| residual.is_finite()).collect();
        let mut evidence: Vec<f64> = of_group.iter().map(|c| c.2).collect();
        residuals.sort_by(f64::total_cmp);
        evidence.sort_by(|a, b| b.total_cmp(a));
        let name = group.unwrap_or("all");
        let tail = TAIL.min(of_group.len() / 10);
        if tail >= 10 && residuals.len() > tail {
            // Hill (1975): the distances of the closest others as a power law, fitted to the smallest.
            let edge = residuals[tail];
            let power = number(tail) / residuals[..tail].iter().map(|residual| (edge / residual).ln()).sum::<f64>();
            let rate =
                |at: f64| number(tail) / number(of_group.len()) * (at / edge).powf(power) * STATED / number(others);
            let _ = writeln!(
                out,
                "{name}: whole, closest of the rest {:.4}; among {STATED:e} (power law {power:.1} on {tail}): {:.1e} at {SAME}, \
                 {:.1e} at {SURELY_SAME}",
                residuals[0],
                rate(SAME),
                rate(SURELY_SAME)
            );
        }
        // One pair of reaches counts at most so much; where few sums exceed it, the rest of the fit says little.
        let several = evidence.iter().filter(|sum| **sum > f64::from(MAX_EXCESS)).count();
        let tail = several.clamp(MIN_SUMS, TAIL);
        if evidence.len() > tail && evidence[tail] > 0.0 {
            // The largest sums as an exponential tail, fitted to the largest.
            let edge = evidence[tail];
            let mean = evidence[..tail].iter().map(|e| e - edge).sum::<f64>() / number(tail);
            let rate = |at: f32| {
                number(tail) / number(of_group.len()) * (-(f64::from(at) - edge) / mean).exp() * STATED / number(others)
            };
            let _ = writeln!(
                out,
                "{name}: reaches, largest evidence of the rest {:.1}; among {STATED:e} (mean excess {mean:.2} on {tail}, {several} of several pairs): {:.1e} \
                 at {EVIDENT}, {:.1e} at {SURELY_EVIDENT}",
                evidence[0],
                rate(EVIDENT),
                rate(SURELY_EVIDENT)
            );
        }
    }
    out
}

/// How many generated sessions match one of the people or of each other.
fn generated(args: &Args, ids: &[Option<i64>], index: &Index) -> String {
    let known = people(ids);
    let matched: Vec<(bool, bool)> = (0..args.generated)
        .into_par_iter()
        .map(|n| {
            #[expect(clippy::cast_possible_truncation, reason = "a remainder")]
            let family = Family::ALL[(n % Family::ALL.len() as u64) as usize];
            // Seeds that the background does not have.
            let session =
                generator::generate(family, args.seed.wrapping_add(n).wrapping_add(1 << 40), Shape::default());
            let found = Movement::of(&session).map(|movement| index.find(&movement)).unwrap_or_default();
            let any = |people: bool| found.iter().any(|(id, l)| known.contains(id) == people && l.strength().is_some());
            (any(true), any(false))
        })
        .collect();
    let count = |of: fn(&(bool, bool)) -> bool| matched.iter().filter(|m| of(m)).count();
    format!(
        "of {} generated sessions {} match a person's and {} a generated one",
        args.generated,
        count(|m| m.0),
        count(|m| m.1)
    )
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
