//! A model made of labels, and its way into service and back, in the dashboard.

use playproof_batch::generator::Family;
use serde_json::{Value, json};

use super::browser::{Look, Page};
use super::{BY_HAND, ask, assert_accessible, assert_fits, bot, on_both, people, send, tell};
use crate::process::{Place, Process};

on_both!(a_model_is_trained_shadowed_tested_promoted_and_rolled_back, a_class_whose_people_pass_less_is_named_in_words,);

fn a_class_whose_people_pass_less_is_named_in_words(place: &Place) {
    let node = Process::on(&place.url, &BY_HAND);
    let mut all = Vec::new();
    for n in 0..60 {
        // People whose movement is a bot's: what a class would look like that the model does not know.
        let odd = n >= 30;
        let mut session = if odd { bot(Family::ALL[0], n.into(), None) } else { person(n) };
        session["sessionId"] = format!("p-{n}").into();
        session["userId"] = format!("p-{n}").into();
        session["deviceType"] = if odd { "trackpad" } else { "mouse" }.into();
        all.push(session);
    }
    send(&node, None, &all);
    assert_eq!(ask(&node, "POST", "/api/v1/batch/process")["remaining"], 0);
    let mut page = Page::open();
    page.go(&format!("{}/#/model", node.url));
    page.sees("Nothing is labelled yet.");
    page.sees("nobody knows whether people here score as promised");
    let labels: Vec<_> = (0..60).map(|n| json!({"sessionId": format!("p-{n}"), "label": "human"})).collect();
    tell(&node, "/api/v1/labels", &json!({ "labels": labels }));
    page.go("about:blank");
    page.go(&format!("{}/#/model", node.url));
    page.sees("People pass less often than the rest: trackpad.");
    let row = "[...document.querySelectorAll('[aria-labelledby=equity] tbody tr')].find(r => r.cells[1].textContent === 'trackpad').textContent";
    page.until(&format!("{row}.includes('of 30') && {row}.includes('people pass less often than the rest')"));
    page.until("/Of 60 labelled people, .* at 1.0 or above: more than 10 % promised/.test(document.getElementById('promise').textContent)");
    page.until("document.querySelectorAll('.chart canvas').length === 2");
    page.press("Scores in numbers");
    page.sees("Labelled people at or above");
    page.sees("Measured once this node has scored 200 sessions");
    assert_accessible(&mut page, "equity");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

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
    page.sees("in place of the active one");
    page.sees("Labelled people it has not learned from");
    page.sees("30 sessions: ");
    let rows = "[...document.querySelectorAll('#tested table')[0].querySelectorAll('tbody tr')].map(r => r.cells[1].textContent)";
    let rows = page.eval(rows);
    assert_eq!((&rows[2], &rows[3]), (&json!("380"), &json!("380")), "all were scored today: {rows}");
    let moves = "document.querySelectorAll('#tested table')[1]?.querySelectorAll('tbody tr a').length";
    page.until(&format!("{moves} > 0"));
    // Half of a laptop's window holds no table of five columns.
    page.look(Look { name: "laptop", size: (1280, 800), dark: false });
    page.until("(e => e.scrollWidth <= e.clientWidth)(document.getElementById('versions'))");
    assert_accessible(&mut page, "a tested model");
    page.look(Look { name: "phone", size: (390, 844), dark: true });
    assert_fits(&mut page, "a tested model");
    assert_accessible(&mut page, "a tested model on a phone");
    page.look(Look::DESKTOP);
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
