//! What a client may have of the process at a time: places, memory and patience are bounded for everybody together.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::request::LARGE_BODIES;
use super::testing::{TestApp, lines, read_all, session};

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
