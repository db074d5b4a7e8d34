//! What an outage says of itself: to those who ask, and in the log.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::tests::*;
use crate::clock::Clock as _;
use crate::detector::DetectorError;
use crate::detector::scripted::{Scripted, answer, outcome_of};
use crate::domain::result::Source;

const MINUTE: Duration = Duration::from_secs(60);

/// What is logged, as text.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logged {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Logged {
    /// Lines that say so.
    fn lines(&self, words: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
    }

    /// Waits for that many of them; the last.
    async fn until(&self, words: &str, times: usize) -> String {
        eventually(|| self.lines(words).len() >= times).await;
        let lines = self.lines(words);
        assert_eq!(lines.len(), times, "{lines:?}");
        lines.last().unwrap().clone()
    }
}

/// A remote detector that is away while the switch is on.
fn switched(down: &Arc<AtomicBool>) -> Scripted {
    let down = Arc::clone(down);
    let detector = Scripted::new(move |rows| {
        if down.load(Ordering::SeqCst) {
            return Err(DetectorError::Unavailable { message: "no route".to_owned(), retry_after: None });
        }
        Ok(answer(rows.iter().map(|row| (row.id, outcome_of(row.id))).collect()))
    });
    detector.set_healthy(false);
    detector
}

#[tokio::test]
async fn the_log_tells_of_an_outage_and_of_the_fallback_when_they_begin_every_ten_minutes_and_when_they_end() {
    let logged = Logged::default();
    // With a single listener tracing would ask the thread that comes to a line first whether anybody listens to it, and
    // remember its no: the tests beside this one come to the same lines.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let log = tracing_subscriber::fmt().with_writer(logged.clone()).with_ansi(false).finish();
    let _logging = tracing::subscriber::set_default(log);
    let down = Arc::new(AtomicBool::new(true));
    let bench = remote_bench(switched(&down), Scripted::honest());
    bench.submit(0, 50).await;
    let begun = logged.until("the detector is away", 1).await;
    assert!(begun.contains("WARN") && begun.contains("no route"), "{begun}");
    bench.until(|c| c.ready == 50).await;
    bench.advance(9 * MINUTE);
    bench.advance(MINUTE);
    let reminded = logged.until("the detector is still away", 1).await;
    assert!(reminded.contains("WARN") && reminded.contains("waiting=50") && reminded.contains("seconds=600"));
    assert_eq!(logged.lines("fallback scores sessions").len(), 0);
    bench.advance(6 * MINUTE);
    bench.until(|c| c.processed == 50).await;
    let stands_in = logged.until("the fallback scores sessions", 1).await;
    assert!(stands_in.contains("WARN") && stands_in.contains("sessions=50"), "{stands_in}");
    bench.advance(4 * MINUTE);
    let reminded = logged.until("the fallback still scores sessions", 1).await;
    assert!(reminded.contains("sessions=50"), "{reminded}");
    let reminded = logged.until("the detector is still away", 2).await;
    assert!(reminded.contains("scored_by_fallback=50") && reminded.contains("waiting=0"), "{reminded}");

    down.store(false, Ordering::SeqCst);
    bench.detector.set_healthy(true);
    bench.advance(MINUTE);
    let ended = logged.until("the detector answers again", 1).await;
    assert!(ended.contains("INFO") && ended.contains("seconds=1260"), "{ended}");
    let ended = logged.until("the fallback scores no more sessions", 1).await;
    assert!(ended.contains("INFO") && ended.contains("sessions=50"), "{ended}");
    assert_eq!(logged.lines("the detector is away").len(), 1);
}

#[tokio::test]
async fn whoever_asks_is_told_when_the_fallback_comes_and_what_it_did() {
    let down = Arc::new(AtomicBool::new(true));
    let bench = remote_bench(switched(&down), Scripted::honest());
    let handle = bench.scheduler.handle();
    assert_eq!(handle.outage().await, None);
    let begun = bench.clock.now().wall;
    bench.submit(0, 50).await;
    bench.until_open().await;
    bench.until(|c| c.ready == 50).await;
    let outage = handle.outage().await.unwrap();
    assert_eq!((outage.detector, outage.cause.as_str(), outage.since), (Source::Woodwide, "no route", begun));
    assert_eq!(outage.next_probe, Some(begun.plus(MINUTE / 2)));
    assert_eq!((outage.fallback_at, outage.waiting), (Some(begun.plus(15 * MINUTE)), Some(50)));
    bench.advance(16 * MINUTE);
    bench.until(|c| c.processed == 50).await;
    eventually(|| handle.engine.outages.ongoing().is_some_and(|ongoing| ongoing.scored_by_fallback == 50)).await;
    let outage = handle.outage().await.unwrap();
    assert_eq!((outage.fallback_at, outage.waiting, outage.scored_by_fallback), (None, Some(0), 50));
}

#[tokio::test]
async fn an_outage_ends_although_nobody_waits() {
    let down = Arc::new(AtomicBool::new(true));
    let bench = remote_bench(switched(&down), Scripted::honest());
    bench.submit(0, 50).await;
    bench.until_open().await;
    bench.advance(16 * MINUTE);
    bench.until(|c| c.processed == 50).await;
    bench.detector.set_healthy(true);
    bench.advance(MINUTE);
    eventually(|| !bench.scheduler.handle().circuit_is_open()).await;
    assert_eq!(bench.scheduler.handle().outage().await, None);
}
