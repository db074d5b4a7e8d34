//! Logging in and out with keys set, on the embedded store: nothing here depends on the store.

use super::browser::{Look, Page};
use super::{assert_accessible, assert_fits, everybody, send};
use crate::process::{Place, Process};

#[test]
fn a_key_opens_the_dashboard_and_logging_out_closes_it() {
    let place = Place::embedded();
    let settings = [
        ("PLAYPROOF_ADMIN_KEYS", "admin-key,eu-key@shop-eu"),
        ("PLAYPROOF_INGEST_KEYS", "ingest-key"),
        ("PLAYPROOF_SCHEDULER_AUTOSTART", "false"),
    ];
    let node = Process::on(&place.url, &settings);
    send(&node, Some("ingest-key"), &everybody());
    let mut page = Page::open();
    page.go(&node.url);
    page.sees("Enter an admin or analyst key");
    for look in Look::ALL {
        page.look(look);
        assert_fits(&mut page, look.name);
        assert_accessible(&mut page, look.name);
    }
    page.look(Look::DESKTOP);
    assert_eq!(page.complaints(), Vec::<String>::new());

    let enter = |page: &mut Page, key: &str| {
        page.until("document.getElementById('key')");
        page.eval("document.getElementById('key').value = ''; document.getElementById('key').focus()");
        page.type_text(key);
        page.key("Enter");
    };
    enter(&mut page, "wrong");
    page.sees("this key is not known");
    enter(&mut page, "ingest-key");
    page.sees("needs a key with the role admin");
    let refused = page.complaints();
    assert!(refused.iter().all(|text| text.contains("401") || text.contains("403")), "{refused:?}");

    enter(&mut page, "admin-key");
    page.sees("Scheduler is stopped");
    assert_eq!(page.eval("document.cookie"), "", "scripts don't see the cookie");
    page.press("Run batches now");
    page.sees("Processed 47 sessions");
    page.go(&node.url);
    page.sees("Scheduler is stopped");
    page.press("Log out");
    page.sees("Enter an admin or analyst key");
    page.go(&node.url);
    page.sees("Enter an admin or analyst key");
    assert_eq!(page.complaints(), Vec::<String>::new());

    // A key of one deployment sees that one, and no view of all of them.
    enter(&mut page, "eu-key");
    page.until("document.querySelector('h1').textContent === 'Overview'");
    page.eval("location.hash = '#/sessions'");
    page.until("document.querySelectorAll('tbody tr').length === 9");
    assert_eq!(
        page.eval("[...document.querySelectorAll('nav a')].map(a => a.textContent).join()"),
        "Overview,Sessions,Review,Campaigns,Thresholds,Model"
    );
    page.click("document.querySelector('tbody a')");
    page.sees("Batch verdict");
    page.press("Model");
    page.sees("scores now");
    assert_eq!(page.complaints(), Vec::<String>::new());
}
