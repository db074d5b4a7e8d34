//! Reviewing and labelling, by keys alone and with the mouse, and what an analyst's key opens.

use serde_json::json;

use super::browser::Page;
use super::{BY_HAND, ask, decided, everybody, on_both, send};
use crate::process::{Place, Process};

on_both!(
    sessions_are_reviewed_with_two_keys_each,
    no_key_judges_what_is_not_on_the_screen,
    a_session_is_labelled_on_its_page,
    an_analyst_sees_what_is_theirs
);

/// The address of the session under review.
const SHOWN: &str = "document.querySelector('.facts a[href^=\"#/session/\"]')?.textContent";

/// Keys label what is shown: nothing is on its way.
const SETTLED: &str = "!document.querySelector('[aria-keyshortcuts=h]').disabled";

fn sessions_are_reviewed_with_two_keys_each(place: &Place) {
    let node = decided(place);
    let queue = ask(&node, "GET", "/api/v1/review?limit=3");
    let first = queue["sessions"][0]["sessionId"].as_str().unwrap();
    let mut page = Page::open();
    page.go(&format!("{}/#/review", node.url));
    page.until(&format!("{SHOWN} === {} && document.querySelector('canvas').dataset.frames === '0'", json!(first)));
    page.sees("0 labels known; 47 without one");
    page.until("/movements? in /.test(document.getElementById('in-words').textContent)");
    page.key("b");
    page.until("document.querySelector('[aria-pressed=true]').textContent === 'Bot (B)'");
    page.key("Enter");
    page.sees(&format!("{first} is a bot."));
    page.sees("1 session labelled now, 1 label known; 46 without one");
    page.until(&format!("{SHOWN} && {SHOWN} !== {}", json!(first)));
    page.until(SETTLED);
    let second = page.eval(SHOWN);
    page.key("h");
    page.key("Enter");
    page.sees("2 labels known; 45 without one");
    let labels = ask(&node, "GET", "/api/v1/labels")["labels"].take();
    let said: Vec<_> =
        labels.as_array().unwrap().iter().map(|l| (l["sessionId"].clone(), l["label"].clone())).collect();
    assert!(
        said.contains(&(json!(first), json!("bot"))) && said.contains(&(second.clone(), json!("human"))),
        "{said:?}"
    );

    page.key("u");
    page.sees("1 label known; 46 without one");
    page.until(SETTLED);
    let here = page.eval(SHOWN);
    page.key("s");
    page.until(&format!("{SHOWN} && {SHOWN} !== {here}"));
    page.until(SETTLED);
    // What is typed into the note labels nothing.
    page.eval("document.getElementById('note').focus()");
    page.type_text("bhs");
    page.until("document.getElementById('note').value === 'bhs' && !document.querySelector('[aria-pressed=true]')");
    page.press("Human (H)");
    page.press("Save (Enter)");
    page.sees("2 labels known; 45 without one");
    assert!(ask(&node, "GET", "/api/v1/labels").to_string().contains("\"note\":\"bhs\""));
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn no_key_judges_what_is_not_on_the_screen(place: &Place) {
    let node = decided(place);
    let mut page = Page::open();
    page.go(&format!("{}/#/review", node.url));
    page.until(SETTLED);
    // The path of the next session is on its way until it is let through.
    page.eval(
        "(() => { const real = fetch; window.fetch = (...args) => args[0].includes('/telemetry') \
         ? new Promise(done => { window.pass = () => done(real(...args)); }) : real(...args); })()",
    );
    page.key("s");
    page.until("window.pass");
    page.key("b");
    page.key("Enter");
    page.eval("window.pass()");
    page.until(SETTLED);
    assert_eq!(page.eval("document.querySelectorAll('[aria-pressed=true]').length"), 0);
    assert_eq!(ask(&node, "GET", "/api/v1/labels")["labels"], json!([]));
    page.sees("0 labels known; 47 without one");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn a_session_is_labelled_on_its_page(place: &Place) {
    let node = decided(place);
    let rows = ask(&node, "GET", "/api/v1/batch/results?decision=fail")["results"].take();
    let row = rows.as_array().unwrap().iter().find(|row| row["deploymentId"] == "").unwrap().clone();
    let mut page = Page::open();
    page.go(&format!("{}/#/session/{}", node.url, row["sessionId"].as_str().unwrap()));
    page.sees("Not labelled.");
    page.eval("document.getElementById('note').value = 'a friend'");
    page.press("It is a human");
    page.sees("Somebody said: human, “a friend”");
    page.sees("Somebody said that it is a human, so it passes.");
    page.sees("Somebody said what it is.");
    page.press("Revert the label");
    page.sees("Not labelled.");
    page.until("document.querySelector('.head .tag').textContent === 'fail'");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn an_analyst_sees_what_is_theirs(place: &Place) {
    let keys = [("PLAYPROOF_ADMIN_KEYS", "admin-key-0123456789"), ("PLAYPROOF_ANALYST_KEYS", "analyst-key-0123456789")];
    let node = Process::on(&place.url, &[&BY_HAND[..], &keys[..]].concat());
    send(&node, Some("admin-key-0123456789"), &everybody()[..12]);
    super::block(async {
        let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
        let run = client.post(format!("{}/api/v1/batch/process", node.url)).bearer_auth("admin-key-0123456789");
        assert!(run.send().await.unwrap().status().is_success());
    });
    let mut page = Page::open();
    page.go(&node.url);
    page.sees("Enter an admin or analyst key");
    page.eval("document.getElementById('key').focus()");
    page.type_text("analyst-key-0123456789");
    page.press("Log in");
    page.until("document.querySelector('h1').textContent === 'Overview'");
    page.eval("location.hash = '#/review'");
    page.sees("0 labels known; 12 without one");
    let views = "[...document.querySelectorAll('nav a')].map(a => a.textContent).join()";
    assert_eq!(page.eval(views), "Overview,Sessions,Review,Campaigns,Thresholds,Model");
    page.until(SETTLED);
    page.key("b");
    page.key("Enter");
    page.sees("1 label known; 11 without one");
    page.eval("location.hash = '#/thresholds'");
    page.sees("Applying them needs an admin key.");
    page.sees("would change their decision");
    // Nothing that it shows is for admins alone: a refusal would be complained of.
    page.eval("location.hash = '#/model'");
    page.sees("scores now");
    page.sees("Measured once this node has scored 200 sessions");
    page.until("document.querySelectorAll('.chart canvas').length === 2 && document.querySelector('[aria-labelledby=equity] tbody')");
    page.eval("location.hash = '#/sessions'");
    page.until("document.querySelectorAll('tbody tr').length === 12");
    page.click("document.querySelector('tbody a')");
    page.sees("What moved the score most");
    page.eval("location.hash = '#/access'");
    page.until("document.querySelector('h1').textContent === 'Overview'");
    assert_eq!(page.complaints(), Vec::<String>::new());
}
