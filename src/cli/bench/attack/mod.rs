//! `bench attack`: what a well-behaved client keeps of its rate while others do to the node what they can.

mod probes;
mod sockets;
mod waged;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::drain::{self, Drain};
use super::load::{self, Pool, Tally, Target};
use super::node::{self, Node};
use crate::cli::say;
use probes::Watched;
use sockets::Held;
use waged::{Plan, Waged};

/// Keys of the node: the shop's server and page, the other deployment that attacks, and who watches.
const SHOP_KEY: &str = "shop-server-key";
const PAGE_KEY: &str = "shop-page-key";
const FLOOD_KEY: &str = "rival-flood-key";
const STREAMS_KEY: &str = "rival-streams-key";
const ADMIN_KEY: &str = "operator-key";
const METRICS_KEY: &str = "prometheus-key";
/// Where the questions to `/health` and `/metrics` come from.
const WATCHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);
/// Sent before the first measurement and not counted.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long the attacks go on before the client starts, so that it meets them at full strength.
const LEAD: Duration = Duration::from_secs(5);
/// Between two sessions of another visitor of the page whose key is used up.
const VISITOR_PACE: Duration = Duration::from_millis(500);

/// Attacks a node in five ways at once and prints what a well-behaved client keeps of its rate
///
/// The node is `serve` in a process of its own, on a temporary folder. Each attack comes from a loopback address of its
/// own (127.0.0.2, 127.0.1.0 and so on, 127.0.0.4 to 127.0.0.6); the client comes from 127.0.0.1. Clients, attackers and node share this machine, so the
/// attacks are kept cheap: floods have a pace, and a lost socket is opened again after a pause.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How long to measure without the attacks, and then under them
    #[arg(long, value_name = "N", default_value = "60")]
    seconds: NonZeroU32,
    /// Connections of the well-behaved client
    #[arg(long, value_name = "N", default_value = "16")]
    connections: NonZeroUsize,
    /// Sessions that it sends each second; 0 sends the next one when the last is answered
    #[arg(long, value_name = "N", default_value = "300")]
    rate: u32,
    /// Sessions a second that each of the two floods tries to send
    #[arg(long, value_name = "N", default_value = "2000")]
    flood: NonZeroU32,
    /// The node's `PLAYPROOF_RATE_LIMIT`, in requests a second
    #[arg(long, value_name = "N", default_value = "1000")]
    rate_limit: NonZeroU32,
    /// The node's `PLAYPROOF_QUEUE_LIMIT`
    #[arg(long, value_name = "N", default_value = "5000")]
    queue_limit: NonZeroU64,
    /// Files that the node may open; services start with 1024 on most systems
    #[arg(long, value_name = "N", default_value = "1024")]
    open_files: NonZeroU64,
    /// Milliseconds before an attacker opens a lost socket again
    #[arg(long, value_name = "MS", default_value = "1000")]
    reopen: NonZeroU32,
    /// Addresses that the idle sockets come from
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=64))]
    idle_addresses: u8,
    /// Movements of each session
    #[arg(long, value_name = "N", default_value = "500")]
    movements: NonZeroUsize,
}

/// One of the two measurements.
struct Phase {
    client: Tally,
    visitor: Tally,
    health: Watched,
    metrics: Watched,
    drain: anyhow::Result<Drain>,
    /// Cores that the node, this process, and all programs together kept busy.
    cores: [f64; 3],
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let settings = [
        ("PLAYPROOF_INGEST_KEYS", format!("{SHOP_KEY}@shop,{FLOOD_KEY}@rival,{STREAMS_KEY}@rival")),
        ("PLAYPROOF_SUBMIT_KEYS", format!("{PAGE_KEY}@shop")),
        ("PLAYPROOF_ADMIN_KEYS", ADMIN_KEY.to_owned()),
        ("PLAYPROOF_METRICS_KEYS", METRICS_KEY.to_owned()),
        ("PLAYPROOF_RATE_LIMIT", format!("{}/s", args.rate_limit)),
        ("PLAYPROOF_QUEUE_LIMIT", args.queue_limit.to_string()),
        ("PLAYPROOF_SCHEDULER_INTERVAL", "1s".to_owned()),
        ("PLAYPROOF_SCHEDULER_MAX_WAIT", "1s".to_owned()),
    ];
    let store = format!("embedded:{}", folder.path().display());
    let node = Node::start(&store, &settings, Some(args.open_files.get()))?;
    let lasting = Duration::from_secs(args.seconds.get().into());
    let pool = Rc::new(Pool::new(args.movements.get(), format!("shop-{:016x}-", rand::random::<u64>())));
    say(&format!(
        "client: {} connections, {}, sessions of {} bytes; node: rate limit {}/s, queue limit {}, {} open files",
        args.connections,
        if args.rate == 0 { "one session after the other".to_owned() } else { format!("{} sessions/s", args.rate) },
        pool.body_bytes(),
        args.rate_limit,
        args.queue_limit,
        args.open_files,
    ))?;
    say(&format!(
        "attackers share the machine's cores: floods of {} sessions/s each, lost sockets opened again after {} ms",
        args.flood, args.reopen
    ))?;

    let client = Client { args, node: &node, pool };
    let (_, next) = client.measured(WARM_UP, 0)?;
    let (alone, next) = client.measured(lasting, next)?;
    let plan = Plan {
        url: node.url.clone(),
        submit_key: PAGE_KEY,
        flood_key: FLOOD_KEY,
        streams_key: STREAMS_KEY,
        movements: args.movements.get(),
        idle_addresses: args.idle_addresses,
        pace: Duration::from_secs(1) / args.flood.get(),
        reopen: Duration::from_millis(args.reopen.get().into()),
        lead: LEAD,
        lasting,
    };
    let begun = Instant::now();
    let attacks = std::thread::Builder::new().name("attackers".to_owned()).spawn(move || waged::wage(&plan))?;
    std::thread::sleep(LEAD.saturating_sub(begun.elapsed()));
    let (attacked, _) = client.measured(lasting, next)?;
    let waged = attacks.join().map_err(|_| anyhow::anyhow!("the attackers panicked"))??;
    print(&alone, &attacked, &waged)?;
    say(&format!("node's peak memory {:.0} MiB", node.peak_memory()?))?;
    Ok(ExitCode::SUCCESS)
}

/// The well-behaved client, and those who look on.
struct Client<'a> {
    args: &'a Args,
    node: &'a Node,
    pool: Rc<Pool>,
}

impl Client<'_> {
    /// Sends and watches for `lasting`, starting with session `first`; also the number of the session after the last.
    fn measured(&self, lasting: Duration, first: usize) -> anyhow::Result<(Phase, usize)> {
        let target = |key| Target::new(&self.node.url, key);
        let (shop, page, admin) = (target(Some(SHOP_KEY))?, target(Some(PAGE_KEY))?, target(Some(ADMIN_KEY))?);
        let (health, metrics) = (target(None)?.from(WATCHER), target(Some(METRICS_KEY))?.from(WATCHER));
        let pace = (self.args.rate > 0).then(|| Duration::from_secs(1) / self.args.rate);
        let visits = Rc::new(Pool::new(self.args.movements.get(), format!("visit-{:016x}-", rand::random::<u64>())));
        let taken =
            || anyhow::Ok([self.node.processor_time()?, node::own_processor_time()?, node::all_processor_time()?]);
        let before = taken()?;
        let began = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sent, visitor, health, metrics, drain) = tokio::task::LocalSet::new().block_on(&runtime, async {
            tokio::join!(
                load::send_paced(&shop, &self.pool, self.args.connections.get(), lasting, first, pace),
                load::send_paced(&page, &visits, 1, lasting, 0, Some(VISITOR_PACE)),
                probes::watch(health, "/health", lasting),
                probes::watch(metrics, "/metrics", lasting),
                drain::watch(admin, lasting),
            )
        });
        let (after, lasted) = (taken()?, began.elapsed().as_secs_f64());
        let cores = std::array::from_fn(|who| after[who].saturating_sub(before[who]).as_secs_f64() / lasted);
        Ok((Phase { client: sent.0, visitor: visitor.0, health, metrics, drain, cores }, sent.1))
    }
}

fn print(alone: &Phase, attacked: &Phase, waged: &Waged) -> anyhow::Result<()> {
    for (name, phase) in [("alone", alone), ("attacked", attacked)] {
        say(&format!("{name:<9} client   {}", told(&phase.client)))?;
        say(&format!("{name:<9} visitor  {}", told(&phase.visitor)))?;
        for (path, watched) in [("/health", &phase.health), ("/metrics", &phase.metrics)] {
            say(&format!(
                "{name:<9} {path:<8} slowest {:.0} ms, p50 {:.1} ms, of {} questions {} unanswered",
                millis(watched.slowest),
                millis(watched.latency.quantile(500)),
                watched.latency.count(),
                watched.unanswered
            ))?;
        }
        match &phase.drain {
            Ok(drain) => say(&format!("{name:<9} {drain}"))?,
            Err(error) => say(&format!("{name:<9} results and backlog unknown: {error}"))?,
        }
        let [node, own, all] = phase.cores;
        let others = (all - node - own).max(0.0);
        say(&format!(
            "{name:<9} cores busy: node {node:.2}, client and attackers {own:.2}, others and the kernel {others:.2}"
        ))?;
    }
    for (name, held) in &waged.held {
        let Held { on_average, opened, answers } = held;
        say(&format!("{name:<24} held on average {on_average:.0}, opened {opened}{}", counts(answers)))?;
    }
    for (name, tally) in &waged.floods {
        say(&format!("{name:<24} accepted {:.0}/s{}", tally.rate(), counts(&tally.errors)))?;
    }
    let ratio = attacked.client.rate() / alone.client.rate();
    let watched = attacked.health.slowest.max(attacked.metrics.slowest);
    say(&format!(
        "under attack the client keeps {ratio:.2} of its rate, p99 {:.1} ms; slowest /health or /metrics {:.0} ms",
        millis(attacked.client.latency.quantile(990)),
        millis(watched)
    ))
}

fn told(tally: &Tally) -> String {
    let [p50, p99] = [500, 990].map(|q| millis(tally.latency.quantile(q)));
    format!("{:.1} sessions/s, p50 {p50:.1} ms, p99 {p99:.1} ms{}", tally.rate(), counts(&tally.errors))
}

/// `, 503: 12, 429: 3`; nothing where nothing was refused.
fn counts(answers: &BTreeMap<String, u64>) -> String {
    answers.iter().fold(String::new(), |text, (answer, count)| format!("{text}, {answer}: {count}"))
}

fn millis(latency: Duration) -> f64 {
    latency.as_secs_f64() * 1e3
}
