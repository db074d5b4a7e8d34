//! How fast it is: frames of a long replay, and pages of results among many. `DASHBOARD_ROWS` sets how many.

use std::time::{Duration, Instant};

use playproof_batch::generator::Family;

use super::browser::Page;
use super::{BY_HAND, ask, block, bot, decided, send};
use crate::process::{Place, Process};

/// Frames a second below which a replay stutters, also beside the other tests; docs/benchmarks.md has those of an idle machine.
const FRAMES: f64 = 15.0;
/// How long a page of results may take.
const PAGE: Duration = Duration::from_millis(100);

#[test]
fn a_session_of_2000_points_replays_smoothly() {
    let place = Place::embedded();
    let node = Process::on(&place.url, &BY_HAND);
    send(&node, None, &[bot(Family::WindMouse, 1, Some(2_000))]);
    ask(&node, "POST", "/api/v1/batch/process");
    let id = ask(&node, "GET", "/api/v1/batch/results")["results"][0]["sessionId"].take();
    let mut page = Page::open();
    page.go(&format!("{}/#/session/{}", node.url, id.as_str().unwrap()));
    page.sees("2,000 movements");
    page.until("document.querySelector('canvas').dataset.frames === '0'");
    // The frames that the replay itself drew, over the time that it took; the best of three, since others work here too.
    let best = (0..3).map(|_| {
        let measured = "(async () => { const c = document.querySelector('canvas'); const p = document.querySelector('.play'); \
             const before = Number(c.dataset.frames); const begun = performance.now(); p.click(); \
             await new Promise(done => setTimeout(done, 3000)); p.click(); \
             return (Number(c.dataset.frames) - before) * 1000 / (performance.now() - begun); })()";
        page.eval("(() => { const s = document.querySelector('.player input'); s.value = 0; s.dispatchEvent(new Event('input')); })()");
        page.eval(measured).as_f64().unwrap()
    });
    let best = best.fold(0.0, f64::max);
    println!("{best:.1} frames a second");
    assert!(best >= FRAMES, "{best:.1} frames a second");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

/// Rows beside those of real sessions.
#[expect(clippy::disallowed_methods, reason = "the large form is asked for by the environment")]
fn rows() -> u64 {
    std::env::var("DASHBOARD_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(30_000)
}

/// Copies of the first session and its result, one a second into the past; a fourth in a deployment, few with a pen.
fn fill(file: &std::path::Path, rows: u64) {
    let store = rusqlite::Connection::open(file).unwrap();
    let columns = |table: &str| -> Vec<String> {
        let mut statement = store.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let copy = |table: &str, first: &str, changed: &[(&str, &str)]| {
        let columns: Vec<String> =
            columns(table).into_iter().filter(|name| table != "results" || name != "id").collect();
        let value = |name: &String| {
            changed.iter().find(|(n, _)| n == name).map_or(name.as_str(), |(_, value)| value).to_owned()
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) INSERT INTO {table} ({}) \
             SELECT {} FROM n, (SELECT * FROM {table} WHERE {first})",
            columns.join(", "),
            values.join(", ")
        );
        store.execute_batch(&sql).unwrap();
    };
    store.execute_batch("BEGIN").unwrap();
    let deployment = ("deployment", "CASE WHEN i % 4 = 0 THEN 'many' ELSE '' END");
    let session = [
        ("seq", "47 + i"),
        ("id", "'filled-' || i"),
        ("id_hash", "i * 7919"),
        ("device", "CASE WHEN i % 1000 = 0 THEN 'pen' ELSE device END"),
        ("finished_at", "finished_at - i * 1000"),
        ("telemetry", "0"),
        deployment,
    ];
    copy("sessions", "seq = 1", &session);
    let result = [("session", "47 + i"), ("scored_at", "scored_at - i * 1000"), ("decision", "i % 3"), deployment];
    copy("results", "session = 1", &result);
    let counts = format!(
        "UPDATE totals SET processed = processed + {rows}, accepted = accepted + {rows}, indexed = accepted + {rows}; COMMIT"
    );
    store.execute_batch(&counts).unwrap();
}

#[test]
fn a_page_of_results_is_quick_among_many() {
    let place = Place::embedded();
    let (status, _) = decided(&place).terminate();
    assert!(status.success());
    let folder = place.url.strip_prefix("embedded:").unwrap();
    fill(&std::path::Path::new(folder).join("playproof.sqlite"), rows());
    let node = Process::on(&place.url, &BY_HAND);
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    for query in [
        "limit=100",
        "limit=100&decision=fail",
        "limit=100&deploymentId=many",
        "limit=100&deploymentId=many&decision=review",
        "limit=100&deviceType=pen",
        "limit=100&deviceType=nowhere",
        "limit=100&source=woodwide",
        "limit=100&reason=flagged",
        "limit=1000",
    ] {
        let best = (0..5).map(|_| {
            let begun = Instant::now();
            let answer = block(async {
                client
                    .get(format!("{}/api/v1/batch/results?{query}", node.url))
                    .send()
                    .await
                    .unwrap()
                    .bytes()
                    .await
                    .unwrap()
            });
            assert!(!answer.is_empty());
            begun.elapsed()
        });
        let best = best.min().unwrap();
        println!("{:7.1} ms  {query}", best.as_secs_f64() * 1000.0);
        assert!(best < PAGE, "{query} took {best:?}");
    }
    let mut page = Page::open();
    page.go(&format!("{}/#/sessions", node.url));
    page.until("document.querySelectorAll('tbody tr').length === 100");
    let shown = "(async () => { let best = Infinity; for (let i = 0; i < 5; i += 1) { const begun = performance.now(); \
         location.hash = `#/sessions?deploymentId=many&decision=${i % 2 ? 'fail' : 'pass'}`; \
         await new Promise(done => addEventListener('hashchange', done, {once: true})); \
         while (document.querySelectorAll('tbody tr').length !== 100) await new Promise(requestAnimationFrame); \
         best = Math.min(best, performance.now() - begun); } return best; })()";
    println!("{:7.1} ms  from click to shown, in the browser", page.eval(shown).as_f64().unwrap());
    assert_eq!(page.complaints(), Vec::<String>::new());
}
