//! `bench parse`: how fast a file of sessions is read and parsed, and how much of that rate scoring keeps.

use std::fs;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::progress::aside;
use super::super::{rows, say};
use crate::detector::embedded::Model;
use crate::domain::result::Thresholds;
use crate::domain::session::Session;
use crate::offline::input::{DEFAULT_LINE_LIMIT, Lines};
use crate::offline::output::Output;
use crate::offline::pipeline::{self, Totals, Worker};
use crate::offline::score::{COLUMNS, Scorer};
use crate::offline::table::{Format, Quote, Rows, Table};

/// Reads and parses a file of sessions through the pipeline of `score`, without scoring and without output
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Sessions, one JSON object a line: plain, gzip or zstd
    input: PathBuf,
    /// Also score the sessions to a CSV file in the temporary folder, in alternating rounds, and print the ratio
    #[arg(long)]
    score: bool,
    /// Rounds of each; the best one counts
    #[arg(long, default_value = "1")]
    rounds: NonZeroUsize,
    /// Threads that parse and score; by default one a core
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// What one kind of round came to.
#[derive(Default)]
struct Best(Option<(Duration, Totals)>);

impl Best {
    fn add(&mut self, taken: Duration, totals: Totals) {
        if self.0.as_ref().is_none_or(|(best, _)| taken < *best) {
            self.0 = Some((taken, totals));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts for a printed rate")]
    fn rate(&self) -> f64 {
        self.0.as_ref().map_or(0.0, |(taken, totals)| totals.sessions as f64 / taken.as_secs_f64())
    }

    #[expect(clippy::cast_precision_loss, reason = "bytes for a printed rate")]
    fn print(&self, name: &str, bytes: u64) -> io::Result<()> {
        let Some((taken, totals)) = &self.0 else { return Ok(()) };
        writeln!(
            io::stdout(),
            "{name:<6} {:>10.0} sessions/s {:>8.0} MB/s {:>8.2} s  ({} sessions, {} lines refused)",
            self.rate(),
            bytes as f64 / 1e6 / taken.as_secs_f64(),
            taken.as_secs_f64(),
            totals.sessions,
            totals.refused,
        )
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let threads = rows::threads(args.threads);
    let model = if args.score { Some(Model::bundled()?) } else { None };
    let (mut parse, mut score) = (Best::default(), Best::default());
    let bytes = fs::metadata(&args.input).map(|found| found.len()).unwrap_or_default();
    for _ in 0..args.rounds.get() {
        let (taken, totals) = pass(&args.input, threads, None, || |_: &Session, _: &mut Rows| ())?;
        parse.add(taken, totals);
        if let Some(model) = &model {
            let folder = tempfile::tempdir()?;
            let scorer = || Scorer::new(model, Thresholds::default());
            let (taken, totals) = pass(&args.input, threads, Some(&folder.path().join("scores.csv")), scorer)?;
            score.add(taken, totals);
        }
    }
    aside(|| parse.print("parse", bytes))?;
    aside(|| score.print("score", bytes))?;
    if model.is_some() {
        say(&format!("ratio  {:>10.3} of the parse-only rate", score.rate() / parse.rate()))?;
    }
    if let Some(peak) = peak_memory() {
        say(&format!("memory {peak:>10} at its peak"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One pass over the file, timed from opening it to the last row in its place.
fn pass<W: Worker>(
    input: &Path,
    threads: NonZeroUsize,
    output: Option<&Path>,
    new_worker: impl Fn() -> W + Sync,
) -> anyhow::Result<(Duration, Totals)> {
    let table = Arc::new(Table { columns: COLUMNS.to_vec(), format: Format::Csv, quote: Quote::Needed });
    let start = Instant::now();
    let mut lines = Lines::open(input, DEFAULT_LINE_LIMIT)?;
    let mut output = output.map(|path| Output::create(path, &table)).transpose()?;
    let totals = pipeline::run(&mut lines, threads, DEFAULT_LINE_LIMIT, &table, new_worker, |chunk| {
        output.as_mut().map_or(Ok(()), |output| output.write(&chunk.rows))
    })?;
    output.map_or(Ok(()), Output::finish)?;
    Ok((start.elapsed(), totals))
}

/// The process's peak resident memory, as Linux tells it.
fn peak_memory() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(|size| size.trim().to_owned())
}
