//! Tests of the line splitter and of bulk intake over real sockets.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::http::testing::{TestApp, lines as sessions, send, session};
use crate::store::StoreError;

fn lines(pieces: &[&'static str], limit: usize) -> Lines {
    let pieces: Vec<_> = pieces.iter().map(|p| Ok::<_, std::io::Error>(Bytes::from_static(p.as_bytes()))).collect();
    Lines::new(Body::from_stream(futures_util::stream::iter(pieces)), limit, Duration::from_secs(1))
}

async fn all(mut lines: Lines) -> Vec<(u64, String)> {
    let mut seen = Vec::new();
    loop {
        let line = lines.next().await;
        let text = match line {
            Line::End => return seen,
            Line::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
            other => format!("{other:?}"),
        };
        seen.push((lines.number, text));
    }
}

#[tokio::test]
async fn lines_are_split_wherever_the_pieces_end() {
    let seen = all(lines(&["{1", "}\n{2}\r\n", "\n  \n{3}", "\n{4", "}"], 100)).await;
    let seen: Vec<_> = seen.iter().map(|(n, t)| (*n, t.as_str())).collect();
    assert_eq!(seen, [(1, "{1}"), (2, "{2}"), (3, "Blank"), (4, "Blank"), (5, "{3}"), (6, "{4}")]);
}

#[tokio::test]
async fn a_long_line_is_skipped_to_its_end_without_being_kept() {
    let mut long = lines(&["0123456789", "0123456789", "0123456789\n{2}\n", "0123456789", "01"], 10);
    assert_eq!(long.next().await, Line::TooLong);
    assert!(long.buffer.capacity() < 100);
    assert_eq!(long.next().await, Line::Text(Bytes::from_static(b"{2}")));
    assert_eq!((long.next().await, long.number), (Line::TooLong, 3));
    assert_eq!(long.next().await, Line::End);
}

#[tokio::test]
async fn a_long_line_costs_no_memory_however_it_arrives() {
    let pieces = (0..1000).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"0123456789")));
    let unended = futures_util::stream::iter(pieces).chain(futures_util::stream::pending());
    let mut unended = Lines::new(Body::from_stream(unended), 10, Duration::from_secs(30));
    assert_eq!(unended.next().now_or_never(), None, "the line goes on");
    assert!(unended.skipping && unended.buffer.capacity() < 1000, "{}", unended.buffer.capacity());

    let mut whole = lines(&["0123456789x\n{2}"], 10);
    assert_eq!(whole.next().await, Line::TooLong, "it came in one piece");
    assert_eq!(whole.next().await, Line::Text(Bytes::from_static(b"{2}")));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_arriving_times_out() {
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{1}\n{2"))])
        .chain(futures_util::stream::pending());
    let mut lines = Lines::new(Body::from_stream(pieces), 100, Duration::from_secs(30));
    assert_eq!(lines.next().await, Line::Text(Bytes::from_static(b"{1}")));
    assert_eq!(lines.next().await, Line::TimedOut);
    assert_eq!(lines.next().await, Line::End);
}

#[tokio::test]
async fn a_line_that_breaks_off_with_its_connection_is_nobodys() {
    let pieces = futures_util::stream::iter([
        Ok(Bytes::from_static(b"{1}\n{\"whole\":1}")),
        Err(std::io::Error::other("connection reset")),
    ]);
    let lines = Lines::new(Body::from_stream(pieces), 100, Duration::from_secs(30));
    assert_eq!(all(lines).await, [(1, "{1}".to_owned())]);
}

const BULK: &str = "/api/v1/batch/sessions";
const HEAD: &str = "POST /api/v1/batch/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
                    Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n";

async fn open(app: &TestApp) -> TcpStream {
    let mut stream = app.connect().await;
    stream.write_all(HEAD.as_bytes()).await.unwrap();
    stream
}

async fn send_piece(stream: &mut TcpStream, piece: &str) {
    stream.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await.unwrap();
}

/// Reads until `text` has been seen.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    let mut piece = vec![0; 1 << 16];
    while !String::from_utf8_lossy(&seen).contains(text) {
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "the answer ended without {text}: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(seen).unwrap()
}

fn counted(accepted: u64, duplicate: u64, refused: u64) -> Value {
    json!({"summary": {"accepted": accepted, "duplicate": duplicate, "refused": refused}})
}

#[tokio::test]
async fn every_line_gets_its_answer_in_order_and_the_summary_comes_last() {
    let app = TestApp::start().await;
    let mut other = session("a");
    other["hits"] = json!(9);
    let mut at_once = session("b");
    at_once["useBatch"] = json!(false);
    let text = format!("{}\n{}\n\n{{\"sessionId\":\"c\"}}\n{other}\nnonsense\n{at_once}", session("a"), session("a"));
    let answers = app.bulk("", text).await;
    assert_eq!(answers[0], json!({"line": 1, "sessionId": "a", "outcome": "accepted", "status": "queued"}));
    assert_eq!(answers[1], json!({"line": 2, "sessionId": "a", "outcome": "duplicate", "status": "queued"}));
    let refused = |answer: &Value| {
        assert!(answer["error"].is_string() && answer["message"].is_string());
        (answer["line"].as_u64().unwrap(), answer["outcome"].to_string(), answer["code"].as_str().unwrap().to_owned())
    };
    let is = |line: u64, code: &str| (line, "\"refused\"".to_owned(), code.to_owned());
    assert_eq!(refused(&answers[2]), is(4, "malformed"));
    assert_eq!(answers[2]["details"]["path"], "movements");
    assert_eq!(refused(&answers[3]), is(5, "session_conflict"));
    assert_eq!(answers[3]["sessionId"], "a");
    assert_eq!(refused(&answers[4]), is(6, "malformed"));
    assert_eq!(
        answers[5],
        json!({"line": 7, "sessionId": "b", "outcome": "accepted", "status": "queued"}),
        "useBatch is implied"
    );
    assert_eq!(answers[6], counted(2, 1, 3));
    assert_eq!(answers.len(), 7);
    let of = async |outcome: &str| {
        app.metric(&format!("playproof_sessions_received_total{{outcome=\"{outcome}\"}}")).await as u64
    };
    assert_eq!((of("accepted").await, of("duplicate").await, of("refused").await), (2, 1, 3));
}

#[tokio::test]
async fn a_thousand_lines_are_all_stored() {
    let app = TestApp::start().await;
    let answers = app.bulk("?report=refused", sessions("s", 1000)).await;
    assert_eq!(answers, [counted(1000, 0, 0)]);
    let answers = app.bulk("", sessions("s", 1000)).await;
    assert!((0..1000).all(|n| answers[n]["line"] == n + 1 && answers[n]["sessionId"] == format!("s{}", n + 1)));
    assert_eq!(answers[1000], counted(0, 1000, 0));
    assert_eq!(app.metric("playproof_store_accepted").await as u64, 1000);
}

#[tokio::test]
async fn only_refusals_are_reported_where_that_is_asked() {
    let app = TestApp::start().await;
    let answers = app.bulk("?report=refused", format!("{}\n{{}}\n", session("a"))).await;
    assert_eq!((answers.len(), &answers[0]["line"], &answers[1]), (2, &json!(2), &counted(1, 0, 1)));
    let wrong = app.request("POST", &format!("{BULK}?report=none")).header("content-type", "application/x-ndjson");
    send(wrong.body("{}")).await.is_error(400, "malformed");
}

#[tokio::test]
async fn a_body_that_is_one_json_document_is_named_once() {
    let app = TestApp::start().await;
    let two = vec![session("a"), session("b")];
    let list = app.bulk("", serde_json::to_string(&two).unwrap()).await;
    assert!(list.len() == 2 && list[0]["message"].as_str().unwrap().contains("JSON list"), "{list:?}");
    let pretty_list = serde_json::to_string_pretty(&two).unwrap();
    let pretty = serde_json::to_string_pretty(&session("a")).unwrap();
    for (body, word) in [(pretty_list, "JSON list"), (format!("\u{feff}{pretty}"), "several lines")] {
        let answers = app.bulk("", body.clone()).await;
        assert_eq!(answers.len(), 3, "{answers:?}");
        assert!(answers[0]["message"].as_str().unwrap().contains(word), "{answers:?}");
        assert!(answers[1]["message"].as_str().unwrap().contains("the rest were not taken"), "{answers:?}");
        assert_eq!(answers[2], counted(0, 0, body.lines().count() as u64));
    }
    let text = format!("{{\"sessionId\":\"a\"\n{{\"sessionId\":\"bad id/\"}}\n{}\n{}", session("c"), session("d"));
    let answers = app.bulk("", text).await;
    assert_eq!((&answers[1]["details"]["path"], &answers[4]), (&json!("sessionId"), &counted(2, 0, 2)), "{answers:?}");
    let list = format!("[{}]", vec![session("a").to_string(); 2_000].join(","));
    assert!(list.len() > 2 << 20);
    let answers = app.bulk("", list).await;
    assert_eq!(answers[0]["code"], "body_too_large");
    assert!(answers[0]["message"].as_str().unwrap().contains("each session on a line of its own"), "{answers:?}");
    // A first line that broke off hides none of those that follow.
    let answers = app.bulk("", format!("{{\"sessionId\":\n{}\nnonsense\n{}", session("a"), session("b"))).await;
    assert_eq!(answers[4], counted(2, 0, 2), "{answers:?}");
}

#[tokio::test]
async fn a_session_with_more_movements_than_are_kept_is_taken_and_says_so() {
    let app = TestApp::with(|choice| choice.http.bounds.movements = 20).await;
    let mut many = session("many");
    let sent = many["movements"].as_array().unwrap().len();
    assert!(sent > 20);
    let answers = app.bulk("", format!("{many}\n")).await;
    assert_eq!(answers[0]["outcome"], "accepted");
    many["sessionId"] = json!("alone");
    let alone = app.post("/api/v1/score", &many).await;
    assert_eq!(alone.status, 200);
    for note in [&answers[0]["notes"], &alone.json()["notes"]] {
        assert_eq!(note[0]["code"], "movements_thinned", "{note}");
        assert!(note[0]["message"].as_str().unwrap().starts_with(&format!("{sent} movements came")), "{note}");
    }
    let mut few = session("few");
    few["movements"].as_array_mut().unwrap().truncate(20);
    assert!(app.post("/api/v1/score", &few).await.json().get("notes").is_none());
}

#[tokio::test]
async fn a_full_queue_refuses_the_line_and_the_rest() {
    let app = TestApp::with(|choice| choice.queue_limit = 5).await;
    let answers = app.bulk("", sessions("s", 600)).await;
    assert!(answers[..5].iter().all(|a| a["outcome"] == "accepted"));
    assert!(answers[5..600].iter().all(|a| a["code"] == "queue_full"), "{:?}", answers[5]);
    assert_eq!(answers[600], counted(5, 0, 595));
}

#[tokio::test]
async fn a_line_over_the_limit_is_refused_and_skipped() {
    let app = TestApp::with(|choice| choice.http.body_limit = 10_000).await;
    let answers = app.bulk("", format!("{}\n{}\n{}", session("a"), "x".repeat(1 << 20), session("b"))).await;
    assert_eq!((&answers[1]["code"], &answers[1]["line"]), (&json!("body_too_large"), &json!(2)));
    assert_eq!((&answers[2]["sessionId"], &answers[3]), (&json!("b"), &counted(2, 0, 1)));
}

#[tokio::test]
async fn a_line_that_the_store_did_not_take_is_refused() {
    let app = TestApp::start().await;
    app.store.fail(Some(StoreError::Unavailable("/secret".to_owned())));
    let answers = app.bulk("", sessions("s", 3)).await;
    for answer in &answers[..3] {
        assert_eq!((&answer["outcome"], &answer["code"]), (&json!("refused"), &json!("store_unavailable")));
        assert!(!answer.to_string().contains("secret"));
    }
    assert_eq!(answers[3], counted(0, 0, 3));
    app.store.fail(None);
    assert_eq!(app.bulk("?report=refused", sessions("s", 3)).await, [counted(3, 0, 0)]);
}

/// More than the sockets' buffers hold, in both directions.
async fn write_everything_before_reading(app: &TestApp, count: usize) -> Vec<String> {
    let mut stream = open(app).await;
    let line = format!("{{}}{}\n", " ".repeat(197));
    let piece = line.repeat(1000);
    for _ in 0..count / 1000 {
        send_piece(&mut stream, &piece).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(body.ends_with("\r\n0\r\n\r\n"), "the answer is whole");
    // Chunk sizes stand on lines of their own, and split some answers; whole ones begin and end with braces.
    body.split("\r\n").skip(1).step_by(2).collect::<String>().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_client_that_writes_everything_before_it_reads_does_not_stall() {
    let app = TestApp::start().await;
    let answers = write_everything_before_reading(&app, 60_000).await;
    assert_eq!(answers.len(), 60_001);
    assert_eq!(serde_json::from_str::<Value>(answers.last().unwrap()).unwrap(), counted(0, 0, 60_000));
    for (n, answer) in answers[..60_000].iter().enumerate() {
        assert!(answer.starts_with(&format!("{{\"line\":{},", n + 1)), "{n}: {answer}");
    }
}

#[tokio::test]
async fn where_unread_answers_find_no_more_room_the_rest_is_refused_in_one_line() {
    let app = TestApp::with(|choice| choice.http.spool_limit = 100_000).await;
    let answers = write_everything_before_reading(&app, 100_000).await;
    let last: Value = serde_json::from_str(answers.last().unwrap()).unwrap();
    assert_eq!(last, counted(0, 0, 100_000));
    let unread: Value = serde_json::from_str(&answers[answers.len() - 2]).unwrap();
    assert_eq!((&unread["code"], &unread["line"]), (&json!("answers_unread"), &json!(answers.len() - 1)));
}

#[tokio::test]
async fn a_client_that_leaves_half_way_loses_nothing_that_was_answered() {
    let app = TestApp::start().await;
    let mut stream = open(&app).await;
    send_piece(&mut stream, &sessions("s", 3)).await;
    read_until(&mut stream, "\"sessionId\":\"s3\"").await;
    send_piece(&mut stream, "{\"sessionId\":\"half").await;
    drop(stream);
    for id in ["s1", "s2", "s3"] {
        assert_eq!(app.get(&format!("/api/v1/batch/result/{id}")).await.json()["status"], "queued", "{id}");
    }
    assert_eq!(app.bulk("", sessions("t", 1)).await[1], counted(1, 0, 0));
}

#[tokio::test]
async fn a_service_that_shuts_down_says_from_where_to_send_again() {
    let mut app = TestApp::start().await;
    let mut stream = open(&app).await;
    send_piece(&mut stream, &sessions("s", 1)).await;
    read_until(&mut stream, "\"sessionId\":\"s1\"").await;
    app.stop();
    let mut draining = app.service.draining();
    draining.wait_for(|draining| *draining).await.unwrap();
    send_piece(&mut stream, &sessions("t", 2)).await;
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let rest = read_until(&mut stream, "summary").await;
    assert!(rest.contains("\"line\":2,\"outcome\":\"refused\"") && rest.contains("shutting_down"), "{rest}");
    assert!(rest.contains("\"accepted\":1,\"duplicate\":0,\"refused\":2"), "{rest}");
    app.stopped().await;
}

#[tokio::test]
async fn a_body_that_idles_ends_with_what_was_taken() {
    let app = TestApp::with(|choice| choice.http.body_timeout = Duration::from_millis(100)).await;
    let mut stream = open(&app).await;
    send_piece(&mut stream, &format!("{}\n{{\"half", session("a"))).await;
    let answer = read_until(&mut stream, "summary").await;
    assert!(answer.contains("\"line\":2,\"outcome\":\"refused\"") && answer.contains("request_timeout"), "{answer}");
    assert!(answer.contains("\"accepted\":1"), "{answer}");
}

#[tokio::test]
async fn the_content_type_must_be_ndjson() {
    let app = TestApp::start().await;
    for kind in ["application/json", "text/plain"] {
        let request = app.request("POST", BULK).header("content-type", kind).body("{}");
        send(request).await.is_error(415, "unsupported_media_type");
    }
    let zipped = app.request("POST", BULK).header("content-type", "application/x-ndjson");
    send(zipped.header("content-encoding", "gzip").body("{}")).await.is_error(415, "unsupported_encoding");
}

#[tokio::test]
async fn intakes_beyond_the_bound_are_told_to_come_back() {
    let app = TestApp::with(|choice| choice.http.max_bulk = 1).await;
    let mut first = open(&app).await;
    send_piece(&mut first, &sessions("s", 1)).await;
    read_until(&mut first, "s1").await;
    let second = app.request("POST", BULK).header("content-type", "application/x-ndjson").body(sessions("t", 1));
    send(second).await.is_error(503, "busy");
}

#[tokio::test]
async fn lines_of_another_deployment_are_refused() {
    let app = TestApp::with_keys().await;
    let mut foreign = session("b");
    foreign["deploymentId"] = json!("us");
    let request = app.request("POST", BULK).bearer_auth("ingest-eu").header("content-type", "application/x-ndjson");
    let reply = send(request.body(format!("{}\n{foreign}\n", session("a")))).await;
    let answers: Vec<Value> = reply.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&answers[0]["outcome"], &answers[1]["code"]), (&json!("accepted"), &json!("wrong_deployment")));
}
