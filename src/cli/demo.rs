//! `demo`: the service shown on real people and generated bots, over its own HTTP API.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use indicatif::ProgressBar;
use serde_json::Value;

use super::local_node::{self, NodeSettings, Start};
use super::rows;
use crate::domain::evidence::Evidence;
use crate::domain::session::{Bounds, Session};
use crate::generator::{self, Family, Shape};
use crate::offline::input::{Block, DEFAULT_LINE_LIMIT, Line, Lines};

/// See data/demo/README.md for where they come from.
static HUMANS: &[u8] = include_bytes!("../../data/demo/humans.ndjson.zst");
/// Bots of each family.
const BOTS: u64 = 6;
/// Results asked for at the same time.
const WAITING: usize = 16;
/// A batch of the demo's node runs within seconds; after this many waits of 30 s something is wrong.
const MAX_WAITS: usize = 4;

/// Shows the service at work: starts a node in a temporary folder, submits real human sessions and generated bots, and
/// prints what it says of each
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave the node running until Ctrl-C and print where its dashboard is, and the page to play on
    #[arg(long)]
    keep: bool,
}

/// Runs `demo`.
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments in the same way")]
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    show(args.keep, local_node::start, &mut io::stdout().lock())
}

fn show(keep: bool, start: Start, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let contestants = contestants()?;
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let node = start(&NodeSettings {
        folder: folder.path().to_owned(),
        scheduler: true,
        interval: Duration::from_millis(500),
        max_wait: Duration::from_secs(1),
        queue_limit: 10_000,
        evidence: Evidence::Auto,
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shown = runtime.block_on(async {
        let verdicts = judge(&node.url, &contestants).await?;
        report(&contestants, &verdicts, out)?;
        if keep {
            writeln!(
                out,
                "\nPlay against a bot yourself: {0}/play\nDashboard: {0}/\nThe node goes on; Ctrl-C ends it.",
                node.url
            )?;
            out.flush()?;
            tokio::signal::ctrl_c().await?;
        }
        anyhow::Ok(())
    });
    drop(runtime);
    let stopped = (node.stop)();
    shown.and(stopped).map(|()| ExitCode::SUCCESS)
}

/// A session whose truth is known.
struct Contestant {
    session: Session,
    truth: &'static str,
}

/// The people, then the bots.
fn contestants() -> anyhow::Result<Vec<Contestant>> {
    let mut all = Vec::new();
    let mut lines = Lines::from_reader("the bundled sessions", None, HUMANS, DEFAULT_LINE_LIMIT)?;
    let mut block = Block::default();
    while lines.next_block(&mut block)? {
        for (_, line) in block.lines() {
            if let Line::Text(text) = line {
                all.push(Contestant { session: Session::parse(text, &Bounds::default())?, truth: "human" });
            }
        }
    }
    let bots = Family::ALL.into_iter().flat_map(|family| (0..BOTS).map(move |seed| (family, seed)));
    all.extend(bots.map(|(family, seed)| Contestant {
        session: generator::generate(family, seed, Shape::default()),
        truth: family.name(),
    }));
    Ok(all)
}

/// What the node said of one session.
struct Verdicts {
    first: String,
    batch: String,
    score: Option<f64>,
    reasons: String,
}

/// Submits everybody, then waits for the batch verdict of each, in order.
async fn judge(url: &str, contestants: &[Contestant]) -> anyhow::Result<Vec<Verdicts>> {
    // A proxy from the environment must not come between us and our own node.
    let client = crate::tls::http_client().no_proxy().build()?;
    let bar =
        if io::stderr().is_terminal() { ProgressBar::new(2 * contestants.len() as u64) } else { ProgressBar::hidden() };
    bar.set_style(rows::style("{bar:30} {msg} {elapsed}"));
    bar.set_message("submitting");
    let mut firsts = Vec::with_capacity(contestants.len());
    for Contestant { session, .. } in contestants {
        let request = client.post(format!("{url}/api/v1/score")).header("content-type", "application/json");
        let answer = answer(request.body(generator::to_json(session, true))).await?;
        firsts.push(answer["decision"].as_str().unwrap_or("-").to_owned());
        bar.inc(1);
    }
    bar.set_message("waiting for the batch verdicts");
    let waits = contestants.iter().zip(firsts).map(|(contestant, first)| {
        let (client, bar) = (&client, &bar);
        async move {
            let id = contestant.session.id.as_str();
            let result = result(client, url, id).await?;
            bar.inc(1);
            let reasons = result["reasons"].as_array().into_iter().flatten();
            let codes: Vec<_> = reasons.filter_map(|reason| reason["code"].as_str()).collect();
            anyhow::Ok(Verdicts {
                first,
                batch: result["decision"].as_str().unwrap_or("-").to_owned(),
                score: result["anomalyScore"].as_f64(),
                reasons: codes.join(" "),
            })
        }
    });
    let verdicts = stream::iter(waits).buffered(WAITING).try_collect().await;
    bar.finish_and_clear();
    verdicts
}

async fn result(client: &reqwest::Client, url: &str, id: &str) -> anyhow::Result<Value> {
    for _ in 0..MAX_WAITS {
        let mut state = answer(client.get(format!("{url}/api/v1/batch/result/{id}?wait=30s"))).await?;
        match state["status"].as_str() {
            Some("processed") => return Ok(state["result"].take()),
            Some("queued") => {}
            _ => anyhow::bail!("the node has no verdict on {id}; it answered {state}"),
        }
    }
    anyhow::bail!("the node gave no batch verdict on {id} in time; see its log above")
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let response = request.send().await.context("the demo's node does not answer")?;
    let (status, body) = (response.status(), response.bytes().await?);
    anyhow::ensure!(status.is_success(), "the demo's node answered {status}: {}", String::from_utf8_lossy(&body));
    Ok(serde_json::from_slice(&body)?)
}

fn report(contestants: &[Contestant], verdicts: &[Verdicts], out: &mut impl Write) -> io::Result<()> {
    let id_width = contestants.iter().map(|c| c.session.id.as_str().len()).max().unwrap_or(0).max(7);
    writeln!(out, "{:id_width$}  {:13}  {:7}  {:7}  {:>5}  reasons", "session", "truth", "first", "batch", "score")?;
    for (Contestant { session, truth }, verdict) in contestants.iter().zip(verdicts) {
        let Verdicts { first, batch, score, reasons } = verdict;
        let score = score.map_or_else(|| "-".to_owned(), |score| format!("{score:.2}"));
        let row = format!("{:id_width$}  {truth:13}  {first:7}  {batch:7}  {score:>5}  {reasons}", session.id.as_str());
        writeln!(out, "{}", row.trim_end())?;
    }
    let of = |human: bool| {
        contestants.iter().zip(verdicts).filter(move |(c, _)| (c.truth == "human") == human).map(|(_, v)| &v.batch)
    };
    let count = |human: bool, decision: &str| of(human).filter(|batch| *batch == decision).count();
    let (humans, bots) = (of(true).count(), of(false).count());
    writeln!(
        out,
        "\nhumans: {} of {humans} pass ({} for review, {} fail)",
        count(true, "pass"),
        count(true, "review"),
        count(true, "fail")
    )?;
    writeln!(
        out,
        "bots:   {} of {bots} don't pass ({} for review, {} fail)",
        bots - count(false, "pass"),
        count(false, "review"),
        count(false, "fail")
    )
}

#[cfg(test)]
#[path = "demo_tests.rs"]
mod tests;
