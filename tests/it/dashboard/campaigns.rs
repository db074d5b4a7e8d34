//! A campaign, from the list to its paths and a label on all of it; and what a session's page says of it.

use serde_json::{Value, json};

use super::browser::{Look, Page};
use super::{BY_HAND, ask, assert_accessible, assert_fits, on_both, people, send};
use crate::process::{Place, Process};

on_both!(a_campaign_is_found_looked_at_labelled_as_one_and_taken_back);

/// How a movement is laid out.
type Change = fn(f64, f64) -> (f64, f64);

/// One person's movement in five sessions of different users, each laid out in another way, beside other people.
fn replayed() -> Vec<Value> {
    let mut all: Vec<Value> = people().into_iter().take(8).collect();
    let longest = all.iter().max_by_key(|session| session["movements"].as_array().map_or(0, Vec::len)).unwrap().clone();
    let changes: [Change; 5] = [
        |x, y| (x + 40.0, y + 25.0),
        |x, y| (1200.0 - x, y),
        |x, y| (0.7 * x, 0.7 * y),
        |x, y| (1.2 * x, y),
        |x, y| (1000.0 - y, x),
    ];
    for (k, change) in changes.into_iter().enumerate() {
        let mut copy = longest.clone();
        copy["sessionId"] = json!(format!("copy-{k}"));
        copy["userId"] = json!(format!("account-{k}"));
        for point in copy["movements"].as_array_mut().unwrap() {
            let (x, y) = change(point["x"].as_f64().unwrap(), point["y"].as_f64().unwrap());
            (point["x"], point["y"]) = (json!(x), json!(y));
        }
        all.push(copy);
    }
    all
}

fn a_campaign_is_found_looked_at_labelled_as_one_and_taken_back(place: &Place) {
    let node = Process::on(&place.url, &BY_HAND);
    send(&node, None, &replayed());
    assert_eq!(ask(&node, "POST", "/api/v1/batch/process")["remaining"], 0);
    let mut page = Page::open();
    for look in Look::ALL {
        page.look(look);
        for (address, there) in [
            ("#/campaigns", "document.querySelectorAll('tbody tr').length === 1"),
            ("#/campaign/1", "document.querySelector('canvas').dataset.paths === '6'"),
        ] {
            let what = format!("{address} {}", look.name);
            page.go("about:blank");
            page.go(&format!("{}/{address}", node.url));
            page.until(there);
            assert_fits(&mut page, &what);
            assert_accessible(&mut page, &what);
            assert_eq!(page.complaints(), Vec::<String>::new(), "{what}");
        }
    }
    page.look(Look::ALL[0]);
    page.go("about:blank");
    page.go(&format!("{}/#/campaigns", node.url));
    page.press("Campaign 1");
    page.sees("6 sessions");
    page.press("All are bots");
    page.press("Label all bot");
    page.sees("6 sessions changed");
    let campaign = ask(&node, "GET", "/api/v1/campaigns/1");
    assert_eq!((&campaign["labels"]["bot"], &campaign["decisions"]["fail"]), (&json!(6), &json!(6)), "{campaign}");
    page.until("document.querySelector('.row button')?.textContent && document.body.textContent.includes('6 bot')");
    page.press("Revert");
    page.press("Revert label");
    page.until("document.body.textContent.includes('Not labelled')");
    assert_eq!(ask(&node, "GET", "/api/v1/campaigns/1")["labels"], json!({"human": 0, "bot": 0}));
    page.press("copy-3");
    page.until("document.querySelector('a[href=\"#/campaign/1\"]')");
    assert_eq!(page.complaints(), Vec::<String>::new());
}
