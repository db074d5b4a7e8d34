//! Everything one can do in the dashboard, done with mouse and keyboard.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use super::browser::Page;
use super::{BY_HAND, ask, block, decided, everybody, on_both, one_that_cannot_be_scored, people, send};
use crate::process::{Place, Process};

const ROWS: &str = "document.querySelectorAll('tbody tr').length";

/// Whether every row's cell under a heading has a text.
fn all(head: &str, text: &str) -> String {
    format!(
        "[...document.querySelectorAll('td[data-head=\"{head}\"]')].every(e => e.textContent.includes({}))",
        json!(text)
    )
}

on_both!(
    the_scheduler_is_steered_and_what_happens_is_seen_live,
    an_outage_is_told_in_words,
    a_session_that_cannot_be_scored_says_so_and_is_sent_back,
    a_path_that_is_no_longer_kept_is_missed_in_words,
    a_lost_connection_is_told_and_taken_up_again,
    sessions_are_filtered_scrolled_through_and_exported,
    a_session_is_replayed_and_leads_to_its_batch_and_back,
    sessions_that_moved_alike_are_laid_under,
    what_clients_call_themselves_is_text,
    thresholds_are_tried_applied_and_taken_back,
);

fn the_scheduler_is_steered_and_what_happens_is_seen_live(place: &Place) {
    let node = Process::on(&place.url, &BY_HAND);
    let mut page = Page::open();
    page.go(&node.url);
    page.sees("Scheduler is stopped");
    page.sees("No verdicts yet");
    page.until("document.getElementById('live').textContent === 'Live'");
    send(&node, None, &everybody());
    let waiting = "[...document.querySelectorAll('.figures div')].find(e => e.textContent.includes('Waiting')) \
                   .querySelector('dd span').textContent";
    page.until(&format!("{waiting} === '47'"));
    let one = people()[0]["sessionId"].take();
    page.eval(&format!("location.hash = '#/session/{}'", one.as_str().unwrap()));
    page.sees("Session is queued for the next batch.");
    page.until("document.querySelector('canvas').dataset.frames === '0' && document.querySelectorAll('.steps li').length === 2");
    page.eval("location.hash = '#/now'");
    page.press("Run batches now");
    page.sees("Processed 47 sessions");
    page.until(&format!("{waiting} === '0' && {ROWS} >= 12"));

    page.press("Start scheduler");
    page.sees("Scheduler runs");
    // Asked first, by dialog; Escape and Cancel leave it running.
    page.press("Stop scheduler");
    page.until("document.querySelector('dialog[open]') && document.activeElement.textContent === 'Cancel'");
    page.key("Escape");
    page.until("!document.querySelector('dialog')");
    page.press("Stop scheduler");
    page.press("Cancel");
    page.until("!document.querySelector('dialog')");
    assert_eq!(ask(&node, "GET", "/api/v1/batch/scheduler/status")["running"], true);
    page.press("Stop scheduler");
    page.click("document.querySelector('dialog .danger')");
    page.sees("Scheduler is stopped");
    assert_eq!(ask(&node, "GET", "/api/v1/batch/scheduler/status")["running"], false);

    page.press("Dark");
    page.until("document.documentElement.dataset.theme === 'dark'");
    page.go(&node.url);
    page.until("document.documentElement.dataset.theme === 'dark' && document.querySelector('.chart canvas')");
    page.press("Light");
    page.until("document.documentElement.dataset.theme === 'light'");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn an_outage_is_told_in_words(place: &Place) {
    // Nothing listens at port 1.
    let away = [
        ("PLAYPROOF_DETECTOR", "woodwide"),
        ("WOODWIDE_API_KEY", "sk_sim"),
        ("WOODWIDE_BASE_URL", "http://127.0.0.1:1"),
        ("ANOMALY_MODEL_ID", "m"),
    ];
    let node = Process::on(&place.url, &away);
    send(&node, None, &people()[..3]);
    let mut page = Page::open();
    page.go(&node.url);
    page.press("Run batches now");
    page.sees("sessions wait; it is probed");
    page.sees("cannot connect: Connection refused");
    page.click("[...document.querySelectorAll('.list a')].find(a => a.textContent === 'Batch 1')");
    page.sees("check WOODWIDE_BASE_URL and the network");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn a_session_that_cannot_be_scored_says_so_and_is_sent_back(place: &Place) {
    let (rig, node, poisoned) = one_that_cannot_be_scored(place);

    let mut page = Page::open();
    page.go(&node.url);
    page.until(&format!("[...document.querySelectorAll('.list a')].some(a => a.textContent === {})", json!(poisoned)));
    page.press(&poisoned);
    page.sees("This session could not be scored in");
    page.sees("is all that is known of it.");
    page.sees("Last error:");
    page.until("document.querySelector('canvas').dataset.frames === '0'");
    page.press("Send it back to the queue");
    page.sees("Session is queued for the next batch.");
    ask(&node, "POST", "/api/v1/batch/process");
    page.eval("location.hash = '#/now'");
    page.press("Send failed sessions back");
    page.press("Cancel");
    rig.sim.disarm_all();
    page.press("Send failed sessions back");
    page.click("document.querySelector('dialog .danger')");
    page.sees("1 session sent back.");
    page.press("Run batches now");
    page.sees("Processed 1 sessions");
    page.until("![...document.querySelectorAll('button')].find(b => b.textContent === 'Send failed sessions back').offsetParent");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn a_path_that_is_no_longer_kept_is_missed_in_words(place: &Place) {
    let short = [("PLAYPROOF_RETENTION_TELEMETRY", "0s"), ("PLAYPROOF_RETENTION_TELEMETRY_FLAGGED", "0s")];
    let node = Process::on(&place.url, &[&BY_HAND[..], &short[..]].concat());
    send(&node, None, &people()[..3]);
    ask(&node, "POST", "/api/v1/batch/process");
    // Retention looks at the start and then every half minute.
    node.kill();
    let node = Process::on(&place.url, &[&BY_HAND[..], &short[..]].concat());
    let id = people()[0]["sessionId"].as_str().unwrap().to_owned();
    let begun = Instant::now();
    let address = format!("{}/api/v1/sessions/{id}/telemetry", node.url);
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    while block(async { client.get(&address).send().await.unwrap().status() }) != 404 {
        assert!(begun.elapsed() < Duration::from_secs(25), "it is still there");
    }
    let mut page = Page::open();
    page.go(&format!("{}/#/session/{id}", node.url));
    page.sees("telemetry is gone");
    page.sees("History");
    page.sees("This session passes: the embedded model gave it");
    // What is gone is answered with 404, and the browser says so.
    let complaints = page.complaints();
    assert!(complaints.iter().all(|line| line.contains("404")), "{complaints:?}");
}

fn a_lost_connection_is_told_and_taken_up_again(place: &Place) {
    let node = Process::on(&place.url, &BY_HAND);
    let address = node.url.trim_start_matches("http://").to_owned();
    let mut page = Page::open();
    page.go(&node.url);
    page.until("document.getElementById('live').textContent === 'Live'");
    node.kill();
    page.until("document.getElementById('live').textContent.startsWith('Connection lost')");
    // After an answer that is an error a browser does not try again by itself.
    let busy = TcpListener::bind(&address).unwrap();
    let (mut asked, _) = busy.accept().unwrap();
    assert!(asked.read(&mut [0; 4096]).unwrap() > 0);
    asked.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    drop((asked, busy));
    let node = Process::on(&place.url, &[&BY_HAND[..], &[("PLAYPROOF_LISTEN", address.as_str())][..]].concat());
    page.until("document.getElementById('live').textContent === 'Live'");
    send(&node, None, &people()[..3]);
    page.press("Run batches now");
    page.sees("Processed 3 sessions");
    // What failed meanwhile is a fault of the network and of the node, not of the page.
    let complaints = page.complaints();
    let foreign = |line: &String| line.contains("net::ERR_") || line.contains("503");
    assert!(complaints.iter().all(foreign), "{complaints:?}");
}

fn sessions_are_filtered_scrolled_through_and_exported(place: &Place) {
    let node = decided(place);
    let mut many = people();
    let mut more = Vec::new();
    for n in 0..8 {
        for session in &mut many {
            session["sessionId"] = format!("again-{n}-{}", more.len()).into();
            session["deploymentId"] = "shop-us".into();
            more.push(session.clone());
        }
    }
    send(&node, None, &more);
    ask(&node, "POST", "/api/v1/batch/process");
    let total = 47 + more.len();

    let mut page = Page::open();
    page.go(&format!("{}/#/sessions", node.url));
    page.until(&format!("{ROWS} >= 100"));
    for shown in [200, total] {
        page.until(&format!("(scrollTo(0, document.body.scrollHeight), {ROWS} >= {shown})"));
    }
    page.sees(&format!("{total} results, that is all."));

    let choose = |page: &mut Page, name: &str, value: &str| {
        page.eval(&format!(
            "(() => {{ const e = document.getElementById('f-{name}'); e.value = {}; \
             e.dispatchEvent(new Event('change', {{bubbles: true}})); }})()",
            json!(value)
        ));
        page.until(&format!("location.hash.includes('{name}=') && {ROWS} < {total}"));
        page.until("/that is all|No result fits/.test(document.querySelector('.foot').textContent)");
    };
    choose(&mut page, "deploymentId", "shop-eu");
    page.until(&format!("{ROWS} === 9 && {}", all("Deployment", "shop-eu")));
    choose(&mut page, "decision", "fail");
    page.until(&format!("{ROWS} > 0 && {ROWS} < 9 && {}", all("Decision", "fail")));
    page.press("Clear filters");
    page.until(&format!("{ROWS} >= 100"));
    choose(&mut page, "deviceType", "trackpad");
    page.until(&format!("{ROWS} > 0 && {}", all("Device", "trackpad")));
    choose(&mut page, "source", "embedded");
    page.press("Clear filters");
    page.until(&format!("{ROWS} >= 100"));
    choose(&mut page, "reason", "unlike_humans");
    page.until(&format!("{ROWS} > 0 && {}", all("Reasons", "Unlike people as a whole")));
    page.press("Clear filters");
    page.until(&format!("{ROWS} >= 100"));
    choose(&mut page, "until", "2020-01-01T00:00");
    page.sees("No result fits.");
    page.press("Clear filters");
    page.until(&format!("{ROWS} >= 100"));
    let one = ask(&node, "GET", "/api/v1/batch/results?deploymentId=shop-eu&limit=1")["results"][0]["sessionId"].take();
    page.eval(&format!("location.hash = '#/sessions?deploymentId=shop-eu&sessionId={}'", one.as_str().unwrap()));
    page.until(&format!("{ROWS} === 1"));

    page.press("Clear filters");
    page.until(&format!("{ROWS} >= 100"));
    let folder = tempfile::tempdir().unwrap();
    let allow = json!({"behavior": "allow", "downloadPath": folder.path()});
    page.call("Page.setDownloadBehavior", allow);
    page.press("Export CSV");
    page.sees(&format!("Exported {total} rows"));
    let begun = std::time::Instant::now();
    let csv = loop {
        assert!(begun.elapsed().as_secs() < 20, "no file came");
        let mut files = std::fs::read_dir(folder.path()).unwrap().flatten().map(|file| file.path());
        let whole = files.find(|file| file.extension().is_some_and(|end| end == "csv"));
        if let Some(file) = whole {
            break std::fs::read_to_string(file).unwrap();
        }
        page.eval("new Promise(done => setTimeout(done, 20))");
    };
    assert_eq!(csv.lines().count(), total + 1);
    assert!(csv.starts_with("sessionId,deploymentId,anomalyScore,"));
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn a_session_is_replayed_and_leads_to_its_batch_and_back(place: &Place) {
    let node = decided(place);
    let mut page = Page::open();
    // Some bots are odd all along: one is wanted whose path has a stretch that speaks against it.
    page.go(&format!("{}/#/sessions?decision=fail", node.url));
    let told = (0..10).any(|place| {
        page.eval("location.hash = '#/sessions?decision=fail'");
        page.until(&format!("{ROWS} > {place}"));
        page.click(&format!("document.querySelectorAll('tbody tr')[{place}].querySelector('a')"));
        page.until("/fails/.test(document.querySelector('.sentence')?.textContent)");
        page.sees("What moved the score most");
        page.eval("document.body.innerText.includes('the score would be lower.')") == true
    });
    assert!(told, "no session tells a stretch");
    page.sees("First verdict");
    page.sees("Batch verdict");
    page.until("document.querySelector('.legend .guilty')");
    assert!(
        page.eval("document.querySelectorAll('.why li').length").as_u64().unwrap() > 0,
        "reasons are told in words"
    );
    page.until(
        "/movements? in .* px long; mean speed .*; \\d+ clicks/.test(document.getElementById('in-words').textContent)",
    );
    let ink = "(() => { const c = document.querySelector('canvas'); const copy = new OffscreenCanvas(c.width, c.height); \
               const pen = copy.getContext('2d', {willReadFrequently: true}); pen.drawImage(c, 0, 0); \
               const d = pen.getImageData(0, 0, c.width, c.height).data; let n = 0; \
               for (let i = 0; i < d.length; i += 4) n += d[i + 3] > 250; return n; })()";
    let whole = page.eval(ink).as_u64().unwrap();
    assert!(whole > 1_000, "{whole} pixels are drawn");

    page.until("document.querySelector('.player select').value === '1'");
    page.eval("(() => { const e = document.querySelector('.player select'); e.value = '4'; e.dispatchEvent(new Event('change')); })()");
    page.press("Play");
    page.until("document.querySelector('.play').textContent === 'Pause'");
    page.until("Number(document.querySelector('.player input').value) > 300");
    page.press("Pause");
    page.until("document.querySelector('.play').textContent === 'Play'");
    let place_in_time = "Number(document.querySelector('.player input').value)";
    let paused = page.eval(place_in_time).as_f64().unwrap();
    assert!(page.eval(ink).as_u64().unwrap() < whole, "what is to come is faint");
    page.eval("document.querySelector('canvas').focus()");
    page.key("ArrowLeft");
    page.until(&format!("{place_in_time} < {paused}"));
    page.key(" ");
    page.until("document.querySelector('.play').textContent === 'Pause'");
    page.until("document.querySelector('.play').textContent === 'Play'");
    page.until(&format!("{place_in_time} === Number(document.querySelector('.player input').max)"));

    page.click("document.querySelector('.facts a[href^=\"#/batch/\"]')");
    page.sees("In the detector");
    page.until(&format!("{ROWS} > 20"));
    page.press("‹ Batches");
    page.until(&format!("location.hash === '#/batches' && {ROWS} === 2"));
    page.press("Model");
    page.sees("scores now");
    page.until("document.querySelectorAll('.chart canvas').length === 2");
    page.press("Scores in numbers");
    page.sees("Promised at most");
    assert_eq!(page.complaints(), Vec::<String>::new());

    // The first tab leads to the link that skips the bar, and it does.
    page.go("about:blank");
    page.go(&format!("{}/#/batches", node.url));
    page.until(&format!("{ROWS} === 2"));
    page.key("Tab");
    page.until("document.activeElement.id === 'skip'");
    page.key("Enter");
    page.until("document.activeElement.id === 'main'");

    page.eval("location.hash = '#/session/nobody'");
    page.sees("Session not found in queue or results");
    let told = page.complaints();
    assert!(told.iter().all(|text| text.contains("404")), "{told:?}");
}

fn sessions_that_moved_alike_are_laid_under(place: &Place) {
    let node = Process::on(&place.url, &[&BY_HAND[..], &[("PLAYPROOF_BATCH_EVIDENCE", "always")][..]].concat());
    send(&node, None, &people());
    // Recordings of people that somebody else plays back, a little aside.
    let mut copies = people()[..6].to_vec();
    for (n, copy) in copies.iter_mut().enumerate() {
        copy["sessionId"] = format!("copy-{n}").into();
        copy["userId"] = "somebody-else".into();
        for movement in copy["movements"].as_array_mut().unwrap() {
            movement["x"] = (movement["x"].as_f64().unwrap() + 7.0).into();
        }
    }
    send(&node, None, &copies);
    ask(&node, "POST", "/api/v1/batch/process");
    let listed = ask(&node, "GET", "/api/v1/batch/results?reason=replayed_movement");
    let copy = listed["results"][0]["sessionId"].as_str().unwrap().to_owned();
    let number: usize = copy.strip_prefix("copy-").unwrap().parse().unwrap();
    let mut page = Page::open();
    page.go(&format!("{}/#/session/{copy}", node.url));
    page.sees(people()[number]["sessionId"].as_str().unwrap());
    page.sees("Sessions that moved alike");
    let look = "document.querySelector('canvas').toDataURL()";
    let before = page.eval(look);
    page.press("Lay under");
    page.until("document.querySelector('[aria-pressed=true]')");
    assert_ne!(page.eval(look), before);
    page.press("Lay under");
    page.until("document.querySelector('[aria-pressed=false]')");
    assert_eq!(page.eval(look), before);
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn what_clients_call_themselves_is_text(place: &Place) {
    let node = Process::on(&place.url, &BY_HAND);
    let evil = "<img src=x onerror=alert(1)>\"'&{{7*7}}\u{202e}";
    let mut session = people().swap_remove(0);
    session["sessionId"] = "evil".into();
    for field in ["deploymentId", "deviceType", "gameType", "userId"] {
        session[field] = evil.into();
    }
    send(&node, None, &[session]);
    ask(&node, "POST", "/api/v1/batch/process");
    let mut page = Page::open();
    for view in ["#/now", "#/sessions", "#/batch/1"] {
        page.go("about:blank");
        page.go(&format!("{}/{view}", node.url));
        page.sees("evil");
        assert_eq!(page.eval("document.querySelectorAll('main img, main script').length"), 0, "{view}");
    }
    page.click("document.querySelector('td a')");
    page.sees("<img src=x onerror=alert(1)>");
    page.until("document.querySelector('canvas') && document.querySelectorAll('main img, main script').length === 0");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn thresholds_are_tried_applied_and_taken_back(place: &Place) {
    let node = decided(place);
    let decisions = |node: &Process| -> Vec<String> {
        let rows = ask(node, "GET", "/api/v1/batch/results")["results"].take();
        rows.as_array().unwrap().iter().map(|row| row["decision"].to_string()).collect()
    };
    let before = decisions(&node);
    let mut page = Page::open();
    page.go(&format!("{}/#/thresholds", node.url));
    page.sees("Now 1.00 and 2.50, as the settings say.");
    page.sees("0 sessions of 47 (0.0 %) would change their decision.");
    let set = |page: &mut Page, name: &str, value: &str| {
        page.eval(&format!(
            "(e => {{ e.value = '{value}'; e.dispatchEvent(new Event('input', {{bubbles: true}})); }})(document.getElementById('{name}'))"
        ));
    };
    set(&mut page, "review", "0.5");
    page.sees("The second cut must be larger than the first.");
    page.until("[...document.querySelectorAll('button')].find(b => b.textContent === 'Apply').disabled");
    set(&mut page, "pass", "0.1");
    page.sees("would change their decision");
    page.until("document.querySelectorAll('[aria-live] tbody tr').length > 0");
    let first = page.eval("document.querySelector('[aria-live] tbody a').getAttribute('href')");
    let told = page.eval("document.querySelector('[aria-live] p').textContent");
    page.press("Apply");
    page.press("Cancel");
    assert_eq!(decisions(&node), before, "asked first");
    page.press("Apply");
    page.click("document.querySelector('dialog .danger')");
    page.sees("The thresholds hold.");
    let done = told.as_str().unwrap().replace("would change", "changed");
    page.sees(&done);
    assert_ne!(decisions(&node), before);
    page.eval(&format!("location.hash = {first}"));
    page.sees("Other thresholds were applied: 0.10 and 0.50.");
    page.eval("location.hash = '#/thresholds'");
    page.sees("Now 0.10 and 0.50, applied");
    page.press("Revert");
    page.click("document.querySelector('dialog .danger')");
    page.sees("as the settings say.");
    assert_eq!(decisions(&node), before);
    assert_eq!(page.complaints(), Vec::<String>::new());
}
