//! A model made of labels, and its way into service and back, in the dashboard.

use playproof_batch::generator::Family;
use serde_json::{Value, json};

use super::browser::Page;
use super::{BY_HAND, ask, bot, on_both, people, send, tell};
use crate::process::{Place, Process};

on_both!(a_model_is_trained_shadowed_tested_promoted_and_rolled_back);

fn a_model_is_trained_shadowed_tested_promoted_and_rolled_back(place: &Place) {
    let node = Process::on(&place.url, &BY_HAND);
    let mut all = Vec::new();
    for (count, label) in [(290, "human"), (60, "bot")] {
        for n in 0..count {
            let mut session = if label == "human" { person(n) } else { bot(Family::ALL[0], n.into(), None) };
            session["sessionId"] = format!("{label}-{n}").into();
            session["userId"] = format!("{label}-{n}").into();
            all.push(session);
        }
    }
    send(&node, None, &all);
    assert_eq!(ask(&node, "POST", "/api/v1/batch/process")["remaining"], 0);
    for session in &all {
        let id = session["sessionId"].as_str().unwrap();
        tell(&node, &format!("/api/v1/sessions/{id}/label"), &json!({"label": id.split('-').next()}));
    }
    let mut page = Page::open();
    page.go(&format!("{}/#/model", node.url));
    page.sees("the settings");
    page.until("[...document.querySelectorAll('button')].find(b => b.textContent === 'Roll back').disabled");
    page.press("Train on labels");
    let made = "document.querySelectorAll('.card .code').length >= 2 && /made version/.test(document.body.textContent)";
    page.until(made);
    page.press("Shadow");
    page.sees("0 sessions: 0 stricter, 0 milder");
    let more: Vec<_> = (900..930).map(|n| bot(Family::ALL[1], n, None)).collect();
    send(&node, None, &more);
    ask(&node, "POST", "/api/v1/batch/process");
    page.press("Test");
    page.sees("on what is stored");
    page.sees("On labels, this one");
    page.sees("30 sessions: ");
    page.press("End shadow");
    page.sees("It no longer scores beside.");
    page.press("Promote");
    page.press("Cancel");
    page.press("Promote");
    page.click("document.querySelector('dialog .danger')");
    page.sees("It scores now.");
    let models = ask(&node, "GET", "/api/v1/models");
    let active = models["models"].as_array().unwrap().iter().find(|model| model["active"] == true).unwrap();
    assert!(active["learned"].is_object(), "{models}");
    page.press("Roll back");
    page.click("document.querySelector('dialog .danger')");
    page.sees("The model before scores again.");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

/// A recording of the demo's people, turned and scaled: this site's people.
fn person(n: u32) -> Value {
    static PEOPLE: std::sync::LazyLock<Vec<Value>> = std::sync::LazyLock::new(people);
    let mut session = PEOPLE[n as usize % PEOPLE.len()].clone();
    let ((sin, cos), scale) = ((f64::from(n) * 0.37).sin_cos(), 0.8 + 0.01 * f64::from(n % 50));
    for list in ["movements", "clicks"] {
        for point in session[list].as_array_mut().unwrap() {
            let [x, y] = ["x", "y"].map(|axis| point[axis].as_f64().unwrap());
            point["x"] = (scale * (cos * x - sin * y)).round().into();
            point["y"] = (scale * (sin * x + cos * y)).round().into();
        }
    }
    session
}
