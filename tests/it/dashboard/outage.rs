//! The banner of an outage, above every view, for analysts too; and values of the past, which are grey.

use serde_json::{Value, json};
use woodwide_sim::Settings;

use super::browser::{Look, Page};
use super::{assert_accessible, assert_fits, block, on_both, people, send};
use crate::process::{Place, Process};
use crate::woodwide::rig::{KEY, Rig};
use playproof_batch::config::Generation;

on_both!(every_view_tells_of_an_outage_until_it_is_over, what_is_shown_is_grey_once_the_connection_is_lost,);

/// A node with keys that asks this account.
fn node(place: &Place, rig: &Rig, fallback_after: &str) -> Process {
    let url = rig.sim.url();
    let settings = [
        ("PLAYPROOF_ADMIN_KEYS", "admin-key"),
        ("PLAYPROOF_ANALYST_KEYS", "analyst-key,eu-analyst@shop-eu"),
        ("PLAYPROOF_DETECTOR", "woodwide"),
        ("PLAYPROOF_BATCH_SIZE", "10"),
        ("PLAYPROOF_CIRCUIT_PROBE", "1s"),
        ("PLAYPROOF_FALLBACK_AFTER", fallback_after),
        ("WOODWIDE_API_KEY", KEY),
        ("WOODWIDE_BASE_URL", url.trim_end_matches('/')),
        ("ANOMALY_MODEL_ID", rig.model.as_str()),
    ];
    Process::on(&place.url, &settings)
}

fn enter(page: &mut Page, node: &Process, key: &str) {
    page.go(&node.url);
    page.until("document.getElementById('key')");
    page.eval("document.getElementById('key').focus()");
    page.type_text(key);
    page.key("Enter");
    page.until("!document.getElementById('nav').hidden");
}

/// What the banner says.
fn banner(page: &mut Page) -> String {
    page.eval("document.getElementById('outage').innerText.replace(/\\s+/g, ' ')").as_str().unwrap().to_owned()
}

fn every_view_tells_of_an_outage_until_it_is_over(place: &Place) {
    let rig = block(Rig::new(Generation::Ga, Settings::default()));
    rig.sim.arm("status-before=503").unwrap();
    let node = node(place, &rig, "1h");
    send(&node, Some("admin-key"), &people()[..12]);
    let mut page = Page::open();
    enter(&mut page, &node, "analyst-key");
    let shown = "!document.getElementById('outage').hidden && document.querySelector('#outage .title').textContent";
    page.until(&format!("{shown}.includes('woodwide is away')"));
    let told = banner(&mut page);
    for part in [
        "503",
        "Since",
        "Next probe",
        "scores the oldest session in",
        "Waiting 12",
        "Scored by fallback 0",
        "docs/operate.md",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let narrow = Look { name: "narrow", size: (320, 640), dark: false };
    for look in Look::ALL.into_iter().chain([narrow]) {
        page.look(look);
        for view in ["review", "sessions", "campaigns"] {
            page.eval(&format!("location.hash = '#/{view}'"));
            page.until(&format!("document.title.toLowerCase().startsWith('{view}') && {shown}"));
            assert_fits(&mut page, &format!("{view} {}", look.name));
        }
        assert_accessible(&mut page, look.name);
    }
    page.look(Look::DESKTOP);
    page.press("Log out");
    page.sees("Enter an admin or analyst key");
    assert_eq!(page.eval("document.getElementById('outage').hidden"), true, "who is logged out is told nothing");
    // A key of one deployment learns nothing of the others.
    enter(&mut page, &node, "eu-analyst");
    page.until(shown);
    let told = banner(&mut page);
    assert!(!told.contains("Waiting") && !told.contains("Scored by fallback"), "{told}");

    rig.sim.disarm_all();
    page.until("document.getElementById('outage').hidden");
    let over = block(async {
        let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
        let asked = client.get(format!("{}/api/v1/outage", node.url)).bearer_auth("analyst-key").send().await.unwrap();
        asked.json::<Value>().await.unwrap()
    });
    assert_eq!(over, json!({"outage": null}));
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn what_is_shown_is_grey_once_the_connection_is_lost(place: &Place) {
    let rig = block(Rig::new(Generation::Ga, Settings::default()));
    let node = node(place, &rig, "1h");
    let mut page = Page::open();
    enter(&mut page, &node, "admin-key");
    page.until("document.getElementById('live').textContent === 'Live'");
    let colour = "getComputedStyle(document.querySelector('.figures dd span')).color";
    let fresh = page.eval(colour);
    assert_eq!(page.complaints(), Vec::<String>::new());
    node.kill();
    page.until("/^Connection lost, as of \\d\\d:\\d\\d:\\d\\d$/.test(document.getElementById('live').textContent)");
    page.until("document.querySelector('.stale .figures')");
    assert_ne!(page.eval(colour), fresh);
    assert_accessible(&mut page, "stale");
}
