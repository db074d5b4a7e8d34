//! `adversary`: bots that play the rounds of given people, to measure a model by.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::rows::style;
use super::train::{bytes_bar, note};
use crate::adversary::{self, Clock, Family};
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::generator;
use crate::offline::labels::Labels;
use crate::offline::load;

/// Write bots that play the rounds of given people.
///
/// Each bot takes a person's stops with their times and clicks and replaces the movement between them, from straight
/// lines to models of the hand and morphed recordings. With --labels-output, `evaluate` can measure a model by them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Sessions of people: NDJSON, plain, .gz or .zst, or `-` for standard input
    #[arg(required = true, value_name = "INPUT")]
    input: Vec<PathBuf>,

    /// CSV with sessionId and label: bots in INPUT are then left out, and sources are carried over with a prefix, `tmpl_`
    #[arg(long, value_name = "CSV")]
    labels: Vec<PathBuf>,

    /// Families to write, by turns; all of them without it
    #[arg(long, value_name = "FAMILY", num_args = 1.., value_parser = parse_family)]
    family: Vec<Family>,

    /// Bots for each person's session
    #[arg(long, value_name = "N", default_value_t = 1)]
    each: u64,

    /// Seed of everything drawn at random
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Where the sessions go, NDJSON
    #[arg(short, long, value_name = "NDJSON")]
    output: PathBuf,

    /// Where their labels go, CSV: sessionId, label, family, source, user, variant
    #[arg(long, value_name = "CSV")]
    labels_output: Option<PathBuf>,

    /// Fail when a line is refused
    #[arg(long)]
    strict: bool,
}

fn parse_family(name: &str) -> Result<Family, String> {
    Family::parse(name).ok_or_else(|| format!("choose {}", Family::ALL.map(Family::name).join(", ")))
}

/// Runs the command.
///
/// # Errors
/// When files cannot be read or written; one sentence with the mend.
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments whole")]
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let labels = if args.labels.is_empty() { None } else { Some(Labels::open(&args.labels)?) };
    let families = if args.family.is_empty() { Family::ALL.to_vec() } else { args.family.clone() };
    let mut refused = 0u64;
    let bar = bytes_bar(&args.input);
    let people = load::each(
        &args.input,
        || (),
        |(), session| match &labels {
            None => Some((session, String::new())),
            Some(labels) => {
                labels.get(session.id.as_str()).filter(|l| l.human).map(|l| (session, format!("tmpl_{}", l.source)))
            }
        },
        |sentence| {
            refused += 1;
            bar.suspend(|| note(&sentence));
        },
        |progress| bar.set_position(progress.read()),
    );
    bar.finish_and_clear();
    let people = people?;
    if people.is_empty() {
        bail!("there is no session of a person in the input; name sessions, and labels that call some of them human");
    }
    let mut sessions = create(&args.output)?;
    let mut table = args.labels_output.as_deref().map(create).transpose()?;
    let failed = |path: &Path| format!("cannot write {}; check the disk", path.display());
    if let Some(table) = &mut table {
        writeln!(table, "sessionId,label,family,source,user,variant")?;
    }
    let (mut made, mut turn) = (0u64, 0usize);
    let bar = ProgressBar::new(people.len() as u64).with_style(style("making bots {bar:32} {pos}/{len} {elapsed}"));
    for (place, (person, source)) in people.iter().enumerate() {
        bar.inc(1);
        for _ in 0..args.each {
            let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
            rng.set_stream(turn as u64);
            let family = families[(place + turn) % families.len()];
            turn += 1;
            let clock = Clock::draw(&mut rng);
            let Some(bot) = adversary::imitate(person, family, clock, &mut rng) else { continue };
            let name = format!("bot-{:x}-{made}", args.seed);
            let id = SessionId::parse(&name).with_context(|| format!("{name} is no session id"))?;
            let bot = Session { id, user_id: None, ..bot };
            sessions.write_all(&generator::to_json(&bot, true)).with_context(|| failed(&args.output))?;
            sessions.write_all(b"\n").with_context(|| failed(&args.output))?;
            if let Some(table) = &mut table {
                let variant = match clock {
                    Clock::Own => "recorder",
                    Clock::Constant(_) => "constant",
                    Clock::Jitter(..) => "jitter",
                };
                writeln!(table, "{name},bot,{},{source},bot,{variant}", family.name())?;
            }
            made += 1;
        }
    }
    bar.finish_and_clear();
    sessions.flush().with_context(|| failed(&args.output))?;
    if let Some(mut table) = table {
        table.flush()?;
    }
    super::say(&format!("{made} bots after {} sessions of people in {}", people.len(), args.output.display()))?;
    Ok(if args.strict && refused > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn create(path: &Path) -> anyhow::Result<BufWriter<std::fs::File>> {
    let file = std::fs::File::create(path)
        .with_context(|| format!("cannot write {}; check the folder and its permissions", path.display()))?;
    Ok(BufWriter::new(file))
}
