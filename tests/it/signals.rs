//! How a node starts, refuses to start, ends and comes back: the real binary, real signals, real files.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::clients::{Told, all_results, fill, finish, get, id, load, post};
use crate::process::{Place, Process, binary, on_both_stores};

fn store(folder: &Path) -> String {
    format!("embedded:{}", folder.display())
}

/// Runs a command to its end; exit status, stdout and stderr.
fn run(args: &[&str], settings: &[(&str, &str)]) -> (ExitStatus, String, String) {
    let output = binary(settings).args(args).output().unwrap();
    (output.status, String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The one sentence with which `serve` refuses to start, with exit code 1.
fn refusal(settings: &[(&str, &str)]) -> String {
    let mut child = binary(settings).arg("serve").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if !line.is_empty() {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("it started: {line}");
    }
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{told}");
    let sentence = told.strip_prefix("playproof-batch: ").and_then(|t| t.strip_suffix('\n'));
    sentence.filter(|s| !s.contains('\n')).unwrap_or_else(|| panic!("not one sentence: {told:?}")).to_owned()
}

on_both_stores!(
    an_idle_node_ends_at_once_whatever_connections_are_open,
    a_loaded_node_ends_in_time_and_its_sessions_are_finished_after_the_next_start,
    a_stopped_and_a_started_scheduler_stay_so,
    requests_that_never_end_hold_a_node_up_for_its_grace_period_and_no_longer,
    what_is_half_sent_holds_a_node_up_for_five_seconds_at_most,
    a_node_that_leaves_answers_for_its_delay_and_says_so
);

async fn an_idle_node_ends_at_once_whatever_connections_are_open(place: Place) {
    let node = Process::on(&place.url, &[]);
    let client = playproof_batch::tls::http_client().build().unwrap();
    let kept_open = client.get(format!("{}/health", node.url)).send().await.unwrap();
    assert_eq!(kept_open.status(), 200);
    let (status, took) = node.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

async fn a_loaded_node_ends_in_time_and_its_sessions_are_finished_after_the_next_start(place: Place) {
    let told = Arc::new(Told::default());
    let node = Process::on(&place.url, &[("PLAYPROOF_SCHEDULER_AUTOSTART", "false")]);
    fill(&node.url, &told, 2_000).await;
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (url, told) = (node.url.clone(), told.clone());
            tokio::spawn(async move { load(&url, &told).await })
        })
        .collect();
    post(&node.url, "/api/v1/batch/scheduler/start").await;
    let (status, took) = node.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(25), "{took:?}");
    for client in clients {
        let last = client.await.unwrap();
        assert!(matches!(last, None | Some(503)), "{last:?}");
    }
    let (_, left, _) = run(&["check"], &[("PLAYPROOF_STORE", &place.url)]);
    assert!(!left.contains(" 0 of them unprocessed"), "the node ended with its queue, not after it: {left}");

    let node = Process::on(&place.url, &[]);
    finish(&node.url).await;
    assert_eq!(told.lost(&all_results(&node.url).await), 0);
    let batches = get(&node.url, "/api/v1/batch/batches?limit=500").await;
    for batch in batches["batches"].as_array().unwrap() {
        assert_eq!(batch["outcome"], "scored", "every batch was finished or given back: {batch}");
    }
}

async fn a_stopped_and_a_started_scheduler_stay_so(place: Place) {
    let running = async |node: &Process| get(&node.url, "/api/v1/batch/scheduler/status").await["running"].clone();
    let node = Process::on(&place.url, &[]);
    assert_eq!(running(&node).await, true);
    post(&node.url, "/api/v1/batch/scheduler/stop").await;
    node.terminate();
    let node = Process::on(&place.url, &[]);
    assert_eq!(running(&node).await, false);
    post(&node.url, "/api/v1/batch/scheduler/start").await;
    node.kill();
    let node = Process::on(&place.url, &[("PLAYPROOF_SCHEDULER_AUTOSTART", "false")]);
    assert_eq!(running(&node).await, true);
}

#[test]
fn what_keeps_a_node_from_starting_is_told_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = store(&folder.path().join("fresh"));
    let file = folder.path().join("file");
    std::fs::write(&file, "no model").unwrap();
    let file = file.display().to_string();
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listening.local_addr().unwrap().to_string();
    let node = Process::start(&folder.path().join("used"), &[]);
    let used = store(&folder.path().join("used"));
    let blocked = format!("embedded:{file}/data");
    let free = ("PLAYPROOF_LISTEN", "127.0.0.1:0");
    let cases = [
        (vec![free, ("PLAYPROOF_STORE", &used)], vec!["another process", "PLAYPROOF_STORE"]),
        (vec![("PLAYPROOF_LISTEN", &taken), ("PLAYPROOF_STORE", &fresh)], vec![&taken, "PLAYPROOF_LISTEN"]),
        (vec![free, ("PLAYPROOF_STORE", &blocked)], vec![&blocked["embedded:".len()..], "PLAYPROOF_STORE"]),
        (vec![free, ("PLAYPROOF_STORE", &fresh), ("PLAYPROOF_MODEL", &file)], vec![&file, "model"]),
        (vec![free, ("PLAYPROOF_STORE", &fresh), ("PLAYPROOF_MODEL", "/nowhere")], vec!["/nowhere", "PLAYPROOF_MODEL"]),
    ];
    for (settings, words) in cases {
        let told = refusal(&settings);
        assert!(words.iter().all(|word| told.contains(word)), "{words:?}: {told}");
    }
    let (status, _) = node.terminate();
    assert!(status.success(), "the node that had the folder goes on");
}

#[test]
fn check_and_usage_have_their_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = store(folder.path());
    let (status, told, _) = run(&["check"], &[("PLAYPROOF_STORE", &fresh)]);
    assert_eq!((status.code(), told.lines().all(|line| line.starts_with("ok"))), (Some(0), true), "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a check leaves nothing behind");
    let (status, _, told) = run(&["check"], &[("PLAYPROOF_STORE", &fresh), ("PLAYPROOF_MODEL", "/nowhere")]);
    assert_eq!((status.code(), told.contains("PLAYPROOF_MODEL")), (Some(1), true), "{told}");
    assert_eq!(run(&["no-such-command"], &[]).0.code(), Some(2));
}

#[tokio::test]
async fn a_copy_made_while_a_node_runs_answers_for_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let (data, restored) = (store(&place("data")), store(&place("restored")));
    let copy = place("copy").display().to_string();
    let told = Told::default();
    let node = Process::start(&place("data"), &[("PLAYPROOF_SCHEDULER_AUTOSTART", "false")]);
    fill(&node.url, &told, 20).await;
    let (status, _, problem) = run(&["backup", &copy], &[("PLAYPROOF_STORE", &data)]);
    assert_eq!(status.code(), Some(0), "{problem}");
    let (status, _, problem) = run(&["restore", &copy], &[("PLAYPROOF_STORE", &data)]);
    assert_eq!(status.code(), Some(1), "a store is never replaced: {problem}");
    let (status, _, problem) = run(&["restore", &copy], &[("PLAYPROOF_STORE", &restored)]);
    assert_eq!(status.code(), Some(0), "{problem}");
    node.kill();
    let node = Process::start(&place("restored"), &[]);
    for n in told.acknowledged() {
        let answer = get(&node.url, &format!("/api/v1/batch/result/{}", id(n))).await;
        assert!(answer["status"] == "queued" || answer["status"] == "processed", "{answer}");
    }
    finish(&node.url).await;
    assert_eq!(told.lost(&all_results(&node.url).await), 0);
}

/// Requests of which the rest never comes, on connections of their own.
fn half_sent(node: &Process) -> Vec<std::net::TcpStream> {
    let begin = |text: &str| {
        let mut stream = std::net::TcpStream::connect(node.url.strip_prefix("http://").unwrap()).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    vec![
        begin("POST /api/v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{\"sessionId\""),
        begin(
            "POST /api/v1/batch/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
             Transfer-Encoding: chunked\r\n\r\n5\r\n{\"ses\r\n",
        ),
        begin("GET /health HTTP/1.1\r\nHost: loc"),
        begin(""),
    ]
}

async fn what_is_half_sent_holds_a_node_up_for_five_seconds_at_most(place: Place) {
    let node = Process::on(&place.url, &[]);
    let stalled = half_sent(&node);
    // They are being served once a later request was answered.
    assert_eq!(get(&node.url, "/api/v1/batch/stats").await["queue"]["total"], 0);
    let (status, took) = node.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(7), "{took:?}");
    drop(stalled);
}

async fn a_node_that_leaves_answers_for_its_delay_and_says_so(place: Place) {
    let delay = Duration::from_secs(3);
    let node = Process::on(&place.url, &[("PLAYPROOF_DRAIN_DELAY", "3s")]);
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    let begun = std::time::Instant::now();
    node.signal("TERM");
    let ready = async || client.get(format!("{}/ready", node.url)).send().await.unwrap();
    let mut leaving = ready().await;
    while leaving.status() == 200 {
        leaving = ready().await;
    }
    assert_eq!(leaving.status(), 503);
    assert_eq!(leaving.json::<serde_json::Value>().await.unwrap()["status"], "draining");
    let told = Told::default();
    fill(&node.url, &told, 20).await;
    assert!(begun.elapsed() < delay, "this machine is too slow to tell");
    let url = node.url.clone();
    assert_eq!(node.ended().code(), Some(0));
    assert!(begun.elapsed() >= delay, "{:?}", begun.elapsed());
    assert!(client.get(format!("{url}/health")).send().await.is_err());
    let node = Process::on(&place.url, &[]);
    finish(&node.url).await;
    assert_eq!(told.lost(&all_results(&node.url).await), 0, "what was taken while leaving is there");
}

async fn requests_that_never_end_hold_a_node_up_for_its_grace_period_and_no_longer(place: Place) {
    let node = Process::on(&place.url, &[("PLAYPROOF_SHUTDOWN_GRACE", "1s")]);
    let stalled = half_sent(&node);
    // They are being served once a later request was answered.
    assert_eq!(get(&node.url, "/api/v1/batch/stats").await["queue"]["total"], 0);
    let (status, took) = node.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    drop(stalled);
}

/// The threads of a process by name, each with its niceness.
#[cfg(target_os = "linux")]
fn threads(pid: u32) -> Vec<(String, i32)> {
    let mut all = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        // A thread may end while it is looked at.
        let Ok(stat) = std::fs::read_to_string(task.unwrap().path().join("stat")) else { continue };
        let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(')').unwrap();
        let niceness = rest.split_whitespace().nth(16).unwrap().parse().unwrap();
        all.push((name.to_owned(), niceness));
    }
    all
}

/// Else batches keep requests waiting for a processor, which the benchmark of an attack measures.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_run_on_threads_that_give_way_to_those_that_answer() {
    let place = Place::embedded();
    let node = Process::on(&place.url, &[]);
    fill(&node.url, &Told::default(), 100).await;
    finish(&node.url).await;
    let threads = threads(node.id());
    let own = threads.iter().find(|(name, _)| name == "tokio-rt-worker").unwrap().1;
    let behind: Vec<_> = threads.iter().filter(|(name, _)| name == "background").collect();
    assert!(!behind.is_empty(), "{threads:?}");
    assert!(behind.iter().all(|(_, niceness)| *niceness == (own + 10).min(19)), "{threads:?}");
    let answering = threads.iter().filter(|(name, _)| name == "store-writer" || name == "tokio-rt-worker");
    assert!(answering.clone().count() >= 3 && answering.clone().all(|(_, niceness)| *niceness == own), "{threads:?}");
}
