//! Labels in numbers: how many a training needs, tables of them, and what a phone shows of it.

use serde_json::{Value, json};

use super::browser::{Look, Page};
use super::{ask, decided, on_both};
use crate::process::{Place, Process};

on_both!(
    a_table_of_labels_is_imported_and_its_answer_told,
    deciding_stays_in_reach_on_a_phone,
    notices_fold_and_are_closed,
);

/// Some sessions without a deployment.
fn some(node: &Process, count: usize) -> Vec<String> {
    let rows = ask(node, "GET", "/api/v1/batch/results")["results"].take();
    let own = rows.as_array().unwrap().iter().filter(|row| row["deploymentId"] == "");
    own.take(count).map(|row| row["sessionId"].as_str().unwrap().to_owned()).collect()
}

/// Chooses a file of this text.
fn choose(page: &mut Page, text: &str) {
    page.until("!document.getElementById('import-file').previousElementSibling.disabled");
    page.eval(&format!(
        "(input => {{ const files = new DataTransfer(); files.items.add(new File([{}], 'chargebacks.csv', {{type: 'text/csv'}})); \
         input.files = files.files; input.dispatchEvent(new Event('change')); }})(document.getElementById('import-file'))",
        json!(text)
    ));
}

fn a_table_of_labels_is_imported_and_its_answer_told(place: &Place) {
    let node = decided(place);
    let ids = some(&node, 3);
    let mut page = Page::open();
    page.go(&format!("{}/#/review", node.url));
    page.sees("0 of 270 labelled people that a training needs");
    let table = format!(
        "sessionId,label,at,note\n{},bot,2026-06-01T00:00:00Z,\"card, stolen\"\n{},human,,\nnobody,bot,,\n{},human,,\n",
        ids[0], ids[1], ids[2]
    );
    choose(&mut page, &table);
    page.sees("4 rows of chargebacks.csv decide at once");
    page.press("Cancel");
    page.until("!document.querySelector('dialog')");
    assert_eq!(ask(&node, "GET", "/api/v1/labels")["labels"], json!([]), "asked first");
    choose(&mut page, &table);
    page.press("Import");
    page.sees("3 sessions labelled; 1 unknown.");
    page.sees("Row 3: no such session or user here");
    page.sees("2 of 270 labelled people that a training needs");
    page.sees("3 labels known; 44 without one");
    assert_eq!(page.eval("document.querySelector('progress').value"), json!(2));
    assert_eq!(page.eval("document.querySelector('progress').labels.length"), json!(1));
    page.press("Labels per day");
    page.until("document.querySelectorAll('details[open] tbody tr').length === 1");
    let labels = ask(&node, "GET", "/api/v1/labels");
    let bot = labels["labels"].as_array().unwrap().iter().find(|one| one["label"] == "bot").unwrap();
    assert_eq!((&bot["sessionId"], &bot["note"]), (&json!(ids[0]), &json!("card, stolen")));

    // A label by keys counts too, and so does taking it back.
    page.until("!document.querySelector('[aria-keyshortcuts=h]').disabled");
    page.key("h");
    page.key("Enter");
    page.sees("3 of 270 labelled people");
    page.until("!document.querySelector('[aria-keyshortcuts=h]').disabled");
    page.key("u");
    page.sees("2 of 270 labelled people");
    assert_eq!(page.complaints(), Vec::<String>::new());

    choose(&mut page, "sessionId,label,colour\ns1,bot,red\n");
    page.press("Import");
    page.sees("Nothing was imported: the column \"colour\" is unknown");
    // The browser says so too.
    let told = page.complaints();
    assert!(told.iter().all(|text| text.contains("400")), "{told:?}");
}

fn deciding_stays_in_reach_on_a_phone(place: &Place) {
    let node = decided(place);
    let mut page = Page::open();
    for size in [(390, 844), (320, 640)] {
        page.look(Look { name: "phone", size, dark: false });
        page.go("about:blank");
        page.go(&format!("{}/#/review", node.url));
        page.until("!document.querySelector('[aria-keyshortcuts=h]').disabled");
        for place in ["0", "document.body.scrollHeight"] {
            page.eval(&format!("scrollTo(0, {place})"));
            let there = "(() => { const bar = document.getElementById('nav').getBoundingClientRect(); \
                 return [...document.querySelectorAll('.reach button')].map(e => { const r = e.getBoundingClientRect(); \
                 return r.left >= 0 && r.right <= innerWidth && r.bottom <= bar.top && e.scrollWidth <= e.clientWidth \
                 && e.contains(document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2)); }); })()";
            let seen: Value = page.eval(there);
            let wanted = json!([true, true, !page.eval("document.querySelector('.reach .main').disabled").is_null()]);
            assert_eq!(seen, wanted, "{size:?} {place}");
        }
        // The bar of views shows that it goes on, on the side where it does.
        let ends =
            "(e => [e.hasAttribute('data-before'), e.hasAttribute('data-after')])(document.getElementById('nav'))";
        page.eval("document.getElementById('nav').scrollLeft = 0");
        page.until(&format!("String({ends}) === 'false,true'"));
        page.eval("document.getElementById('nav').scrollLeft = 9999");
        page.until(&format!("String({ends}) === 'true,false'"));
    }
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn notices_fold_and_are_closed(place: &Place) {
    let node = Process::on(&place.url, &super::BY_HAND);
    let mut page = Page::open();
    page.go(&node.url);
    page.sees("No verdicts yet");
    let texts = "[...document.querySelectorAll('.notice p')].map(e => e.textContent).join()";
    page.eval("import('/dashboard/dom.js').then(({notice}) => { for (const text of ['one', 'two', 'three', 'four', 'three']) notice(text); })");
    assert_eq!(page.eval(texts), json!("two,four,three (2 times)"));
    page.click("document.querySelector('[aria-label=\"Close: four\"]')");
    page.until(&format!("{texts} === 'two,three (2 times)'"));
    assert_eq!(page.complaints(), Vec::<String>::new());
}
