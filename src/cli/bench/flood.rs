//! `bench flood`: whether replays are found while a node takes all it can.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::super::local_node::{self, NodeSettings};
use super::load::{self, Target};
use crate::adversary::replay::{self, Replay};
use crate::domain::evidence::Evidence;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::generator::{self, Family, Shape};
use crate::offline::labels::Labels;
use crate::offline::load as files;

/// Replays that are mostly found while nothing else goes on.
const REPLAYS: [Replay; 8] = [
    Replay::Mirrored,
    Replay::Stretched,
    Replay::Turned,
    Replay::Retimed,
    Replay::Scaled,
    Replay::Joined,
    Replay::At60Hz,
    Replay::Reaches,
];
/// Movements of each session of the flood.
const MOVEMENTS: usize = 200;
/// Between two looks at what is still to be done.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Longest wait for a node to end its work.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(600);
/// No load of this command fills it.
const QUEUE_LIMIT: u64 = 1_000_000_000;

/// Hide replays in a flood of sessions and count how many of those found on an idle node are found in it
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Sessions, one JSON object a line: plain, gzip or zstd
    #[arg(long, required = true, num_args = 1.., value_name = "INPUT")]
    sessions: Vec<PathBuf>,
    /// Labels; of labelled sessions only those of people are taken
    #[arg(long, num_args = 1.., value_name = "CSV")]
    labels: Vec<PathBuf>,
    /// People's sessions that are replayed
    #[arg(long, default_value = "200", value_name = "N")]
    replays: NonZeroUsize,
    /// Generated sessions around the replays
    #[arg(long, default_value = "20000", value_name = "N")]
    flood: NonZeroUsize,
    /// Connections at the same time
    #[arg(long, default_value = "64", value_name = "N")]
    connections: NonZeroUsize,
    /// The seed of replays and flood
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A replay and the sessions that it was made from.
struct Made {
    body: Bytes,
    id: String,
    sources: Vec<String>,
}

/// What became of one run.
struct Ran {
    found: Vec<bool>,
    accepted_in: Duration,
    settled_after: Duration,
}

impl Ran {
    /// Sessions a second, of so many, from the first accepted to the last settled and compared.
    fn rate(&self, sent: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count for a printed rate")]
        let sent = sent as f64;
        sent / (self.accepted_in + self.settled_after).as_secs_f64()
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let people = people(args)?;
    let sources: Vec<Bytes> = people.iter().map(body).collect();
    let replays: Vec<Made> = (0..people.len()).map(|place| replayed(args.seed, &people, place)).collect();
    let idle = ran(args, &sources, &replays, 0, Evidence::Auto)?;
    let flooded = ran(args, &sources, &replays, args.flood.get(), Evidence::Auto)?;
    let never = ran(args, &sources, &replays, args.flood.get(), Evidence::Never)?;
    let always = ran(args, &sources, &replays, args.flood.get(), Evidence::Always)?;
    let count = |found: &mut dyn Iterator<Item = bool>| found.filter(|found| *found).count();
    let found = count(&mut idle.found.iter().copied());
    let again = count(&mut idle.found.iter().zip(&flooded.found).map(|(idle, flooded)| *idle && *flooded));
    #[expect(clippy::cast_precision_loss, reason = "counts for a printed rate")]
    let (rate, share) = (
        (args.flood.get() + replays.len()) as f64 / flooded.accepted_in.as_secs_f64(),
        100.0 * again as f64 / found.max(1) as f64,
    );
    crate::cli::say(&format!(
        "{found} of {} replays are found on an idle node; in a flood of {} sessions, taken at {rate:.0} a second, {again} of \
         these ({share:.1} %), all compared {:.1} s after the last one was taken",
        replays.len(),
        args.flood,
        flooded.settled_after.as_secs_f64()
    ))?;
    let sent = args.flood.get() + replays.len();
    let [never, always, auto] = [&never, &always, &flooded].map(|ran| ran.rate(sent));
    crate::cli::say(&format!(
        "from the first accepted to the last final result: {never:.0} sessions a second never compared, {always:.0} always \
         ({:.2}), {auto:.0} by default ({:.2}), comparing included",
        always / never,
        auto / never
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// People's sessions with five reaches or more, evenly spread over those given.
fn people(args: &Args) -> anyhow::Result<Vec<Session>> {
    let labels = Labels::open(&args.labels)?;
    let person = |session: &Session| labels.get(session.id.as_str()).is_none_or(|label| label.human);
    let wanted = |session: &Session| person(session) && replay::has_five_reaches(session);
    let load = |(): &mut (), session: Session| wanted(&session).then_some(session);
    let mut people = files::each(&args.sessions, || (), load, |refused| eprintln!("{refused}"), |_| {})?;
    let step = people.len() / args.replays;
    anyhow::ensure!(
        step > 0,
        "the files hold {} people's sessions of five reaches; ask for fewer --replays",
        people.len()
    );
    let mut place = 0;
    people.retain(|_| {
        place += 1;
        (place - 1) % step == 0
    });
    people.truncate(args.replays.get());
    Ok(people)
}

fn replayed(seed: u64, people: &[Session], place: usize) -> Made {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(place as u64));
    let (session, sources) = REPLAYS[place % REPLAYS.len()].apply(people, place, bot, &mut rng);
    let id = format!("replay-{place}");
    let session = Session { user_id: Some(id.clone()), ..named(session, &id) };
    let sources = sources.into_iter().map(|source| people[source].id.as_str().to_owned()).collect();
    Made { body: body(&session), id, sources }
}

fn bot(rng: &mut ChaCha8Rng) -> Session {
    generator::generate(Family::ALL[rng.random_range(0..Family::ALL.len())], rng.random(), Shape::default())
}

#[expect(clippy::expect_used, reason = "letters, digits and hyphens make an identifier")]
fn named(session: Session, id: &str) -> Session {
    Session { id: SessionId::parse(id).expect("letters, digits and hyphens make an identifier"), ..session }
}

fn body(session: &Session) -> Bytes {
    Bytes::from(generator::to_json(session, true))
}

/// Sends the sources to a node of its own, lets it end its work, sends the replays among `flood` generated sessions, and
/// looks which of them have a match with one of their sources once all is compared.
fn ran(args: &Args, sources: &[Bytes], replays: &[Made], flood: usize, evidence: Evidence) -> anyhow::Result<Ran> {
    let folder = tempfile::tempdir()?;
    let node = local_node::start(&NodeSettings {
        folder: folder.path().to_owned(),
        scheduler: true,
        interval: Duration::from_millis(100),
        max_wait: Duration::from_secs(1),
        queue_limit: QUEUE_LIMIT,
        evidence,
    })?;
    let mixed = mixed(args.seed, replays, flood);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ran = tokio::task::LocalSet::new().block_on(&runtime, async {
        let target = Target::new(&node.url, None)?;
        load::send_all(&target, Rc::new(sources.to_vec()), args.connections.get()).await?;
        settled(&target).await?;
        let started = Instant::now();
        load::send_all(&target, Rc::new(mixed), args.connections.get()).await?;
        let accepted_in = started.elapsed();
        let last_taken = Instant::now();
        settled(&target).await?;
        let settled_after = last_taken.elapsed();
        let mut found = Vec::with_capacity(replays.len());
        for made in replays {
            let result = target.get_json(&format!("/api/v1/batch/result/{}", made.id)).await?;
            let matches = result["result"]["matches"].as_array().cloned().unwrap_or_default();
            found.push(matches.iter().any(|id| made.sources.iter().any(|source| id == source)));
        }
        anyhow::Ok(Ran { found, accepted_in, settled_after })
    });
    (node.stop)()?;
    ran
}

/// The replays, evenly spread among generated sessions that nobody sent before.
fn mixed(seed: u64, replays: &[Made], flood: usize) -> Vec<Bytes> {
    let mut bodies: Vec<Bytes> = (0..flood as u64)
        .into_par_iter()
        .map(|n| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(n) ^ 0x00f1_00d0);
            let family = Family::ALL[rng.random_range(0..Family::ALL.len())];
            let session = generator::generate(family, rng.random(), Shape { movements: Some(MOVEMENTS) });
            body(&named(session, &format!("flood-{n}")))
        })
        .collect();
    for (place, made) in replays.iter().enumerate() {
        bodies.insert((place + 1) * flood / (replays.len() + 1) + place, made.body.clone());
    }
    bodies
}

/// Returns once every session has its result and is compared.
async fn settled(target: &Target) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let stats = target.get_json("/api/v1/batch/stats").await?;
        let waiting = stats["queue"]["unprocessed"].as_u64().context("the statistics name no queue.unprocessed")?;
        let metrics = target.get_text("/metrics").await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix("playproof_evidence_pending "));
        let pending: f64 = line.context("the metrics name no playproof_evidence_pending")?.parse()?;
        if waiting == 0 && pending == 0.0 {
            return Ok(());
        }
        anyhow::ensure!(
            began.elapsed() < SETTLE_TIMEOUT,
            "{waiting} sessions have no result, {pending} are not compared"
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
