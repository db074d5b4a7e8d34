//! What listeners are told, and when they are not.

use serde_json::{Value, json};

use super::*;
use crate::domain::time::Timestamp;
use crate::http::testing::{TestApp, lines, send};
use crate::operations::overview::{History, MAX_STEPS};
use crate::store::{Counts, StoreError};

/// A listener that reads event by event.
struct Reader(reqwest::Response, String);

impl Reader {
    async fn open(app: &TestApp) -> Self {
        let response = app.request("GET", "/api/v1/events").send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self(response, String::new())
    }

    /// The next event's name and data; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.1.split_once("\n\n") {
                let told = event.strip_prefix("event: ").and_then(|event| event.split_once("\ndata: "));
                let told = told.map(|(name, data)| (name.to_owned(), serde_json::from_str(data).unwrap()));
                self.1 = rest.to_owned();
                if told.is_some() {
                    return told;
                }
            }
            let piece = tokio::time::timeout(Duration::from_secs(20), self.0.chunk()).await.expect("silence");
            self.1.push_str(std::str::from_utf8(&piece.unwrap()?).unwrap());
        }
    }

    /// Reads on until an event is as wanted.
    async fn until(&mut self, wanted: impl Fn(&str, &Value) -> bool) -> Value {
        loop {
            let (name, data) = self.next().await.expect("the stream ended");
            if wanted(&name, &data) {
                return data;
            }
        }
    }
}

#[tokio::test]
async fn listeners_hear_what_changes() {
    let app = TestApp::start().await;
    let (mut one, mut two) = (Reader::open(&app).await, Reader::open(&app).await);
    let empty = one.until(|name, _| name == "moment").await;
    assert_eq!((&empty["queue"]["total"], &empty["oldestReadySeconds"]), (&json!(0), &json!(null)));
    app.bulk("", lines("s", 3)).await;
    app.clock.advance(Duration::from_secs(7));
    let waiting = one.until(|_, data| data["queue"]["ready"] == 3 && data["oldestReadySeconds"] == 7.0).await;
    assert_eq!((&waiting["circuitOpen"], &waiting["batchesInFlight"]), (&json!(false), &json!(0)));
    send(app.request("POST", "/api/v1/batch/process")).await;
    app.clock.advance(Duration::from_secs(20));
    let done = |_: &str, data: &Value| data["history"]["arrivals"].as_array().is_some_and(|steps| !steps.is_empty());
    for reader in [&mut one, &mut two] {
        let told = reader.until(done).await;
        let sum =
            |name: &str| told["history"][name].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
        assert_eq!((sum("arrivals"), sum("verdicts"), &told["queue"]["processed"]), (3, 3, &json!(3)));
        assert_eq!(told["verdicts"].as_array().unwrap().len(), 3);
        assert!(told["verdicts"][0]["decision"].is_string() && told["verdicts"][0]["sessionId"].is_string());
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_told_in_words_and_the_stream_goes_on() {
    let app = TestApp::start().await;
    let mut reader = Reader::open(&app).await;
    reader.until(|name, _| name == "moment").await;
    app.store.fail(Some(StoreError::Unavailable("/secret".to_owned())));
    let told = reader.until(|name, _| name == "trouble").await;
    assert!(told["message"].as_str().is_some_and(|text| text.contains("store") && !text.contains("secret")));
    app.store.fail(None);
    reader.until(|name, _| name == "moment").await;
}

#[tokio::test]
async fn what_failed_is_told_with_its_cause() {
    let refuse = |_: &[crate::detector::Row]| {
        Err(crate::detector::DetectorError::Transient { message: "out of paper".to_owned(), retry_after: None })
    };
    let app = TestApp::with(|choice| choice.detector = crate::detector::scripted::Scripted::new(refuse)).await;
    app.bulk("", lines("s", 1)).await;
    send(app.request("POST", "/api/v1/batch/process")).await;
    let mut reader = Reader::open(&app).await;
    let told = reader.until(|_, data| data["queue"]["failed"] == 1).await;
    let errors = told["errors"].as_array().unwrap();
    assert!(errors.iter().all(|error| error["message"].as_str().unwrap().contains("out of paper")), "{errors:?}");
    assert!(errors.iter().any(|error| error["sessionId"] == "s1") && errors.iter().any(|e| e["batchId"].is_number()));
}

#[tokio::test]
async fn listeners_are_bounded_give_their_place_back_and_are_let_go_at_shutdown() {
    let mut app = TestApp::start().await;
    let places = Arc::clone(&app.service.events.places);
    let taken = places.clone().try_acquire_many_owned(u32::try_from(MAX_LISTENERS).unwrap() - 1).unwrap();
    let mut last = Reader::open(&app).await;
    let refused = app.get("/api/v1/events").await;
    refused.is_error(503, "busy");
    assert!(refused.header("retry-after").is_some());
    last.next().await.unwrap();
    drop(taken);
    app.stop();
    while last.next().await.is_some() {}
    app.stopped().await;
    assert_eq!(places.available_permits(), MAX_LISTENERS);
}

#[test]
fn history_spreads_what_came_unseen_and_forgets_what_is_old() {
    let counts = |accepted, ready| Counts { accepted, ready, processed: accepted - ready, ..Counts::default() };
    let mut history = History::default();
    assert!(history.is_due(Timestamp(0)));
    history.note(Timestamp(0), &counts(100, 10));
    assert!(!history.is_due(Timestamp(9_999)) && history.steps.is_empty());
    history.note(Timestamp(9_999), &counts(105, 10));
    history.note(Timestamp(10_000), &counts(110, 15));
    assert_eq!(history.steps, [(10, 5)]);
    history.note(Timestamp(45_000), &counts(120, 4));
    assert_eq!(history.steps, [(10, 5), (3, 7), (3, 7), (4, 7)]);
    assert_eq!(history.began, Some((Timestamp(40_000), 120, 116)));
    // Sent back to the queue: less is settled than before.
    history.note(Timestamp(50_000), &counts(120, 9));
    assert_eq!(history.steps.back(), Some(&(0, 0)));
    history.note(Timestamp(90_000_000), &counts(1_020, 0));
    assert_eq!((history.steps.len(), history.steps[0].0, history.steps.iter().map(|s| s.0).sum()), (MAX_STEPS, 5, 900));
    history.note(Timestamp(80_000_000), &counts(1_021, 0));
    assert_eq!(history.began, Some((Timestamp(80_000_000), 1_021, 1_021)), "a clock set back begins anew");
}
