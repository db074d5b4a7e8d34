//! Every view, in every look: it shows the sessions that are there, fits its window, is accessible, and complains of
//! nothing.

use std::path::PathBuf;

use serde_json::json;

use super::browser::{Look, Page};
use super::{assert_accessible, assert_fits, decided, on_both};
use crate::process::Place;

/// A view: its name, its address, what is true once it is there.
fn views(human: &str, bot: &str) -> [(&'static str, String, &'static str); 11] {
    [
        (
            "overview",
            "#/overview".to_owned(),
            "document.querySelector('.chart canvas') && document.querySelectorAll('tbody tr').length > 3",
        ),
        (
            "now",
            "#/now".to_owned(),
            "document.querySelectorAll('tbody tr').length > 10 && document.querySelector('.chart canvas')",
        ),
        ("sessions", "#/sessions".to_owned(), "document.querySelectorAll('tbody tr').length === 47"),
        (
            "session-fails",
            format!("#/session/{bot}"),
            "document.querySelector('.range') && document.querySelector('[aria-labelledby=detection] dd') && document.querySelector('canvas').dataset.frames === '0'",
        ),
        (
            "session-passes",
            format!("#/session/{human}"),
            "document.querySelector('.range') && document.querySelector('canvas').dataset.frames === '0'",
        ),
        ("batches", "#/batches".to_owned(), "document.querySelectorAll('tbody tr').length === 2"),
        ("batch", "#/batch/1".to_owned(), "document.querySelectorAll('tbody tr').length > 20"),
        (
            "review",
            "#/review".to_owned(),
            "document.querySelector('canvas')?.dataset.frames === '0' && document.querySelector('progress').value === 8",
        ),
        (
            "access",
            "#/access".to_owned(),
            "document.querySelectorAll('.card').length === 5 && document.querySelectorAll('tbody tr').length >= 5",
        ),
        (
            "thresholds",
            "#/thresholds".to_owned(),
            "document.querySelector('[aria-live] .facts') && document.querySelector('.cuts-drawing .l-people') && document.querySelector('#a-day')",
        ),
        (
            "model",
            "#/model".to_owned(),
            "document.querySelectorAll('.chart canvas').length === 2 && document.querySelectorAll('[aria-labelledby=detection] tbody tr').length === 24 && document.querySelector('[aria-labelledby=equity] tbody tr')",
        ),
    ]
}

/// Where pictures go, when they are wanted.
#[expect(clippy::disallowed_methods, reason = "who wants pictures says so in the environment")]
fn pictures() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var("PLAYPROOF_SCREENSHOTS").ok()?);
    std::fs::create_dir_all(&folder).unwrap();
    Some(folder)
}

/// The narrowest window, and a laptop's.
const BETWEEN: [Look; 2] = [
    Look { name: "narrow-light", size: (320, 640), dark: false },
    Look { name: "laptop-light", size: (1280, 800), dark: false },
];

on_both!(every_view_is_complete_fits_and_is_accessible_in_every_look);

fn every_view_is_complete_fits_and_is_accessible_in_every_look(place: &Place) {
    let node = decided(place);
    let listed = super::ask(&node, "GET", "/api/v1/batch/results");
    let of = |decision: &str| {
        let rows = listed["results"].as_array().unwrap();
        let fits = |row: &&serde_json::Value| row["decision"] == decision && row["deploymentId"] == "";
        rows.iter().find(fits).unwrap()["sessionId"].as_str().unwrap().to_owned()
    };
    for (path, body) in [
        ("keys", json!({"role": "ingest", "deploymentId": "shop-eu", "name": "backend of the shop"})),
        ("keys", json!({"role": "ingest", "testVerdict": "fail", "name": "tests"})),
        ("overrides", json!({"userId": "u-1", "action": "deny", "note": "seen on three accounts"})),
        ("webhooks", json!({"url": "http://8.8.8.8/playproof", "events": ["verdict.changed"]})),
        ("retention", json!({"deploymentId": "shop-eu", "telemetryHours": 12})),
    ] {
        super::tell(&node, &format!("/api/v1/{path}"), &body);
    }
    super::label_some(&node);
    let folder = pictures().filter(|_| place.url.starts_with("embedded"));
    let mut page = Page::open();
    for look in Look::ALL.into_iter().chain(BETWEEN) {
        page.look(look);
        for (name, address, there) in views(&of("pass"), &of("fail")) {
            let what = format!("{name} {}", look.name);
            page.go("about:blank");
            page.go(&format!("{}/{address}", node.url));
            page.until(there);
            assert_fits(&mut page, &what);
            if let Some(folder) = &folder {
                let whole = name.starts_with("session-") && look.size.0 > 700;
                page.shoot(&folder.join(format!("{name}-{}.png", look.name)), whole);
            }
            assert_accessible(&mut page, &what);
            assert_eq!(page.complaints(), Vec::<String>::new(), "{what}");
        }
    }
}
