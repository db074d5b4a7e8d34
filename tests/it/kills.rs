//! SIGKILL again and again, on both stores side by side: in the midst of intake and batches, and while a node starts. What was
//! lost, doubled or invented is counted. `scripts/kill-test` runs the long form.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tokio::sync::watch;

use crate::clients::{finish, id, score, session};
use crate::crash::as_scored;
use crate::process::{Place, Process};

/// Clients that send side by side.
const CLIENTS: usize = 8;

/// Kills after which a store is finished and every session in it looked at; the next ones hit an empty store.
const KILLS_OF_A_STORE: usize = 250;

/// One in so many kills hits a node that is still starting.
const STARTS: u32 = 8;

/// Acknowledged sessions between two kills, at most.
const MAX_BETWEEN: usize = 240;

/// A node starts in less.
const START: Duration = Duration::from_millis(60);

/// Batches run all the time, and those of a killed node come back soon on a store that nodes share.
const SETTINGS: [(&str, &str); 2] = [("PLAYPROOF_SCHEDULER_INTERVAL", "1s"), ("PLAYPROOF_LEASE", "2s")];

/// How often, and which build of the program.
#[expect(clippy::disallowed_methods, reason = "the long form is asked for by the environment")]
fn plan() -> (usize, String) {
    let kills = std::env::var("KILLS").ok().and_then(|v| v.parse().ok()).unwrap_or(12);
    let program = std::env::var("KILL_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_playproof-batch").to_owned());
    (kills, program)
}

/// What came out.
#[derive(Default)]
struct Tally {
    kills: usize,
    acknowledged: usize,
    /// Acknowledged sessions without a result, or unknown after a restart.
    lost: usize,
    /// Known, without a result: the queue gives a session up whose batches died again and again, and says so.
    failed: usize,
    /// Second results of a session, and results that became others.
    double: usize,
    /// Sessions and results that nobody sent.
    invented: usize,
    slowest: Duration,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.failed += other.failed;
        self.double += other.double;
        self.invented += other.invented;
        self.slowest = self.slowest.max(other.slowest);
    }

    fn told(&self, of: &str, begun: Instant) {
        let took = begun.elapsed().as_secs_f64();
        println!(
            "{of}: killed {}, acknowledged {}, lost {}, double {}, invented {}, given up {}, slowest restart {:.3} s, {took:.0} s",
            self.kills,
            self.acknowledged,
            self.lost,
            self.double,
            self.invented,
            self.failed,
            self.slowest.as_secs_f64(),
        );
    }
}

/// What clients sent to one store.
struct Sent {
    /// One for all nodes: making one reads every certificate that the system trusts.
    client: reqwest::Client,
    next: AtomicUsize,
    answered: Mutex<HashSet<usize>>,
    /// Sent without an answer: sent again once the node is back, as clients do.
    open: Mutex<Vec<usize>>,
    count: watch::Sender<usize>,
}

impl Sent {
    fn new() -> Self {
        Self {
            client: playproof_batch::tls::http_client().no_proxy().build().unwrap(),
            next: AtomicUsize::new(0),
            answered: Mutex::default(),
            open: Mutex::default(),
            count: watch::Sender::new(0),
        }
    }

    fn acknowledged(&self) -> usize {
        self.answered.lock().unwrap().len()
    }

    fn all(&self) -> usize {
        self.next.load(Ordering::SeqCst)
    }

    /// One that has no answer yet, or else a new one.
    fn take(&self) -> usize {
        let open = self.open.lock().unwrap().pop();
        open.unwrap_or_else(|| self.next.fetch_add(1, Ordering::SeqCst))
    }

    /// Sends session `n`; whether it was acknowledged.
    async fn send(&self, url: &str, n: usize) -> bool {
        let acknowledged = match score(&self.client, url, session(n, true)).await {
            Ok(answer) => {
                assert_eq!(answer.status(), 200, "session {n} was refused");
                answer.json::<Value>().await.is_ok()
            }
            Err(_) => false,
        };
        if acknowledged {
            self.answered.lock().unwrap().insert(n);
            self.count.send_modify(|count| *count += 1);
        } else {
            self.open.lock().unwrap().push(n);
        }
        acknowledged
    }

    /// One after the other until the node is gone.
    async fn load(&self, url: &str) {
        while self.send(url, self.take()).await {}
    }

    /// Whatever has no answer yet.
    async fn rest(&self, url: &str) {
        loop {
            let Some(n) = self.open.lock().unwrap().pop() else { return };
            assert!(self.send(url, n).await, "a node that nobody killed does not answer");
        }
    }

    async fn get(&self, url: &str, path: &str) -> Value {
        self.client.get(format!("{url}{path}")).send().await.unwrap().json().await.unwrap()
    }
}

/// Kills nodes of one store `kills` times.
async fn of_one_store(program: &str, place: Place, kills: usize, chance: &mut ChaCha8Rng) -> Tally {
    let sent = std::sync::Arc::new(Sent::new());
    let (mut tally, mut seen) = (Tally::default(), HashMap::new());
    while tally.kills < kills {
        if chance.random_range(0..STARTS) == 0 {
            let starting = Process::starting(program, &place.url, &SETTINGS);
            // The moment of the kill is the experiment, here and below.
            tokio::time::sleep(START.mul_f64(chance.random_range(0.0..1.0))).await;
            starting.kill();
            tally.kills += 1;
            continue;
        }
        let node = Process::of(program, &place.url, &SETTINGS);
        tally.slowest = tally.slowest.max(node.ready_after);
        balance(&node.url, &sent, &mut tally).await;
        for row in sent.get(&node.url, "/api/v1/batch/results?limit=5").await["results"].as_array().unwrap() {
            seen.entry(row["sessionId"].as_str().unwrap().to_owned()).or_insert_with(|| row.clone());
        }
        let wanted = *sent.count.borrow() + chance.random_range(1..=MAX_BETWEEN);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (url, sent) = (node.url.clone(), sent.clone());
                tokio::spawn(async move { sent.load(&url).await })
            })
            .collect();
        let mut count = sent.count.subscribe();
        let reached = tokio::time::timeout(Duration::from_secs(60), count.wait_for(|count| *count >= wanted)).await;
        reached.expect("the node takes sessions").unwrap();
        tokio::time::sleep(Duration::from_micros(chance.random_range(0..3_000))).await;
        node.kill();
        tally.kills += 1;
        for client in clients {
            client.await.unwrap();
        }
    }
    let node = Process::of(program, &place.url, &SETTINGS);
    sent.rest(&node.url).await;
    finish(&node.url).await;
    balance(&node.url, &sent, &mut tally).await;
    judge(&node.url, &sent, &seen, &mut tally).await;
    assert!(node.terminate().0.success());
    tally.acknowledged = sent.acknowledged();
    tally
}

/// What the store counts must lie between what was acknowledged and what was sent.
async fn balance(url: &str, sent: &Sent, tally: &mut Tally) {
    let total = sent.get(url, "/api/v1/batch/stats").await["queue"]["total"].as_u64().unwrap();
    let total = usize::try_from(total).unwrap();
    if !(sent.acknowledged()..=sent.all()).contains(&total) {
        println!("{} were acknowledged of {} sent, and the store counts {total}", sent.acknowledged(), sent.all());
    }
    tally.lost += sent.acknowledged().saturating_sub(total);
    tally.invented += total.saturating_sub(sent.all());
}

/// Looks at every result of a store whose sessions all have an answer and are through.
async fn judge(url: &str, sent: &Sent, seen: &HashMap<String, Value>, tally: &mut Tally) {
    let mut results: HashMap<String, Value> = HashMap::new();
    let (mut listed, mut cursor) = (0, Some(String::new()));
    while let Some(from) = cursor {
        let page = sent.get(url, &format!("/api/v1/batch/results?limit=1000{from}")).await;
        for row in page["results"].as_array().unwrap() {
            listed += 1;
            results.insert(row["sessionId"].as_str().unwrap().to_owned(), row.clone());
        }
        cursor = page["nextCursor"].as_str().map(|next| format!("&cursor={next}"));
    }
    let names: HashSet<String> = (0..sent.all()).map(id).collect();
    for name in names.iter().filter(|name| !results.contains_key(*name)) {
        let now = sent.get(url, &format!("/api/v1/batch/result/{name}")).await;
        let is_failed = now["status"] == "failed";
        println!("{name} has no result: {now}");
        *(if is_failed { &mut tally.failed } else { &mut tally.lost }) += 1;
    }
    tally.invented += results.keys().filter(|name| !names.contains(*name)).count();
    let processed = sent.get(url, "/api/v1/batch/stats").await["queue"]["processed"].as_u64().unwrap();
    tally.double += usize::try_from(processed).unwrap().max(listed) - results.len();
    for (name, before) in seen {
        if let Some(now) = results.get(name).filter(|now| as_scored(now) != as_scored(before)) {
            println!("{name} was {before} and became {now}");
            tally.double += 1;
        }
    }
}

/// `kills` of them on stores that `place` makes.
async fn on_stores(name: &str, program: &str, place: impl Fn() -> Place, kills: usize, seed: u64) -> Tally {
    let (begun, mut all) = (Instant::now(), Tally::default());
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    while all.kills < kills {
        all.add(&of_one_store(program, place(), KILLS_OF_A_STORE.min(kills - all.kills), &mut chance).await);
        all.told(name, begun);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_double_and_invent_nothing_on_either_store() {
    let (kills, program) = plan();
    let begun = Instant::now();
    let (mut all, postgres) = tokio::join!(
        on_stores("embedded", &program, Place::embedded, kills.div_ceil(2), 1),
        on_stores("postgres", &program, Place::postgres, kills / 2, 2),
    );
    all.add(&postgres);
    all.told("both", begun);
    assert_eq!((all.kills, all.lost, all.double, all.invented), (kills, 0, 0, 0));
}
