//! Faults of every kind at random on three nodes under load: nothing acknowledged is lost, nothing has two results,
//! nothing is stuck. `scripts/chaos-test` runs the long form.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::clients::{Told, all_results, load};
use crate::cluster::{Cluster, psql};
use crate::nodes::{unprocessed, until};
use crate::process::Process;

const LEASE: Duration = Duration::from_secs(3);

/// The network between one node and the database.
struct Wire {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Wire {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self { port: listener.local_addr().unwrap().port(), cut: Arc::default() };
        let cut = wire.cut.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let cut = cut.clone();
                tokio::spawn(async move {
                    let severed = async {
                        while !cut.load(Ordering::SeqCst) {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    };
                    if cut.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        () = severed => {
                            // Neither side hears of it: bytes just stop, until the cut is mended.
                            while cut.load(Ordering::SeqCst) {
                                tokio::time::sleep(Duration::from_millis(20)).await;
                            }
                        }
                    }
                });
            }
        });
        wire
    }
}

/// The nodes' addresses, for clients that go to whoever answers.
type Addresses = Arc<Mutex<Vec<String>>>;

async fn client(addresses: Addresses, told: Arc<Told>, number: usize) {
    while !told.stop.load(Ordering::SeqCst) {
        let url = {
            let addresses = addresses.lock().unwrap();
            addresses[number % addresses.len()].clone()
        };
        // Ends when the node goes away or refuses; whatever it acknowledged is remembered.
        let last = tokio::time::timeout(Duration::from_secs(4), load(&url, &told)).await;
        if !matches!(last, Ok(None)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the long form is asked for by the environment")]
fn seconds() -> u64 {
    std::env::var("CHAOS_SECONDS").ok().and_then(|v| v.parse().ok()).unwrap_or(60)
}

/// What sets a process's wall clock wrong, where it is installed (Debian's package `faketime`).
fn faketime() -> Option<&'static str> {
    let libraries =
        ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"];
    libraries.into_iter().find(|library| std::path::Path::new(library).exists())
}

fn start(url: &str, skew: &str) -> Option<Process> {
    let mut settings = vec![
        ("PLAYPROOF_LEASE", "3s"),
        ("PLAYPROOF_SCHEDULER_INTERVAL", "1s"),
        ("PLAYPROOF_SCHEDULER_MAX_WAIT", "1s"),
        ("PLAYPROOF_BATCH_SIZE", "20"),
        ("PLAYPROOF_LOG", "off"),
    ];
    if let Some(library) = faketime() {
        settings.extend([("LD_PRELOAD", library), ("FAKETIME", skew), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
    }
    Process::begin(url, &settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_every_kind_lose_nothing_and_double_nothing() {
    let span = Duration::from_secs(seconds());
    let cluster = Cluster::start(true);
    let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let mut wires = Vec::new();
    for _ in 0..3 {
        wires.push(Wire::to(cluster.port).await);
    }
    let urls: Vec<String> = wires
        .iter()
        .map(|wire| format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", wire.port))
        .collect();
    // Minutes ahead, minutes behind, right.
    let skews = ["+420s", "-300s", "+0s"];
    let mut nodes: Vec<Option<Process>> = (0..3).map(|n| start(&urls[n], skews[n])).collect();
    let addresses: Addresses =
        Arc::new(Mutex::new(nodes.iter().map(|node| node.as_ref().unwrap().url.clone()).collect()));
    let told = Arc::new(Told::default());
    let clients: Vec<_> = (0..6).map(|n| tokio::spawn(client(addresses.clone(), told.clone(), n))).collect();
    let mut done: BTreeMap<&str, u32> = BTreeMap::new();
    let begun = Instant::now();
    while begun.elapsed() < span {
        tokio::time::sleep(Duration::from_millis(chance.random_range(200..1_200))).await;
        let n = chance.random_range(0..3);
        let fault = match chance.random_range(0..10) {
            0..=2 => {
                nodes[n].take().into_iter().for_each(Process::kill);
                "node killed"
            }
            3..=5 => {
                if let Some(node) = &nodes[n] {
                    node.signal("STOP");
                    tokio::time::sleep(LEASE + Duration::from_millis(chance.random_range(200..1_500))).await;
                    node.signal("CONT");
                }
                "node frozen for longer than a lease"
            }
            6..=7 => {
                wires[n].cut.store(true, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(chance.random_range(500..5_000))).await;
                wires[n].cut.store(false, Ordering::SeqCst);
                "network cut"
            }
            8 => {
                cluster.tell("stop");
                cluster.tell("start");
                "PostgreSQL restarted"
            }
            _ => {
                cluster.tell("kill");
                cluster.tell("start");
                "PostgreSQL killed"
            }
        };
        *done.entry(fault).or_default() += 1;
        for n in 0..3 {
            if nodes[n].is_none() {
                nodes[n] = start(&urls[n], skews[n]);
                if let Some(node) = &nodes[n] {
                    addresses.lock().unwrap()[n].clone_from(&node.url);
                }
            }
        }
    }
    told.stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let ended = Instant::now();
    let url = nodes.iter().flatten().next().unwrap().url.clone();
    // A lease, and the time to work off what waits.
    until("nothing is stuck", LEASE + Duration::from_secs(30), async || unprocessed(&url).await == 0).await;
    let stuck_for = ended.elapsed();
    let results = all_results(&url).await;
    let lost = told.lost(&results);
    let sql = "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM results), (SELECT count(*) FROM queue), \
               (SELECT sum(accepted) FROM counters), (SELECT sum(processed) FROM counters), \
               (SELECT count(*) FROM batches WHERE outcome = 4)";
    let rows = psql(&cluster.url(), sql);
    let rows: Vec<u64> = rows.split('|').map(|n| n.parse().unwrap()).collect();
    println!(
        "chaos: {} s, {done:?}, clocks {}, acknowledged {}, stored {}, lost {lost}, second results {}, batches abandoned {}, \
         drained {:.1} s after the last fault",
        span.as_secs(),
        if faketime().is_some() { "7 min ahead, 5 min behind, right" } else { "right: faketime is not installed" },
        told.acknowledged().len(),
        rows[0],
        rows[1].abs_diff(results.len() as u64),
        rows[5],
        stuck_for.as_secs_f64()
    );
    assert_eq!(lost, 0);
    assert_eq!((rows[0], rows[2], rows[3], rows[4]), (rows[1], 0, rows[1], rows[1]), "rows and counts agree");
    assert_eq!(rows[1], results.len() as u64);
}
