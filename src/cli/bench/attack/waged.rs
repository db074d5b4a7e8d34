//! The five attacks, all at once, each from an address of its own, on a thread beside the well-behaved client.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::super::load::{self, Pool, Tally, Target};
use super::sockets::{self, Conduct, Held, Sockets};

/// Connections that announce a large body to the log-in and send a part of it.
const LARGE_BODIES: usize = 130;
const ANNOUNCED_BYTES: usize = 2 << 20;
/// What each of them sends, a piece every second.
const SENT_PIECES: usize = 14;
const PIECE_BYTES: usize = 5_000;
/// Connections that say nothing.
const IDLE: usize = 940;
/// Bulk uploads without a line, and followers of verdicts, all with one key.
const BULK: usize = 16;
const FOLLOWERS: usize = 64;
/// Connections of each flood of sessions.
const FLOOD_CONNECTIONS: usize = 32;
/// How often held sockets are counted.
const SAMPLE: Duration = Duration::from_millis(250);

/// Whom the attacks go against, with what, and how hard.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) url: String,
    pub(super) submit_key: &'static str,
    pub(super) flood_key: &'static str,
    pub(super) streams_key: &'static str,
    pub(super) movements: usize,
    /// Addresses that the idle sockets come from.
    pub(super) idle_addresses: u8,
    /// Between two sessions of a flood.
    pub(super) pace: Duration,
    /// Between the loss of a socket and the next one.
    pub(super) reopen: Duration,
    /// Before anything is counted as held.
    pub(super) lead: Duration,
    pub(super) lasting: Duration,
}

/// What the attacks came to.
pub(super) struct Waged {
    pub(super) held: Vec<(String, Held)>,
    pub(super) floods: Vec<(String, Tally)>,
}

/// Wages them for `plan.lead + plan.lasting`. Called on a thread of its own.
pub(super) fn wage(plan: &Plan) -> anyhow::Result<Waged> {
    let deadline = Instant::now() + plan.lead + plan.lasting;
    let target =
        |key: Option<&str>, last: u8| anyhow::Ok(Target::new(&plan.url, key)?.from(Ipv4Addr::new(127, 0, 0, last)));
    let large = target(None, 2)?;
    let idle = (0..plan.idle_addresses).map(|n| Ok(Target::new(&plan.url, None)?.from(Ipv4Addr::new(127, 0, 1, n))));
    let idle: Vec<Target> = idle.collect::<anyhow::Result<_>>()?;
    let (page, rival) = (target(Some(plan.submit_key), 4)?, target(Some(plan.flood_key), 5)?);
    let streams = target(Some(plan.streams_key), 6)?;
    let announced = format!("Content-Type: application/json\r\nContent-Length: {ANNOUNCED_BYTES}\r\n");
    let large_conduct = Conduct {
        piece: PIECE_BYTES,
        pieces: SENT_PIECES,
        ..Conduct::saying(large.head("POST", "/api/v1/session", &announced), false)
    };
    let chunked = "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n";
    let bulk_conduct = Conduct::saying(streams.head("POST", "/api/v1/batch/sessions", chunked), true);
    let follow_conduct = Conduct::saying(streams.head("GET", "/api/v1/verdicts", ""), true);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let hold_from = |targets: &[Target], conduct: &Conduct, count| {
            sockets::hold(targets, conduct, count, plan.reopen, deadline)
        };
        let hold = |target: &Target, conduct: &Conduct, count| hold_from(std::slice::from_ref(target), conduct, count);
        let held = [
            (format!("a  {LARGE_BODIES} large bodies"), hold(&large, &large_conduct, LARGE_BODIES)),
            (format!("b  {IDLE} idle sockets"), hold_from(&idle, &Conduct::saying(String::new(), false), IDLE)),
            (format!("e  {BULK} idle bulk uploads"), hold(&streams, &bulk_conduct, BULK)),
            (format!("e  {FOLLOWERS} followers"), hold(&streams, &follow_conduct, FOLLOWERS)),
        ];
        let counted: Vec<_> = held.iter().map(|(_, sockets)| Rc::clone(sockets)).collect();
        tokio::task::spawn_local(sample(counted, Instant::now() + plan.lead));
        let flood = |target: Target, name: &'static str| {
            let pool = Rc::new(Pool::new(plan.movements, format!("{name}-{:016x}-", rand::random::<u64>())));
            let (lasting, pace) = (plan.lead + plan.lasting, Some(plan.pace));
            async move { load::send_paced(&target, &pool, FLOOD_CONNECTIONS, lasting, 0, pace).await.0 }
        };
        let (page, rival) = tokio::join!(flood(page, "page"), flood(rival, "rival"));
        let floods = vec![("c  shared page key".to_owned(), page), ("d  other deployment".to_owned(), rival)];
        let held = held.iter().map(|(name, sockets)| (name.clone(), Held::from(&**sockets))).collect();
        Ok(Waged { held, floods })
    })
}

/// Counts the held sockets over and over, from `start` on.
async fn sample(all: Vec<Rc<Sockets>>, start: Instant) {
    let mut tick = tokio::time::interval_at(start.into(), SAMPLE);
    loop {
        tick.tick().await;
        for sockets in &all {
            sockets.sample();
        }
    }
}
