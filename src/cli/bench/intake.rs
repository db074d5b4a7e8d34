//! `bench intake`: how many sessions a second a node makes durable and answers, and how fast.

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;

use super::super::local_node::{self, LocalNode, NodeSettings};
use super::super::progress::aside;
use super::drain::{self, Drain};
use super::load::{self, Pool, Tally, Target};
use super::{baseline, best};
use crate::domain::evidence::Evidence;

/// Before each round, not counted: connections, allocator and caches settle.
const WARM_UP: Duration = Duration::from_millis(500);
/// About how long a round is where the node and the baseline take turns.
const ROUND: Duration = Duration::from_secs(5);
/// No load of this command fills it.
const QUEUE_LIMIT: u64 = 1_000_000_000;

/// Loads a node with generated sessions over real sockets: each connection sends the next one when the last is answered
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Connections at the same time
    #[arg(long, value_name = "N", default_value = "16")]
    connections: NonZeroUsize,
    /// How long to send, such as 30s
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    duration: Duration,
    /// The node, as http://HOST:PORT; without it, one is started in a temporary folder
    #[arg(long)]
    url: Option<String>,
    /// Key to send, where the node asks for one
    #[arg(long)]
    key: Option<String>,
    /// Movements of each session
    #[arg(long, value_name = "N", default_value = "500")]
    movements: NonZeroUsize,
    /// In turn with the node, load a bare route with the same bodies, and print the ratios. `parse` only parses them; `best`
    /// scans them, computes the statistics, encodes the record and syncs a log; `judged` also has the model judge
    #[arg(long, value_name = "ROUTE", num_args = 0..=1, default_missing_value = "parse")]
    baseline: Option<Baseline>,
    /// In turn with single requests, send so many sessions a request to the bulk intake, and print the ratio
    #[arg(long, value_name = "N", conflicts_with_all = ["baseline", "drain"])]
    bulk: Option<NonZeroUsize>,
    /// Let the scheduler run, and report results a second and the backlog
    #[arg(long, conflicts_with = "baseline")]
    drain: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What a node is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Baseline {
    Parse,
    Best,
    Judged,
}

impl Baseline {
    /// Starts it in this process; what it writes goes into `folder`.
    fn start(self, folder: &Path) -> anyhow::Result<LocalNode> {
        match self {
            Self::Parse => baseline::start(),
            Self::Best => best::start(folder, false),
            Self::Judged => best::start(folder, true),
        }
    }
}

/// A time as settings spell it: `500ms`, `30s`, `5m`, `1h`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a number with its unit, such as 500ms, 30s or 5m".to_owned()),
    };
    let count: u64 = digits.parse().map_err(|_| "write a whole number with its unit, such as 30s".to_owned())?;
    let millis = count.checked_mul(factor).filter(|ms| *ms > 0).ok_or("must be more than nothing")?;
    Ok(Duration::from_millis(millis))
}

/// What was measured.
struct Measured {
    node: Tally,
    /// The bare route, or the bulk intake.
    other: Option<Tally>,
    drain: Option<Drain>,
    body_bytes: usize,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let node = match &args.url {
        Some(url) => LocalNode { url: url.clone(), stop: Box::new(|| Ok(())) },
        None => local_node::start(&NodeSettings {
            folder: folder.path().to_owned(),
            scheduler: args.drain,
            interval: Duration::from_millis(100),
            max_wait: Duration::from_secs(1),
            queue_limit: QUEUE_LIMIT,
            evidence: Evidence::Auto,
        })?,
    };
    let bare = args.baseline.map(|baseline| baseline.start(folder.path())).transpose()?;
    let measured = measure(args, &node.url, bare.as_ref().map(|bare| bare.url.as_str()));
    let stopped = (node.stop)();
    if let Some(bare) = bare {
        (bare.stop)()?;
    }
    let measured = measured?;
    stopped?;
    aside(|| print(args, &measured))?;
    anyhow::ensure!(measured.node.latency.count() > 0, "no session was accepted; the errors above say why");
    Ok(ExitCode::SUCCESS)
}

fn measure(args: &Args, url: &str, bare: Option<&str>) -> anyhow::Result<Measured> {
    let key = args.key.as_deref();
    let (target, bare) = (Target::new(url, key)?, bare.map(|url| Target::new(url, None)).transpose()?);
    // Identifiers that no earlier run has used: a node answers a known one from memory.
    let pool = Rc::new(Pool::new(args.movements.get(), format!("bench-{:016x}-", rand::random::<u64>())));
    let body_bytes = pool.body_bytes();
    let connections = args.connections.get();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let bulk = args.bulk.map(|bulk| (target.clone(), Rc::new(pool.in_bulk(bulk))));
        let other = bare.map(|bare| (bare, Rc::clone(&pool))).or(bulk);
        let rounds = if other.is_some() { rounds(args.duration) } else { 1 };
        let lasting = args.duration / rounds;
        let (mut node, mut others) = (Tally::default(), other.as_ref().map(|_| Tally::default()));
        let (mut next, mut next_other, mut drained) = (0, 0, None);
        for _ in 0..rounds {
            (_, next) = load::send(&target, &pool, connections, WARM_UP, next).await;
            let watch = args.drain.then(|| tokio::task::spawn_local(drain::watch(target.clone(), lasting)));
            let (tally, after) = load::send(&target, &pool, connections, lasting, next).await;
            next = after;
            node.merge(&tally);
            if let Some(watch) = watch {
                drained = Some(watch.await??);
            }
            if let (Some((target, pool)), Some(others)) = (&other, &mut others) {
                (_, next_other) = load::send(target, pool, connections, WARM_UP, next_other).await;
                let (tally, after) = load::send(target, pool, connections, lasting, next_other).await;
                next_other = after;
                others.merge(&tally);
            }
        }
        Ok(Measured { node, other: others, drain: drained, body_bytes })
    })
}

/// At least three turns each, more when there is time.
fn rounds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs() / ROUND.as_secs()).unwrap_or(u32::MAX).clamp(3, 100)
}

fn millis(tally: &Tally, per_mille: u64) -> f64 {
    (tally.latency.quantile(per_mille).as_secs_f64() * 1e6).round() / 1e3
}

fn print(args: &Args, measured: &Measured) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let baseline = measured.other.as_ref().filter(|_| args.bulk.is_none());
    let bulk = measured.other.as_ref().filter(|_| args.bulk.is_some());
    let ratio = baseline.map(|baseline| measured.node.rate() / baseline.rate());
    let slower = baseline.map(|baseline| millis(&measured.node, 990) / millis(baseline, 990));
    let bulk_ratio = bulk.map(|bulk| bulk.rate() / measured.node.rate());
    if args.json {
        let side = |tally: &Tally| {
            json!({
                "sessionsPerSecond": tally.rate(), "p50Ms": millis(tally, 500), "p99Ms": millis(tally, 990),
                "p999Ms": millis(tally, 999), "accepted": tally.sessions, "errors": tally.errors,
            })
        };
        let report = json!({
            "connections": args.connections, "durationSeconds": args.duration.as_secs_f64(),
            "movements": args.movements, "bodyBytes": measured.body_bytes, "node": side(&measured.node),
            "baseline": baseline.map(side), "ratio": ratio, "ratioOfP99": slower, "drain": measured.drain,
            "bulk": bulk.map(side), "bulkRatio": bulk_ratio,
        });
        return writeln!(out, "{report}");
    }
    writeln!(
        out,
        "{} connections, {} movements a session ({} bytes), {:.0} s",
        args.connections,
        args.movements,
        measured.body_bytes,
        measured.node.elapsed.as_secs_f64()
    )?;
    let mut line = |name: &str, tally: &Tally| {
        let [p50, p99, p999] = [500, 990, 999].map(|q| millis(tally, q));
        let rate = tally.rate();
        writeln!(out, "{name:<8} {rate:>9.0} sessions/s   p50 {p50:.2} ms   p99 {p99:.2} ms   p99.9 {p999:.2} ms")?;
        for (kind, count) in &tally.errors {
            writeln!(out, "{name:<8} {count:>9} errors: {kind}")?;
        }
        io::Result::Ok(())
    };
    line("node", &measured.node)?;
    for (name, other) in [("baseline", baseline), ("bulk", bulk)] {
        other.map_or(Ok(()), |other| line(name, other))?;
    }
    if let Some(ratio) = bulk_ratio {
        writeln!(out, "ratio    {ratio:>9.2} of single requests' rate")?;
    }
    if let (Some(ratio), Some(slower)) = (ratio, slower) {
        writeln!(out, "ratio    {ratio:>9.2} of the baseline's rate, {slower:.2} of its p99")?;
    }
    if let Some(drain) = &measured.drain {
        writeln!(out, "{drain}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        for bad in ["", "30", "s", "-1s", "1.5s", "0s", "99999999999999999999s", "é"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_load_counts_every_answer_and_every_body_is_a_session_of_its_own() {
        let bare = baseline::start().unwrap();
        let args = Args {
            connections: NonZeroUsize::new(4).unwrap(),
            duration: Duration::from_millis(200),
            url: None,
            key: Some("secret".to_owned()),
            movements: NonZeroUsize::new(20).unwrap(),
            baseline: None,
            bulk: None,
            drain: false,
            json: false,
        };
        let measured = measure(&args, &bare.url, Some(&bare.url)).unwrap();
        (bare.stop)().unwrap();
        assert!(measured.node.latency.count() > 10);
        assert!(measured.node.errors.is_empty(), "{:?}", measured.node.errors);
        assert!(measured.other.unwrap().latency.count() > 10);
    }

    #[test]
    fn a_server_that_is_not_there_is_counted_not_waited_for() {
        let args = Args {
            connections: NonZeroUsize::new(2).unwrap(),
            duration: Duration::from_millis(50),
            url: None,
            key: None,
            movements: NonZeroUsize::new(20).unwrap(),
            baseline: None,
            bulk: None,
            drain: false,
            json: false,
        };
        // Port 9 of the loopback interface: nothing listens there.
        let measured = measure(&args, "http://127.0.0.1:9", None).unwrap();
        assert_eq!(measured.node.latency.count(), 0);
        assert!(measured.node.errors["connect"] >= 2);
    }
}
