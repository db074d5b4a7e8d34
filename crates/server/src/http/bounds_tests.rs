//! What a client may have of the process at a time: places, memory and patience are bounded for everybody together.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::http::extract::body::LARGE_BODIES;
use crate::http::testing::{TestApp, add_keys, lines, read_all, send, session};

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), wait).await.expect("it never came true");
}

#[tokio::test]
async fn only_so_many_large_bodies_are_in_memory_at_a_time() {
    let app = TestApp::start().await;
    let places = || app.service.large_bodies.available_permits();
    let head = "POST /api/v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";
    let begun = head.to_owned() + &" ".repeat(80_000);
    let mut unfinished = Vec::new();
    for _ in 0..LARGE_BODIES {
        let mut stream = app.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        unfinished.push(stream);
    }
    until(|| places() == 0).await;
    let large = " ".repeat(100_000);
    let refused = app.post_text("/api/v1/score", large.clone()).await;
    refused.is_error(503, "busy");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(app.post("/api/v1/score", &session("small")).await.status, 200, "small ones need no place");
    drop(unfinished);
    until(|| places() == LARGE_BODIES).await;
    app.post_text("/api/v1/score", large).await.is_error(400, "malformed");
}

/// The head of a POST, as a client sends it that may be slow to send the rest.
fn head(path: &str, key: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_route_takes_no_more_than_it_needs() {
    let app = TestApp::with_keys().await;
    for (path, bytes) in [
        ("/api/v1/session", 5_000),
        ("/api/v1/keys", 20_000),
        ("/api/v1/batch/clear", 20_000),
        ("/api/v1/batch/dead/requeue", 600_000),
    ] {
        let mut stream = app.connect().await;
        stream.write_all(head(path, "admin", bytes).as_bytes()).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn pages_have_a_share_of_the_large_bodies_and_leave_the_rest() {
    let app = TestApp::with(|choice| add_keys(&mut choice.http)).await;
    let begun = head("/api/v1/score", "submit", 100_000) + &" ".repeat(80_000);
    let mut unfinished = Vec::new();
    for _ in 0..LARGE_BODIES / 8 {
        let mut stream = app.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        unfinished.push(stream);
    }
    until(|| app.service.large_bodies.available_permits() == LARGE_BODIES - LARGE_BODIES / 8).await;
    let large = |key: &str| app.request("POST", "/api/v1/score").bearer_auth(key).body(" ".repeat(100_000));
    send(large("submit")).await.is_error(503, "busy");
    send(large("ingest")).await.is_error(400, "malformed");
    assert_eq!(app.post_as("submit", "/api/v1/score", &session("small")).await.status, 200);
    drop(unfinished);
    until(|| app.service.large_bodies.available_permits() == LARGE_BODIES).await;
    send(large("submit")).await.is_error(400, "malformed");
}

#[tokio::test]
async fn who_sends_a_large_body_too_slowly_loses_the_place() {
    let app = TestApp::with(|choice| choice.http.body_timeout = Duration::from_secs(6)).await;
    let begun = head("/api/v1/score", "none", 2_000_000) + &" ".repeat(80_000);
    let mut slow = app.connect().await;
    slow.write_all(begun.as_bytes()).await.unwrap();
    until(|| app.service.large_bodies.available_permits() == LARGE_BODIES - 1).await;
    let began = std::time::Instant::now();
    until(|| app.service.large_bodies.available_permits() == LARGE_BODIES).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}: it held the place for all its time", began.elapsed());
    let answer = read_all(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn one_key_has_no_more_than_half_of_the_uploads_and_followers() {
    let app = TestApp::with(|choice| {
        add_keys(&mut choice.http);
        choice.http.max_bulk = 4;
    })
    .await;
    let upload = |key: &str| {
        let body = reqwest::Body::wrap_stream(futures_util::stream::pending::<std::io::Result<Vec<u8>>>());
        let request = app.request("POST", "/api/v1/batch/sessions").bearer_auth(key).body(body);
        request.header("content-type", "application/x-ndjson").send()
    };
    let held = (upload("ingest").await.unwrap(), upload("ingest").await.unwrap());
    assert_eq!((held.0.status().as_u16(), held.1.status().as_u16()), (200, 200));
    assert_eq!(upload("ingest").await.unwrap().status(), 503);
    assert_eq!(upload("ingest-eu").await.unwrap().status(), 200, "another key has its own");
    let follow = |key: &str| app.request("GET", "/api/v1/verdicts").bearer_auth(key).send();
    let mut followers = Vec::new();
    for _ in 0..crate::http::state::MAX_FOLLOWERS / 2 {
        let follower = follow("analyst").await.unwrap();
        assert_eq!(follower.status(), 200);
        followers.push(follower);
    }
    assert_eq!(follow("analyst").await.unwrap().status(), 503);
    assert_eq!(follow("ingest").await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_head_beyond_its_bound_is_refused() {
    let app = TestApp::start().await;
    let fields = format!("X-A: {}\r\n", "a".repeat(100)).repeat(300);
    let long = format!("X-A: {}\r\n", "a".repeat(1 << 20));
    for fields in [fields, long] {
        let head = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
        let mut stream = app.connect().await;
        let (mut reading, mut writing) = stream.split();
        let mut answer = String::new();
        let (_, _) = tokio::join!(writing.write_all(head.as_bytes()), reading.read_to_string(&mut answer));
        // A client that still writes when it is cut off may miss the answer.
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    assert_eq!(app.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_client_that_reads_no_answers_is_cut_off() {
    let app = TestApp::with(|choice| choice.http.write_timeout = Duration::from_millis(50)).await;
    let mut stream = app.connect().await;
    let request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    let cut_off = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
    timeout(Duration::from_secs(20), cut_off).await.expect("it may fill the server's buffers for ever");
}

#[tokio::test]
async fn only_half_of_the_connections_may_wait_for_results() {
    let mut app = TestApp::with(|choice| choice.http.max_connections = 8).await;
    app.bulk("", lines("s", 5)).await;
    let mut waiting = Vec::new();
    for n in 1..=4 {
        let mut stream = app.connect().await;
        let head =
            format!("GET /api/v1/batch/result/s{n}?wait=60s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    until(|| app.service.waits.available_permits() == 0).await;
    let fifth = timeout(Duration::from_secs(20), app.get("/api/v1/batch/result/s5?wait=60s")).await;
    assert_eq!(fifth.expect("it found no place and is answered at once").json()["status"], "queued");
    app.stop();
    for mut stream in waiting {
        let answer = read_all(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("queued"), "{answer}");
    }
}

#[tokio::test]
async fn no_wait_is_longer_than_the_longest() {
    let app = TestApp::with(|choice| choice.http.longpoll_max = Duration::from_millis(50)).await;
    app.post("/api/v1/score", &session("a")).await;
    for wait in ["10m", "18446744073709551615", "18446744073709551615m"] {
        let path = format!("/api/v1/batch/result/a?wait={wait}");
        let answer = timeout(Duration::from_secs(20), app.get(&path)).await.expect("it waits on");
        assert_eq!(answer.json()["status"], "queued", "{wait}");
    }
}

#[tokio::test]
async fn pages_are_bounded_on_every_list() {
    let app = TestApp::start().await;
    for (list, most) in [("results", 1000), ("batches", 500), ("dead", 1000)] {
        let path = format!("/api/v1/batch/{list}?limit=");
        for beyond in ["0".to_owned(), (most + 1).to_string(), u32::MAX.to_string()] {
            app.get(&(path.clone() + &beyond)).await.is_error(422, "out_of_bounds");
        }
        assert_eq!(app.get(&format!("{path}{most}")).await.status, 200);
        for wrong in ["-1", "1.5", "4294967296", "1e3"] {
            app.get(&(path.clone() + wrong)).await.is_error(400, "malformed");
        }
    }
}

/// Sends lines while the store does not move; most calls to it that waited at the same time.
async fn most_in_flight(lines: String, count: u64) -> usize {
    let app = TestApp::start().await;
    let held = app.store.gate.write().await;
    let sending = app.bulk("?report=refused", lines);
    let mut sending = std::pin::pin!(sending);
    // The client has this long to push everything it can into a service that cannot get rid of it.
    assert!(timeout(Duration::from_millis(500), &mut sending).await.is_err(), "the store does not move");
    drop(held);
    let answers = timeout(Duration::from_secs(60), sending).await.unwrap();
    assert_eq!(answers, [json!({"summary": {"accepted": count, "duplicate": 0, "refused": 0}})]);
    app.store.most_inside.load(Ordering::SeqCst)
}

#[tokio::test]
async fn lines_in_flight_are_bounded_by_number_and_by_size() {
    let most = most_in_flight(lines("s", 1500), 1500).await;
    assert!(most <= 256 + 8, "{most} lines at a time");
    let padded = |n: u32| -> Value {
        let mut session = session(&format!("large-{n}"));
        session["padding"] = "x".repeat(200_000).into();
        session
    };
    let large: String = (0..120).map(|n| padded(n).to_string() + "\n").collect();
    let most = most_in_flight(large, 120).await;
    assert!(most <= 8 * (1 << 20) / 200_000 + 1 + 8, "{most} lines of 200 kB at a time");
}
