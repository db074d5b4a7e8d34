//! `bench challenges`: what tokens cost. Many are issued and never used; others are used by sessions, and then asked about
//! beside further ones that are issued, in turn with a bare route that answers the same requests with fixed bytes.

use std::cell::Cell;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use serde_json::{Value, json};

use super::super::local_node::{self, NodeSettings};
use super::baseline;
use super::load::Target;
use crate::domain::evidence::Evidence;
use crate::generator::{self, Family, Shape};

/// Connections at the same time.
const CONNECTIONS: usize = 64;
/// Movements of the sessions that use a token: what they cost is not measured.
const MOVEMENTS: usize = 40;
/// Rounds in which the node and the bare route take turns.
const ROUNDS: usize = 5;

/// Measures issuing challenges and asking about them, and what those that nobody uses cost the store
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Challenges that are issued and not used
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    tokens: usize,
    /// Challenges that are used by a session and asked about
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    verified: usize,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir_in(".").context("cannot create a folder for the store here")?;
    let node = local_node::start(&NodeSettings {
        folder: folder.path().to_owned(),
        scheduler: false,
        interval: Duration::from_millis(100),
        max_wait: Duration::from_secs(1),
        queue_limit: 1_000_000_000,
        evidence: Evidence::Auto,
    })?;
    let bare = baseline::serve(bare())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (url, bare_url) = (Target::new(&node.url, None)?, Target::new(&bare.url, None)?);
    let measured = tokio::task::LocalSet::new().block_on(&runtime, measure(args, &url, &bare_url, folder.path()));
    let stopped = (node.stop)();
    (bare.stop)()?;
    measured?;
    stopped?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(args: &Args, node: &Target, bare: &Target, folder: &Path) -> anyhow::Result<()> {
    let before = bytes(folder)?;
    let issue = |_: usize| ("/api/v1/challenges", Bytes::from_static(b"{}"), None);
    let started = Instant::now();
    all(node, args.tokens, issue, |_, _| Ok(())).await?;
    let rate = per_second(args.tokens, started.elapsed());
    let after = bytes(folder)?;
    crate::cli::say(&format!(
        "{} challenges issued, {rate:.0} a second over {CONNECTIONS} connections; the store's files: {before} bytes before, \
         {after} after",
        args.tokens
    ))?;

    let mut given = vec![(String::new(), String::new()); args.verified];
    all(node, args.verified, issue, |number, answer| {
        let answer: Value = serde_json::from_slice(answer)?;
        let (token, id) = &mut given[number];
        for (to, field) in [(token, "token"), (id, "sessionId")] {
            answer[field].as_str().context("a challenge lacks a field")?.clone_into(to);
        }
        Ok(())
    })
    .await?;
    let session = |number: usize| {
        let shape = Shape { movements: Some(MOVEMENTS) };
        let session = generator::generate(Family::ALL[number % Family::ALL.len()], number as u64, shape);
        let mut body: Value = serde_json::from_slice(&generator::to_json(&session, true)).unwrap_or_default();
        body["sessionId"] = given[number].1.as_str().into();
        ("/api/v1/score", Bytes::from(body.to_string()), Some(given[number].0.as_str()))
    };
    all(node, args.verified, session, |_, _| Ok(())).await?;

    // Every other request asks about a token, the rest issue one.
    let mixed = |number: usize| match number % 2 {
        0 => issue(number),
        _ => ("/api/v1/siteverify", Bytes::from(json!({"response": given[number / 2].0}).to_string()), None),
    };
    let (mut took, mut bare_took) = (Duration::ZERO, Duration::ZERO);
    let size = args.verified * 2 / ROUNDS / 2 * 2;
    for round in 0..ROUNDS {
        let request = |number: usize| mixed(round * size + number);
        let started = Instant::now();
        all(node, size, request, |number, answer| {
            let is_first = number % 2 == 0 || serde_json::from_slice::<Value>(answer)?["success"] == true;
            anyhow::ensure!(is_first, "{}", String::from_utf8_lossy(answer));
            Ok(())
        })
        .await?;
        took += started.elapsed();
        let started = Instant::now();
        all(bare, size, request, |_, _| Ok(())).await?;
        bare_took += started.elapsed();
    }
    let (rate, bare_rate) = (per_second(ROUNDS * size, took), per_second(ROUNDS * size, bare_took));
    crate::cli::say(&format!(
        "issued and asked about by turns, each token answered once: {rate:.0} requests a second; a bare route {bare_rate:.0}; \
         ratio {:.2}",
        rate / bare_rate
    ))
}

/// Sends `count` requests over [`CONNECTIONS`] connections: path, body, and the token that authorizes it; `take` gets every
/// answer.
async fn all<'a>(
    target: &Target,
    count: usize,
    request: impl Fn(usize) -> (&'static str, Bytes, Option<&'a str>),
    mut take: impl FnMut(usize, &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let next = Rc::new(Cell::new(0));
    let (answers, mut taken) = tokio::sync::mpsc::unbounded_channel();
    let one = async || {
        let mut sender = target.connect().await?;
        loop {
            let number = next.replace(next.get() + 1);
            if number >= count {
                return anyhow::Ok(());
            }
            let (path, body, token) = request(number);
            let (status, answer) = target.post(&mut sender, path, body, token).await?;
            anyhow::ensure!(status == 200, "{path} answered {status}: {}", String::from_utf8_lossy(&answer));
            answers.send((number, answer))?;
        }
    };
    let work = futures_util::future::try_join_all((0..CONNECTIONS).map(|_| one()));
    let mut work = std::pin::pin!(work);
    let mut is_done = false;
    while !is_done {
        tokio::select! {
            done = &mut work => {
                done?;
                is_done = true;
            }
            Some((number, answer)) = taken.recv() => take(number, &answer)?,
        }
    }
    while let Ok((number, answer)) = taken.try_recv() {
        take(number, &answer)?;
    }
    Ok(())
}

/// Routes that read each body and answer with about as many bytes as the node does.
fn bare() -> Router {
    let fixed = |body: Bytes| async move {
        drop(std::hint::black_box(body));
        [b'x'; 300]
    };
    Router::new().route("/api/v1/challenges", post(fixed)).route("/api/v1/siteverify", post(fixed))
}

/// Bytes of all files of a folder.
fn bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}

#[expect(clippy::cast_precision_loss, reason = "a count for a rate")]
fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}
