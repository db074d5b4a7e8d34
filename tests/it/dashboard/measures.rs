//! How fast it is: frames of a long replay.

use playproof_batch::generator::Family;

use super::browser::Page;
use super::{BY_HAND, ask, bot, send};
use crate::process::{Place, Process};

/// Frames a second that a replay must reach.
const FRAMES: f64 = 50.0;

#[test]
fn a_session_of_2000_points_replays_smoothly() {
    let place = Place::embedded();
    let node = Process::on(&place.url, &BY_HAND);
    send(&node, None, &[bot(Family::WindMouse, 1, Some(2_000))]);
    ask(&node, "POST", "/api/v1/batch/process");
    let id = ask(&node, "GET", "/api/v1/batch/results")["results"][0]["sessionId"].take();
    let mut page = Page::open();
    page.go(&format!("{}/#/session/{}", node.url, id.as_str().unwrap()));
    page.sees("2,000 movements");
    page.until("document.querySelector('canvas').dataset.frames === '0'");
    // The frames that the replay itself drew, over the time that it took; the best of three, since others work here too.
    let best = (0..3).map(|_| {
        let measured = "(async () => { const c = document.querySelector('canvas'); const p = document.querySelector('.play'); \
             const before = Number(c.dataset.frames); const begun = performance.now(); p.click(); \
             await new Promise(done => setTimeout(done, 3000)); p.click(); \
             return (Number(c.dataset.frames) - before) * 1000 / (performance.now() - begun); })()";
        page.eval("(() => { const s = document.querySelector('.player input'); s.value = 0; s.dispatchEvent(new Event('input')); })()");
        page.eval(measured).as_f64().unwrap()
    });
    let best = best.fold(0.0, f64::max);
    println!("{best:.1} frames a second");
    assert!(best >= FRAMES, "{best:.1} frames a second");
    assert_eq!(page.complaints(), Vec::<String>::new());
}
