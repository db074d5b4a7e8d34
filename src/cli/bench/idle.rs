//! `bench idle`: what a node takes that has nothing to do, and how soon one is ready that has stored much.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::intake::parse_duration;
use super::node::Node;
use super::store;
use crate::cli::say;

/// How often a node is started; the last one is then left alone.
const STARTS: usize = 7;
/// Longer than since the times at which the store's sessions were made up to arrive: nothing is pruned.
const KEPT: &str = "3650d";
/// What a node does after its start is no part of idleness.
const SETTLED: Duration = Duration::from_secs(10);

/// Measures starts, memory and processor time of a node that has nothing to do
///
/// The node is `serve` in a process of its own with the default settings, so its scheduler runs; but it keeps everything, as what
/// fills the store is of earlier years. It is killed and
/// started again several times, then left alone.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Finished sessions that the store holds
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    sessions: u64,
    /// Measure on the shared store in this empty database instead
    #[arg(long)]
    url: Option<String>,
    /// Movements of a session, on the embedded store
    #[arg(long, value_name = "N", default_value_t = 60)]
    movements: usize,
    /// How long to leave the node alone
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    duration: Duration,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir_in(".").context("cannot create a folder for the store here")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let place = runtime.block_on(async {
        let Some(url) = &args.url else {
            store::fill_with_finished(folder.path(), args.sessions, args.movements).await?;
            return anyhow::Ok(format!("embedded:{}", folder.path().display()));
        };
        let count = i64::try_from(args.sessions).context("--sessions is too much")?;
        store::open_empty(url).await?.make_finished(count).await?;
        Ok(url.clone())
    })?;
    drop(runtime);

    let keeping = ["RESULTS", "TELEMETRY", "TELEMETRY_FLAGGED", "COUNTS"]
        .map(|what| (format!("PLAYPROOF_RETENTION_{what}"), KEPT.to_owned()));
    let keeping = keeping.each_ref().map(|(name, value)| (name.as_str(), value.clone()));
    let mut starts = Vec::new();
    let node = loop {
        let begun = Instant::now();
        let node = Node::start(&place, &keeping, None)?;
        while !node.is_ready()? {
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "the node was not ready after 60 s");
        }
        starts.push(begun.elapsed().as_secs_f64());
        if starts.len() == STARTS {
            break node;
        }
    };
    starts.sort_by(f64::total_cmp);

    std::thread::sleep(SETTLED);
    let before = (node.processor_time()?, node.wake_ups()?);
    std::thread::sleep(args.duration);
    let after = (node.processor_time()?, node.wake_ups()?);
    let seconds = args.duration.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a minute's wake-ups are few")]
    let wake_ups = (after.1 - before.1) as f64 / seconds;
    let [memory, anonymous] = node.memory()?;
    let mut text = String::new();
    let (median, slowest) = (starts[STARTS / 2], starts[STARTS - 1]);
    let _ = writeln!(text, "{} sessions stored, {STARTS} starts", args.sessions);
    let _ = writeln!(text, "from start to ready   {median:.3} s, slowest {slowest:.3} s");
    let _ = writeln!(text, "memory                {memory:.1} MiB, {anonymous:.1} MiB of it not the program's file");
    let _ = writeln!(text, "most memory so far    {:.1} MiB", node.peak_memory()?);
    let _ = writeln!(
        text,
        "of one core           {:.2} %",
        after.0.saturating_sub(before.0).as_secs_f64() / seconds * 100.0
    );
    let _ = write!(text, "wake-ups              {wake_ups:.0} a second");
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}
