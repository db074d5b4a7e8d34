//! A file of sessions in, a file of rows out: what `score` and `features` have in common.

use std::fmt;
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::offline::input::{DEFAULT_LINE_LIMIT, Lines, Progress};
use crate::offline::output::{self, Output};
use crate::offline::pipeline::{self, Totals, Worker};
use crate::offline::table::{Format, Kind, Quote, Table};

/// Where sessions come from and rows go to.
#[derive(Debug, clap::Args)]
pub(super) struct Files {
    /// Sessions, one JSON object a line: plain, gzip or zstd; `-` reads standard input
    #[arg(value_name = "INPUT")]
    input: PathBuf,
    /// Where the rows go: .csv, .ndjson or .parquet; `-` writes to standard output. The file appears when it is
    /// complete; a run that fails leaves none
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The format, where the name of the output does not say it
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// End with exit code 1 when any line was refused; the rows of the others are written all the same
    #[arg(long)]
    strict: bool,
    /// Threads that parse and compute; by default one a core. The output does not depend on it
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// As many threads as the machine runs at once.
pub(super) fn threads(asked: Option<NonZeroUsize>) -> NonZeroUsize {
    asked.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
}

/// Writes a row for each session of the input; refused lines and the end count go to standard error.
pub(super) fn convert<W: Worker>(
    files: &Files,
    columns: Vec<(&'static str, Kind)>,
    quote: Quote,
    new_worker: impl Fn() -> W + Sync,
) -> anyhow::Result<ExitCode> {
    let format = files.format.map_or_else(|| output::format_of(&files.output), Ok)?;
    let table = Arc::new(Table { columns, format, quote });
    let mut lines = Lines::open(&files.input, DEFAULT_LINE_LIMIT)?;
    let mut output = Output::create(&files.output, &table)?;
    let bar = Bar::new(lines.progress());
    let mut done = 0u64;
    let totals = pipeline::run(&mut lines, threads(files.threads), DEFAULT_LINE_LIMIT, &table, new_worker, |chunk| {
        for (number, refusal) in &chunk.refused {
            bar.say(&format_args!("line {number}: {refusal}"));
        }
        done += chunk.rows.len() as u64;
        bar.update(done);
        output.write(&chunk.rows)
    })?;
    output.finish()?;
    bar.finish();
    let Totals { sessions, refused } = totals;
    eprintln!("{sessions} {} written, {refused} {} refused", noun(sessions, "row"), noun(refused, "line"));
    Ok(if files.strict && refused > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The singular or its plural.
pub(super) fn noun(count: u64, singular: &str) -> String {
    if count == 1 { singular.to_owned() } else { format!("{singular}s") }
}

/// A progress bar on standard error; nothing at all when that is not a terminal.
pub(super) struct Bar {
    bar: ProgressBar,
    progress: Progress,
}

impl Bar {
    pub(super) fn new(progress: Progress) -> Self {
        let bar = if !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else if let Some(total) = progress.total {
            let bar = ProgressBar::new(total);
            bar.set_style(style("{bar:30} {bytes}/{total_bytes} {msg} {elapsed}, {eta} left"));
            bar
        } else {
            let bar = ProgressBar::new_spinner();
            bar.set_style(style("{spinner} {bytes} {msg} {elapsed}"));
            bar
        };
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, progress }
    }

    pub(super) fn update(&self, sessions: u64) {
        self.bar.set_position(self.progress.read());
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{sessions} sessions"));
        }
    }

    /// A line on standard error that does not tear the bar.
    fn say(&self, line: &dyn fmt::Display) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A style from a template of our own; an invalid one would fall back to the plain bar.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
