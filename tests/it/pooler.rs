//! Nodes behind a pooler: a real PgBouncer, on the PATH or named by `PLAYPROOF_TEST_PGBOUNCER`. Without one these tests leave
//! themselves out and say so.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clients::{Told, all_results, fill, finish, get, id, score, session};
use crate::cluster::{Cluster, psql};
use crate::nodes::until;
use crate::process::{Process, binary};

/// The program and its version, as minor number: 24 is 1.24.
#[expect(clippy::disallowed_methods, reason = "who runs the tests may name a program in the environment")]
fn program() -> Option<(PathBuf, u32)> {
    let path = std::env::var("PLAYPROOF_TEST_PGBOUNCER").ok().filter(|path| !path.is_empty()).map_or_else(
        || ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].iter().map(PathBuf::from).find(|path| path.exists()),
        |path| Some(PathBuf::from(path)),
    );
    let Some(path) = path else {
        println!("PgBouncer is not installed; what goes through it is left out");
        return None;
    };
    let told = Command::new(&path).arg("--version").output().unwrap().stdout;
    let told = String::from_utf8(told).unwrap();
    let minor = told.split_whitespace().find_map(|word| word.strip_prefix("1.")).unwrap_or_else(|| panic!("{told}"));
    let minor = minor.split('.').next().unwrap().parse().unwrap();
    Some((path, minor))
}

/// A running PgBouncer in front of a cluster.
struct Pooler {
    child: Child,
    url: String,
    admin: String,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// Starts one; `settings` are lines of its file.
    fn start(program: &Path, cluster: &Cluster, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\npostgres = host=127.0.0.1 port={} user=postgres dbname=postgres\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             admin_users = postgres\nmax_client_conn = 300\nlog_connections = 0\nlog_disconnections = 0\n{settings}\n",
            cluster.port
        );
        std::fs::write(&file, text).unwrap();
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        let mut command = Command::new(program);
        if is_root {
            // It refuses to run as root, and reads its file as the other user.
            for path in [folder.path(), &file] {
                let readable = Command::new("chmod").arg("a+rX").arg(path).status().unwrap();
                assert!(readable.success());
            }
            command.args(["-u", "nobody"]);
        }
        let child = command.arg("-q").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "PgBouncer did not start");
        }
        let url = |database: &str| format!("postgres://postgres@127.0.0.1:{port}/{database}?sslmode=disable");
        Self { child, url: url("postgres"), admin: url("pgbouncer"), _folder: folder }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `check` says, and whether all is well.
fn check(store: &str) -> (bool, String) {
    let output = binary(&[("PLAYPROOF_STORE", store)]).arg("check").output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// Does what `check` says about settings of the database's user, until it says no more.
fn give_settings(pooler: &Pooler, cluster: &Cluster) {
    let (well, told) = check(&pooler.url);
    assert!(!well && told.contains("RECONNECT"), "{told}");
    let begin = told.find("ALTER ROLE").unwrap_or_else(|| panic!("no mend in {told}"));
    let mend = told[begin..].lines().next().unwrap();
    psql(&cluster.url(), mend);
    psql(&pooler.admin, "RECONNECT");
}

const TRANSACTIONS: &str = "pool_mode = transaction\nmax_prepared_statements = 200\ndefault_pool_size = 4";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_work_through_a_pooler_of_transactions() {
    let Some((program, minor)) = program() else { return };
    if minor < 21 {
        println!("PgBouncer 1.{minor} keeps no prepared statements (1.21 does); what needs them is left out");
        return;
    }
    let cluster = Cluster::start(false);
    let pooler = Pooler::start(&program, &cluster, TRANSACTIONS);
    give_settings(&pooler, &cluster);
    let settings = [
        ("PLAYPROOF_SCHEDULER_INTERVAL", "1s"),
        ("PLAYPROOF_LEASE", "2s"),
        // Two nodes are many times more clients than the pooler has connections.
        ("PLAYPROOF_STORE_CONNECTIONS", "16"),
    ];
    // Both make the schema at once.
    let begin = || Process::on(&pooler.url, &settings);
    let (one, two) = std::thread::scope(|scope| {
        let (one, two) = (scope.spawn(begin), scope.spawn(begin));
        (one.join().unwrap(), two.join().unwrap())
    });
    let (well, told) = check(&pooler.url);
    assert!(well && told.contains("pooler of transactions"), "{told}");

    let told = Arc::new(Told::default());
    let senders = [&one, &two].map(|node| {
        let (url, told) = (node.url.clone(), Arc::clone(&told));
        tokio::spawn(async move { fill(&url, &told, 400).await })
    });
    let client = playproof_batch::tls::http_client().build().unwrap();
    for number in 0..40 {
        let answer = score(&client, &one.url, session(10_000 + number, number % 2 == 0)).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    for sender in senders {
        sender.await.unwrap();
    }
    let servers = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'playproof-batch'";
    let servers: u32 = psql(&cluster.url(), servers).parse().unwrap();
    assert!((1..=4).contains(&servers), "{servers} connections of the server for two nodes");

    one.kill();
    until("the other node does the rest", Duration::from_secs(40), async || {
        get(&two.url, "/api/v1/batch/stats").await["queue"]["unprocessed"] == 0
    })
    .await;
    let again = Process::on(&pooler.url, &settings);
    fill(&again.url, &told, 50).await;
    finish(&again.url).await;
    let results = all_results(&again.url).await;
    assert_eq!((told.lost(&results), results.len()), (0, 890));
    assert!((0..40).all(|number| results.contains_key(&id(10_000 + number))));
    let locks = psql(&cluster.url(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'");
    assert_eq!(locks, "0", "no lock outlives its transaction");

    // The pooler away is the database away, and back is back.
    psql(&pooler.admin, "KILL postgres");
    assert_eq!(score(&client, &again.url, session(20_000, true)).await.unwrap().status(), 503);
    psql(&pooler.admin, "RESUME postgres");
    until("it works again", Duration::from_secs(20), async || {
        score(&client, &again.url, session(20_001, false)).await.unwrap().status() == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_cannot_carry_a_store_is_refused_with_the_mend() {
    let Some((program, minor)) = program() else { return };
    let cluster = Cluster::start(false);
    let keeps_none = if minor < 21 { "" } else { "max_prepared_statements = 0" };
    let refused = [
        (format!("pool_mode = transaction\n{keeps_none}"), "max_prepared_statements to 200"),
        ("pool_mode = statement".to_owned(), "set pool_mode to transaction or session"),
    ];
    for (settings, mend) in refused {
        let pooler = Pooler::start(&program, &cluster, &settings);
        let (well, told) = check(&pooler.url);
        assert!(!well && told.contains(mend) && told.contains("PLAYPROOF_STORE"), "{told}");
        let begun = Instant::now();
        assert!(Process::begin(&pooler.url, &[]).is_none(), "a node must not start behind it");
        assert!(begun.elapsed() < Duration::from_secs(15), "waiting mends nothing");
    }
    if minor >= 21 {
        let pooler = Pooler::start(&program, &cluster, TRANSACTIONS);
        psql(&cluster.url(), "ALTER ROLE postgres SET synchronous_commit = off");
        let (well, told) = check(&pooler.url);
        assert!(!well && told.contains("SET synchronous_commit = 'on'"), "{told}");
        assert!(Process::begin(&pooler.url, &[]).is_none(), "commits must be on disk before they are answered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_of_sessions_is_like_none() {
    let Some((program, _)) = program() else { return };
    let cluster = Cluster::start(false);
    let pooler = Pooler::start(&program, &cluster, "pool_mode = session\ndefault_pool_size = 100");
    let settings = [("PLAYPROOF_SCHEDULER_AUTOSTART", "false")];
    let (one, two) = (Process::on(&pooler.url, &settings), Process::on(&pooler.url, &settings));
    let listens = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'";
    until("both listen", Duration::from_secs(10), async || psql(&cluster.url(), listens) == "2").await;
    let told = Told::default();
    fill(&one.url, &told, 100).await;
    finish(&two.url).await;
    assert_eq!(told.lost(&all_results(&one.url).await), 0);
}
