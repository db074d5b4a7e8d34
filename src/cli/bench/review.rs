//! `bench review`: how many bots the review queue brings to the top after a few labels, against an order by chance.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::cli::say;
use crate::detector::embedded::Model;
use crate::domain::features::Extractor;
use crate::domain::result::Thresholds;
use crate::domain::review::{Candidate, Labelled, queue};
use crate::offline::labels::Labels;
use crate::offline::{load, protocol};

/// Simulates an analyst who labels the first sessions of the queue, by the truth
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Sessions of people and bots, none of which the model has learned from
    #[arg(long, required = true, num_args = 1.., value_name = "INPUT")]
    sessions: Vec<PathBuf>,
    /// Labels: CSV with sessionId, label, family
    #[arg(long, required = true, num_args = 1.., value_name = "CSV")]
    labels: Vec<PathBuf>,
    /// Model file; the bundled model without it
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Bots among the people, drawn evenly over their families
    #[arg(long, default_value_t = 50)]
    bots: usize,
    /// Labels before the queue is judged
    #[arg(long, default_value_t = 10)]
    label: usize,
    /// Length of the queue's top
    #[arg(long, default_value_t = 100)]
    top: usize,
    /// Draws
    #[arg(long, default_value_t = 20)]
    seeds: u64,
}

/// Sessions that an analyst looks at in a sitting.
const SCREENS: usize = 40;

/// A session with its truth.
#[derive(Clone)]
struct Item {
    candidate: Candidate,
    family: Option<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let model = args.model.as_deref().map_or_else(|| Ok(Model::bundled()?), super::super::train::open_model)?;
    let labels = Labels::open(&args.labels)?;
    let thresholds = Thresholds::default();
    let found = load::each(
        &args.sessions,
        <(Extractor, Vec<f64>)>::default,
        |buffers, session| {
            let label = labels.get(session.id.as_str())?;
            let verdict = protocol::verdict(&model, &session, &thresholds, buffers);
            let features = buffers.0.v1(&session).values();
            let candidate = Candidate { features, score: verdict.anomaly_score, decision: verdict.decision };
            Some(Item { candidate, family: (!label.human).then(|| label.family.clone()) })
        },
        |sentence| super::super::train::note(&sentence),
        |_| (),
    )?;
    let (humans, bots): (Vec<Item>, Vec<Item>) = found.into_iter().partition(|item| item.family.is_none());
    if humans.is_empty() || bots.len() < args.bots {
        bail!("{} people and {} bots are labelled; {} bots are wanted", humans.len(), bots.len(), args.bots);
    }
    let (mut top, mut mix, mut chance) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 1..=args.seeds {
        let mut chosen = ChaCha8Rng::seed_from_u64(seed);
        let mut items = humans.clone();
        items.extend(draw(&bots, args.bots, &mut chosen));
        // Nothing may follow from the order of a file.
        items.shuffle(&mut chosen);
        let (bots, share) = judge(items.clone(), args);
        top.push(bots);
        mix.push(share);
        chance.push(ratio(args.bots, items.len()) * ratio(args.top, 1));
    }
    let mean = |all: &[f64]| all.iter().sum::<f64>() / ratio(all.len(), 1);
    let (found, expected) = (mean(&top), mean(&chance));
    let (least, most) = top.iter().fold((f64::MAX, 0.0_f64), |(l, m), n| (l.min(*n), m.max(*n)));
    say(&format!(
        "{} people, {} bots, {} labels, {} seeds: {found:.2} bots in the first {} (from {least} to {most}), {expected:.2} \
         by chance: {:.2} times as many",
        humans.len(),
        args.bots,
        args.label,
        args.seeds,
        args.top,
        found / expected
    ))?;
    let (least, most) = mix.iter().fold((f64::MAX, 0.0_f64), |(l, m), n| (l.min(*n), m.max(*n)));
    say(&format!(
        "of the first {SCREENS}: {:.0} % bots (from {:.0} to {:.0} %)",
        100.0 * mean(&mix),
        100.0 * least,
        100.0 * most
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Counts are small.
#[expect(clippy::cast_precision_loss, reason = "a few thousand sessions")]
fn ratio(of: usize, all: usize) -> f64 {
    of as f64 / all as f64
}

/// `count` bots, as evenly over the families as they go.
fn draw(bots: &[Item], count: usize, chosen: &mut ChaCha8Rng) -> Vec<Item> {
    let mut families: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    for bot in bots {
        families.entry(bot.family.as_deref().unwrap_or_default()).or_default().push(bot);
    }
    let mut families: Vec<Vec<&Item>> = families.into_values().collect();
    families.shuffle(chosen);
    for family in &mut families {
        family.shuffle(chosen);
    }
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count {
        for family in &mut families {
            drawn.extend(family.pop().cloned());
        }
    }
    drawn.truncate(count);
    drawn
}

/// Labels the first of the queue, one after the other; after that the bots in its top, and their share of what is looked
/// at first.
fn judge(mut items: Vec<Item>, args: &Args) -> (f64, f64) {
    let mut labelled: Vec<Labelled> = Vec::new();
    loop {
        let candidates: Vec<Candidate> = items.iter().map(|item| item.candidate.clone()).collect();
        let queue = queue(&candidates, &labelled);
        if labelled.len() < args.label {
            let Some(first) = queue.first() else { return (0.0, 0.0) };
            let item = items.swap_remove(first.place);
            labelled.push(Labelled { features: item.candidate.features, bot: item.family.is_some() });
            continue;
        }
        let bots = |most: usize| queue.iter().take(most).filter(|one| items[one.place].family.is_some()).count();
        return (ratio(bots(args.top), 1), ratio(bots(SCREENS), SCREENS));
    }
}
