//! A disk without a free byte: a node starts on it, answers reads, and erases what it is asked to erase.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clients::{Told, bulk, fill, finish, get, id, score, session};
use crate::process::Process;

const STOPPED: (&str, &str) = ("PLAYPROOF_SCHEDULER_AUTOSTART", "false");

/// A small disk of its own, in a mount namespace that ends with it.
struct Disk {
    namespace: Child,
    kinds: &'static [&'static str],
    /// The disk as processes outside reach it.
    root: PathBuf,
    folder: tempfile::TempDir,
}

/// Whose disks a process sees: those of a user namespace, which anybody may make, or, where there are none, of root's own.
const NAMESPACES: [&[&str]; 2] = [&["--user", "--mount"], &["--mount"]];

impl Disk {
    fn new(mebibytes: u32) -> Self {
        NAMESPACES.into_iter().find_map(|kinds| Self::within(kinds, mebibytes)).expect(
            "no disk can be mounted here: allow user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0 where \
             there is that), or run the tests as root",
        )
    }

    fn within(kinds: &'static [&'static str], mebibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"mount -t tmpfs -o size="$1"m tmpfs "$0" && echo mounted && exec cat"#;
        let mut command = Command::new("unshare");
        command.args(kinds);
        if kinds.contains(&"--user") {
            command.arg("--map-root-user");
        }
        command.args(["sh", "-c", script]).arg(folder.path()).arg(mebibytes.to_string());
        let mut namespace = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(namespace.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line != "mounted\n" {
            namespace.wait().unwrap();
            return None;
        }
        let inside = folder.path().strip_prefix("/").unwrap();
        let root = Path::new("/proc").join(namespace.id().to_string()).join("root").join(inside);
        Some(Self { namespace, kinds, root, folder })
    }

    /// Starts a node that keeps its store there.
    fn node(&self, settings: &[(&str, &str)]) -> Process {
        let store = format!("embedded:{}", self.folder.path().join("data").display());
        Process::within(self.namespace.id(), self.kinds, &store, settings)
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.root.join("filler")).unwrap();
        let mut piece = 1 << 20;
        while piece > 0 {
            if file.write_all(&vec![1; piece]).is_err() {
                piece /= 2;
            }
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.root.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.namespace.kill();
        let _ = self.namespace.wait();
    }
}

async fn ask(method: &str, url: &str, path: &str) -> (u16, Value) {
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    let answer = client.request(method.parse().unwrap(), format!("{url}{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_and_users_are_erased_on_a_full_disk() {
    let disk = Disk::new(64);
    let node = disk.node(&[]);
    let mut lines = String::new();
    for n in 0..300 {
        let mut line: Value = serde_json::from_str(&session(n, true)).unwrap();
        line["userId"] = format!("user-{}", n % 3).into();
        writeln!(lines, "{line}").unwrap();
    }
    bulk(&node.url, "", lines).await;
    finish(&node.url).await;
    disk.fill();
    let (status, told) = ask("DELETE", &node.url, &format!("/api/v1/sessions/{}", id(0))).await;
    assert_eq!(status, 200, "{told}");
    let (status, told) = ask("DELETE", &node.url, "/api/v1/users/user-1").await;
    assert_eq!((status, &told["erased"]), (200, &100.into()), "{told}");
    // What was kept for this is no room for sessions.
    let (status, told) = ask("GET", &node.url, "/ready").await;
    assert_eq!((status, &told["checks"]["store"]), (503, &"full".into()), "{told}");
    node.kill();
    let node = disk.node(&[]);
    for n in [0, 1, 4] {
        assert_eq!(ask("GET", &node.url, &format!("/api/v1/batch/result/{}", id(n))).await.0, 410);
    }
    assert_eq!(get(&node.url, &format!("/api/v1/batch/result/{}", id(2))).await["status"], "processed");
    disk.make_room();
    until("room again", async || ask("GET", &node.url, "/ready").await.0 == 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_killed_in_the_middle_of_a_batch_starts_on_a_full_disk() {
    let disk = Disk::new(64);
    // It takes connections and answers nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = format!("http://{}", silent.local_addr().unwrap());
    let settings = [
        ("PLAYPROOF_DETECTOR", "woodwide"),
        ("WOODWIDE_API_KEY", "sk_sim"),
        ("WOODWIDE_BASE_URL", remote.as_str()),
        ("ANOMALY_MODEL_ID", "m"),
        ("PLAYPROOF_BATCH_SIZE", "5"),
    ];
    let node = disk.node(&settings);
    fill(&node.url, &Told::default(), 10).await;
    let leased = async || get(&node.url, "/api/v1/batch/stats").await["queue"]["leased"].as_u64() > Some(0);
    until("sessions in a batch", leased).await;
    node.kill();
    disk.fill();
    let node = disk.node(&[]);
    let (status, told) = ask("GET", &node.url, "/ready").await;
    assert_eq!((status, &told["checks"]["store"], &told["reads"]), (503, &"full".into(), &true.into()), "{told}");
    disk.make_room();
    finish(&node.url).await;
    assert_eq!(get(&node.url, &format!("/api/v1/batch/result/{}", id(0))).await["status"], "processed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_log_holds_is_erased_on_a_full_disk() {
    let disk = Disk::new(160);
    let node = disk.node(&[STOPPED]);
    let told = Told::default();
    let log = disk.root.join("data/playproof.sqlite-wal");
    let size = || std::fs::metadata(&log).unwrap().len();
    // From this size on the log is begun anew, and what is written next needs no room of the disk.
    while size() < 1_000 * (16 << 10) {
        fill(&node.url, &told, 1_000).await;
    }
    fill(&node.url, &told, 300).await;
    disk.fill();
    let (status, told) = ask("DELETE", &node.url, &format!("/api/v1/sessions/{}", id(0))).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(size(), 0, "traces are left in the log");
    assert_eq!(ask("GET", &node.url, &format!("/api/v1/batch/result/{}", id(0))).await.0, 410);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_for_a_full_disk_is_no_room_for_sessions() {
    let disk = Disk::new(64);
    let node = disk.node(&[STOPPED]);
    fill(&node.url, &Told::default(), 10).await;
    node.terminate();
    disk.fill();
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    for _ in 0..2 {
        // Even opening the store needs some of it.
        let node = disk.node(&[STOPPED]);
        assert_eq!(score(&client, &node.url, session(11, true)).await.unwrap().status(), 503);
        assert_eq!(ask("GET", &node.url, "/ready").await.1["checks"]["store"], "full");
        assert_eq!(get(&node.url, &format!("/api/v1/batch/result/{}", id(3))).await["status"], "queued");
        node.kill();
    }
    let node = disk.node(&[STOPPED]);
    assert_eq!(ask("DELETE", &node.url, &format!("/api/v1/sessions/{}", id(3))).await.0, 200);
    disk.make_room();
    until("room again", async || ask("GET", &node.url, "/ready").await.0 == 200).await;
    assert_eq!(score(&client, &node.url, session(11, true)).await.unwrap().status(), 200);
    // Somebody who tidies up takes it away, and the node takes it again.
    let reserve = disk.root.join("data/reserve");
    std::fs::remove_file(&reserve).unwrap();
    until("the reserve", async || ask("GET", &node.url, "/ready").await.0 == 200 && reserve.exists()).await;
}
