//! The questions of a working day, each answered from the overview in a few clicks; how many is in the test's name.

use serde_json::{Value, json};

use super::browser::Page;
use super::{BY_HAND, ask, bot, decided, everybody, on_both, one_that_cannot_be_scored, people, send, tell};
use crate::process::{Place, Process};
use playproof_batch::generator::Family;

on_both!(
    how_we_do_and_what_changed_is_told_with_0_clicks,
    why_more_fail_leads_to_the_sessions_that_do_with_1_click,
    who_a_user_is_takes_3_clicks,
    what_attacks_us_since_when_takes_2_clicks,
    a_campaign_is_told_from_a_session_with_3_clicks,
    what_failed_and_why_takes_2_clicks,
    many_are_labelled_with_4_clicks,
    the_highest_scores_and_a_view_of_ones_own_are_kept_in_the_address,
    what_waits_for_a_person_takes_1_click,
);

const OVERVIEW: &str = "document.querySelector('h1')?.textContent === 'Overview' && document.querySelector('.figures')";

/// A page that shows the overview.
fn overview(node: &Process, range: &str) -> Page {
    let mut page = Page::open();
    page.go(&format!("{}/#/overview?range={range}", node.url));
    page.until(OVERVIEW);
    page
}

fn quiet(page: &mut Page) {
    assert_eq!(page.complaints(), Vec::<String>::new());
}

/// Moves what was decided so far into the hour before, as if that much time had passed.
fn an_hour_ago(place: &Place) {
    let sql = "UPDATE decision_buckets SET slot = slot - 3600000; UPDATE results SET scored_at = scored_at - 3600000";
    if let Some(folder) = place.url.strip_prefix("embedded:") {
        let file = std::path::Path::new(folder).join("playproof.sqlite");
        rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
    } else {
        crate::cluster::psql(&place.url, sql);
    }
}

/// People first, and bots on phones an hour later.
fn changed(place: &Place) -> Process {
    let node = Process::on(&place.url, &BY_HAND);
    let mut before: Vec<Value> = Vec::new();
    for n in 0..3 {
        for mut session in people() {
            session["sessionId"] = format!("{}-{n}", session["sessionId"].as_str().unwrap()).into();
            before.push(session);
        }
    }
    send(&node, None, &before);
    assert_eq!(ask(&node, "POST", "/api/v1/batch/process")["remaining"], 0);
    let (status, _) = node.terminate();
    assert!(status.success());
    an_hour_ago(place);
    let node = Process::on(&place.url, &BY_HAND);
    let families = Family::ALL.into_iter().cycle().zip(0..80);
    let mut bots: Vec<Value> = families.map(|(family, seed)| bot(family, seed, None)).collect();
    for session in &mut bots {
        session["deviceType"] = "touch".into();
    }
    send(&node, None, &bots);
    assert_eq!(ask(&node, "POST", "/api/v1/batch/process")["remaining"], 0);
    node
}

fn how_we_do_and_what_changed_is_told_with_0_clicks(place: &Place) {
    let node = changed(place);
    let mut page = overview(&node, "1h");
    page.until("document.querySelector('.chart canvas')");
    let told = ask(&node, "GET", "/api/v1/overview?range=1h");
    let words = told["changes"][0]["words"].as_str().expect("a change is told").to_owned();
    page.sees(&words);
    page.sees("69 before");
    page.sees("The share of device touch rose from 0.0 % to 100.0 % of all sessions.");
    page.eval("location.hash = '#/overview?range=7d'");
    page.until(&format!("{OVERVIEW} && document.querySelector('a[aria-current=\"true\"]').textContent === '7d'"));
    page.sees("149");
    quiet(&mut page);
}

fn why_more_fail_leads_to_the_sessions_that_do_with_1_click(place: &Place) {
    let node = changed(place);
    let mut page = overview(&node, "1h");
    page.click("[...document.querySelectorAll('.figures dt')].find(e => e.textContent === 'Failed').parentElement.querySelector('a')");
    page.until("location.hash.includes('decision=fail') && document.querySelectorAll('tbody tr').length > 50");
    quiet(&mut page);
}

fn who_a_user_is_takes_3_clicks(place: &Place) {
    let node = Process::on(&place.url, &BY_HAND);
    let mut all = everybody();
    all.iter_mut().enumerate().for_each(|(i, session)| session["userId"] = format!("user-{}", i % 5).into());
    send(&node, None, &all);
    ask(&node, "POST", "/api/v1/batch/process");
    let mut page = overview(&node, "24h");
    page.click("document.querySelector('nav a[data-view=sessions]')");
    page.until("document.querySelectorAll('tbody tr').length === 47");
    page.click("document.querySelector('td.id a')");
    page.until("document.querySelector('.facts a[href^=\"#/user/\"]')");
    page.click("document.querySelector('.facts a[href^=\"#/user/\"]')");
    page.until("/^user-\\d$/.test(document.querySelector('h1')?.textContent) && document.querySelectorAll('tbody tr').length >= 9");
    page.sees("sessions with a result, and those that wait, in ");
    page.press("All are bots");
    page.press("Label all bot");
    page.sees("labelled.");
    page.sees("0 human, ");
    page.press("Always fail");
    page.press("Always fail");
    page.until("/Always fails/.test(document.querySelector('.list')?.textContent)");
    quiet(&mut page);
    let user = page.eval("document.querySelector('h1').textContent");
    let told = ask(&node, "GET", &format!("/api/v1/users/{}", user.as_str().unwrap()));
    assert_eq!((&told["decisions"]["pass"], &told["overrides"][0]["action"]), (&json!(0), &json!("deny")));
}

/// One person's recording, sent six times.
fn replayed(place: &Place) -> Process {
    let node = Process::on(&place.url, &BY_HAND);
    let one = people().into_iter().max_by_key(|one| one["movements"].as_array().unwrap().len()).unwrap();
    let copies: Vec<Value> = (0..6)
        .map(|n| {
            let mut copy = one.clone();
            copy["sessionId"] = format!("copy-{n}").into();
            copy["userId"] = format!("user-{n}").into();
            copy
        })
        .collect();
    for copy in copies {
        send(&node, None, &[copy]);
        ask(&node, "POST", "/api/v1/batch/process");
    }
    node
}

fn what_attacks_us_since_when_takes_2_clicks(place: &Place) {
    let node = replayed(place);
    let mut page = overview(&node, "24h");
    page.click("document.querySelector('.figures a[href=\"#/campaigns\"]')");
    page.until("document.querySelector('a[href^=\"#/campaign/\"]')");
    page.click("document.querySelector('a[href^=\"#/campaign/\"]')");
    page.until("document.querySelector('canvas')?.dataset.paths >= '2'");
    page.sees("First seen");
    page.sees("in the last hour");
    page.press("Always fail its users");
    page.sees("Each is an override");
    page.click("document.querySelector('dialog .danger')");
    page.sees("6 users of 6 always fail.");
    let overrides = ask(&node, "GET", "/api/v1/overrides");
    assert_eq!(overrides["overrides"].as_array().unwrap().len(), 6);
    quiet(&mut page);
}

fn a_campaign_is_told_from_a_session_with_3_clicks(place: &Place) {
    let node = replayed(place);
    let mut page = overview(&node, "24h");
    page.click("document.querySelector('nav a[data-view=sessions]')");
    page.until("[...document.querySelectorAll('td.id a')].some(e => e.textContent === 'copy-5')");
    page.click("[...document.querySelectorAll('td.id a')].find(e => e.textContent === 'copy-5')");
    page.until("document.querySelector('#why')");
    let sentence = page.eval("document.querySelector('.sentence').textContent");
    let sentence = sentence.as_str().unwrap();
    assert!(sentence.contains("earlier session"), "why it stands where it stands: {sentence}");
    page.click("document.querySelector('.facts a[href^=\"#/campaign/\"]')");
    page.until("/^Campaign/.test(document.querySelector('h1')?.textContent)");
    quiet(&mut page);
}

fn what_failed_and_why_takes_2_clicks(place: &Place) {
    let (_rig, node, poisoned) = one_that_cannot_be_scored(place);
    send(&node, None, &[bot(Family::WindMouse, 900, None)]);
    let mut page = overview(&node, "24h");
    page.click("document.querySelector('nav a[data-view=sessions]')");
    page.until("document.querySelectorAll('tbody tr').length === 11");
    let choose = |page: &mut Page, state: &str, rows: u32| {
        page.eval(&format!(
            "(() => {{ const e = document.getElementById('f-state'); e.value = '{state}'; \
             e.dispatchEvent(new Event('change', {{bubbles: true}})); }})()"
        ));
        page.until(&format!(
            "location.hash.includes('state={state}') && document.querySelectorAll('tbody tr').length === {rows}"
        ));
    };
    choose(&mut page, "ready", 1);
    choose(&mut page, "failed", 1);
    page.sees(&poisoned);
    assert!(page.eval("document.querySelector('td.words').textContent.length").as_u64().unwrap() > 10, "it says why");
    page.click("document.querySelector('td.choose input')");
    page.press("Send back to the queue");
    page.press("Send back");
    page.sees("1 session sent back.");
    choose(&mut page, "ready", 2);
    quiet(&mut page);
}

fn many_are_labelled_with_4_clicks(place: &Place) {
    let node = decided(place);
    let mut page = overview(&node, "24h");
    page.click("document.querySelector('nav a[data-view=sessions]')");
    page.until("document.querySelectorAll('tbody tr').length === 47");
    let first = page.eval("document.querySelector('td.id a').textContent");
    page.click("document.querySelector('td.choose input')");
    page.sees("1 session chosen");
    page.press("Bot");
    page.sees("It is one entry of the audit log");
    page.press("Label bot");
    page.sees("1 session labelled.");
    let labels = ask(&node, "GET", "/api/v1/labels");
    assert_eq!((&labels["labels"][0]["label"], &labels["labels"][0]["sessionId"]), (&json!("bot"), &first));

    page.until("document.querySelectorAll('tbody tr').length === 47");
    for place in [1, 2] {
        page.click(&format!("document.querySelectorAll('td.choose input')[{place}]"));
    }
    page.press("Erase");
    page.sees("cannot be had back");
    page.press("Erase");
    page.sees("2 sessions erased.");
    page.until("document.querySelectorAll('tbody tr').length === 45");
    quiet(&mut page);
}

fn the_highest_scores_and_a_view_of_ones_own_are_kept_in_the_address(place: &Place) {
    let node = decided(place);
    let mut page = Page::open();
    page.go(&format!("{}/#/sessions?decision=fail&sort=score", node.url));
    page.until("document.querySelectorAll('tbody tr').length > 5");
    let scores = page.eval(
        "[...document.querySelectorAll('td[data-head=Score]')].map(e => Number(e.textContent.replace('−', '-'))).join()",
    );
    let scores: Vec<f64> = scores.as_str().unwrap().split(',').map(|score| score.parse().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    page.click("document.querySelector('.views input')");
    page.type_text("Worst");
    page.press("Save view");
    page.press("Clear filters");
    page.until("document.querySelectorAll('tbody tr').length === 47");
    page.click("[...document.querySelectorAll('.views a')].find(e => e.textContent === 'Worst')");
    page.until("location.hash.includes('sort=score') && document.querySelector('.views a[aria-current]')");
    page.eval("location.hash = '#/sessions?idPrefix=nobody'");
    page.sees("No result fits.");
    quiet(&mut page);
}

fn what_waits_for_a_person_takes_1_click(place: &Place) {
    let node = decided(place);
    let review = &ask(&node, "GET", "/api/v1/overview")["review"]["waiting"];
    let mut page = overview(&node, "24h");
    let shown = page.eval("[...document.querySelectorAll('.figures dt')].find(e => e.textContent === 'Review backlog').parentElement.querySelector('a').textContent");
    assert_eq!(shown, json!(review.as_u64().unwrap().to_string()));
    page.click("document.querySelector('.figures a[href=\"#/review\"]')");
    page.until("document.querySelector('canvas')?.dataset.frames === '0'");
    tell(&node, "/api/v1/labels", &json!({"labels": [{"sessionId": "nobody", "label": "bot"}]}));
    quiet(&mut page);
}
