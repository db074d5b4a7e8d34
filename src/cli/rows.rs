//! A file of sessions in, a file of rows out: what `score` and `features` have in common.

use std::fmt;
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::domain::printable::printable;
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
    pub(super) threads: Option<NonZeroUsize>,
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
    let place = |path: &PathBuf| path.canonicalize().ok();
    anyhow::ensure!(
        files.output.as_os_str() == "-" || place(&files.output).is_none_or(|out| place(&files.input) != Some(out)),
        "{} is the input; name another file for the output",
        files.output.display()
    );
    let mut lines = Lines::open(&files.input, DEFAULT_LINE_LIMIT)?;
    let mut output = Output::create(&files.output, &table)?;
    if let Some(path) = output.unfinished() {
        remove_when_interrupted(path.to_owned());
    }
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

/// On Ctrl-C or SIGTERM, removes the unfinished file and ends the process. It acts from a thread of its own, because
/// the reader may be waiting for standard input.
fn remove_when_interrupted(path: PathBuf) {
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let interrupted = runtime.block_on(async {
            #[cfg(unix)]
            {
                use tokio::signal::unix::{SignalKind, signal};
                let mut terminated = signal(SignalKind::terminate())?;
                tokio::select! {
                    interrupted = tokio::signal::ctrl_c() => interrupted,
                    _ = terminated.recv() => Ok(()),
                }
            }
            #[cfg(not(unix))]
            tokio::signal::ctrl_c().await
        });
        if interrupted.is_ok() {
            // The run may just have put the file in its place; then there is nothing to remove.
            let _ = std::fs::remove_file(path);
            eprintln!("interrupted; nothing was written");
            std::process::exit(1);
        }
    });
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
        let line = line.to_string();
        self.bar.suspend(|| eprintln!("{}", printable(&line)));
    }

    /// Runs what writes to the terminal while the bar is away.
    pub(super) fn hide_while<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A style from a template of our own; an invalid one would fall back to the plain bar.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::domain::features::FeatureSet;
    use crate::offline::score::{FeatureRows, feature_columns};

    fn features(input: &str, name: &str, strict: bool) -> (anyhow::Result<ExitCode>, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let files = Files {
            input: folder.path().join("in.ndjson"),
            output: folder.path().join(name),
            format: None,
            strict,
            threads: None,
        };
        fs::write(&files.input, input).unwrap();
        let set = FeatureSet::V1;
        let code = convert(&files, feature_columns(set), Quote::Always, || FeatureRows::new(set));
        (code, fs::read_to_string(&files.output).ok())
    }

    #[test]
    fn refused_lines_fail_a_strict_run_only_and_the_rest_is_written_in_both() {
        let input = concat!(
            r#"{"sessionId":"first","movements":[{"x":1,"y":2,"timestamp":3}]}"#,
            "\nnonsense\n\n",
            r#"{"sessionId":"last","gameType":"osu","movements":[{"x":1,"y":2,"timestamp":3}]}"#,
        );
        for (strict, expected) in [(false, ExitCode::SUCCESS), (true, ExitCode::FAILURE)] {
            let (code, text) = features(input, "out.csv", strict);
            assert_eq!(code.unwrap(), expected);
            let text = text.unwrap();
            let starts: Vec<_> = text.lines().map(|line| line.split(',').take(2).collect::<Vec<_>>()).collect();
            assert_eq!(starts, [["sessionId", "gameType"], ["\"first\"", "\"unknown\""], ["\"last\"", "\"osu\""]]);
        }
        let (code, text) = features(input, "out.ndjson", false);
        assert_eq!(code.unwrap(), ExitCode::SUCCESS);
        let row: serde_json::Value = serde_json::from_str(text.unwrap().lines().nth(1).unwrap()).unwrap();
        assert_eq!((&row["sessionId"], &row["totalMoves"]), (&"last".into(), &1.into()));
        assert_eq!(row.as_object().unwrap().len(), 31);
    }

    #[test]
    fn a_name_without_a_format_is_refused_before_anything_is_read() {
        let (code, text) = features("", "out.txt", false);
        assert!(code.unwrap_err().to_string().contains("let it end in .csv, .ndjson or .parquet"));
        assert_eq!(text, None);
    }
}
