//! Cuts on the picture of scores: dragged, moved by keys, in step with the fields, and what they would do to labelled sessions.

use serde_json::json;

use super::browser::Page;
use super::{decided, label_some, on_both};
use crate::process::Place;

on_both!(
    a_dragged_cut_changes_numbers_and_fields,
    people_reviewed_a_day_are_told_with_what_they_are_computed_from,
    intervals_and_outcomes_are_computed_as_the_service_does,
);

const PASS: &str = "document.querySelector('.handle.pass')";
const REVIEW: &str = "document.querySelector('.handle.review')";

/// Whether a cut's handle, field and slider all say a value.
fn all_say(name: &str, value: &str) -> String {
    format!(
        "document.querySelector('.handle.{name}').getAttribute('aria-valuenow') === '{value}' \
         && document.getElementById('{name}').value === '{value}' \
         && Math.abs(document.getElementById('{name}').previousElementSibling.value - {value}) < 0.06"
    )
}

fn a_dragged_cut_changes_numbers_and_fields(place: &Place) {
    let node = decided(place);
    label_some(&node);
    let mut page = Page::open();
    page.go(&format!("{}/#/thresholds", node.url));
    page.until(&all_say("pass", "1"));
    page.until("document.querySelector('.cuts-drawing .l-people') && document.querySelector('.cuts-drawing .l-bots')");
    page.until("document.querySelectorAll('#outcomes tbody tr').length === 6");
    let told = "document.getElementById('outcomes').textContent";
    let before = page.eval(told);
    assert!(before.as_str().unwrap().contains(" of 8"), "{before}");
    // From 1.0 to 0.1; a unit is a sixth of the picture without its edges.
    let unit = page.eval("(document.querySelector('.cuts').clientWidth - 60) / 6").as_f64().unwrap();
    page.drag(PASS, -0.9 * unit);
    page.until(&all_say("pass", "0.1"));
    page.until(&format!("{told} !== {before}"));
    page.sees("would change their decision");
    page.until("document.querySelectorAll('[aria-live] tbody tr').length > 0");
    // It does not pass the other.
    page.drag(REVIEW, -5.0 * unit);
    page.until(&all_say("review", "0.2"));

    page.eval(&format!("{PASS}.focus()"));
    page.key("ArrowLeft");
    page.until(&all_say("pass", "0"));
    page.eval(&format!("{REVIEW}.focus()"));
    for _ in 0..3 {
        page.key("ArrowRight");
    }
    page.until(&all_say("review", "0.5"));
    let heard = format!("{REVIEW}.getAttribute('aria-valuetext')");
    assert_eq!(page.eval(&heard), json!("Is reviewed up to, fails above 0.50"));
    // And the other way: what is typed moves the handle.
    page.eval("(e => { e.value = '2.25'; e.dispatchEvent(new Event('input', {bubbles: true})); })(document.getElementById('review'))");
    page.until(&all_say("review", "2.25"));
    page.sees("a cut between two steps counts as the nearer one");

    page.press("Apply");
    page.click("document.querySelector('dialog .danger')");
    page.sees("The thresholds hold.");
    page.sees("Now 0.00 and 2.25, applied");
    page.press("Revert");
    page.press("Revert thresholds");
    page.sees("as the settings say.");
    page.until(&format!("{} && {}", all_say("pass", "1"), all_say("review", "2.5")));
    assert_eq!(page.eval(told), before);
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn people_reviewed_a_day_are_told_with_what_they_are_computed_from(place: &Place) {
    let node = decided(place);
    let mut page = Page::open();
    page.go(&format!("{}/#/review", node.url));
    page.until("document.querySelector('canvas')");
    page.eval("location.hash = '#/thresholds'");
    page.until("document.querySelector('#a-day')");
    let of = "document.getElementById('a-day').textContent";
    page.until(&format!("{of}.includes('not known') && {of}.includes('nothing was decided in the day before')"));
    page.until("document.getElementById('outcomes').textContent.includes('no labels')");
    // A test has no day before, so their number a day is put into the answer.
    page.eval(
        "(() => { const real = fetch; window.fetch = async (...args) => { const answer = await real(...args); \
         if (!args[0].includes('/evaluation')) return answer; const body = await answer.json(); \
         body.histogram.liveADay = 2000; return new Response(JSON.stringify(body)); }; })()",
    );
    label_some(&node);
    page.eval("location.hash = '#/review'");
    page.until("document.querySelector('canvas')");
    page.eval("location.hash = '#/thresholds'");
    page.until(&format!("{of}.includes('labelled people are reviewed')"));
    let words = page.eval(of);
    // 10^-1 - 10^-2.5 of 2,000.
    assert!(words.as_str().unwrap().contains("about 194"), "{words}");
    assert!(words.as_str().unwrap().contains("at most, were all 2,000 sessions a day people"), "{words}");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn intervals_and_outcomes_are_computed_as_the_service_does(place: &Place) {
    let node = crate::process::Process::on(&place.url, &super::BY_HAND);
    let mut page = Page::open();
    page.go(&node.url);
    page.sees("No verdicts yet");
    let rounded = page.eval(
        "import('/dashboard/intervals.js').then(({wilson, differs, rate}) => [wilson(8, 10).map(n => n.toFixed(4)), \
         wilson(0, 20).map(n => n.toFixed(4)), wilson(0, 0), differs(rate(60, 100), rate(95, 100)), \
         differs(rate(90, 100), rate(95, 100)), differs(rate(2, 4), rate(95, 100))])",
    );
    assert_eq!(
        rounded,
        json!([["0.4902", "0.9433"], ["0.0000", "0.1611"], null, true, false, false]),
        "as Wilson's interval is tabulated"
    );
    let counted = page.eval(
        "import('/dashboard/outcomes.js').then(({outcomes, promised, isExact}) => { const bins = 61; \
         const at = (...places) => { const all = Array(bins).fill(0); for (const place of places) all[place] += 1; return all; }; \
         const told = outcomes({step: 0.1, people: at(0, 5, 12, 30), bots: at(9, 25, 60, 60), live: at(0, 1, 12), liveADay: 100}, 1, 2.5); \
         const pair = ({part, whole}) => [part, whole]; \
         return [pair(told.precisionOfFail), pair(told.precisionOfNotPassed), pair(told.recall), pair(told.peoplePassed), \
         pair(told.peopleReviewed), pair(told.peopleFailed), told.live.map(pair), isExact(2.5, 0.1), isExact(2.53, 0.1), \
         promised(bins, 0.1).reduce((sum, n) => sum + n, 0).toFixed(6), \
         outcomes({step: 0.1, people: at(60), bots: at(60), live: at(), liveADay: null}, 1, 6).peopleFailed.part]; })",
    );
    assert_eq!(
        counted,
        json!([[3, 4], [3, 5], [3, 4], [2, 4], [1, 4], [1, 4], [[2, 3], [1, 3], [0, 3]], true, false, "1.000000", 0])
    );
    assert_eq!(page.complaints(), Vec::<String>::new());
}
