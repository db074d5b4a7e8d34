//! A sign that a command works, for those that cannot say how far they are: on a terminal only, and not before it has
//! taken a moment.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;

use super::rows::style;

/// The sign that is shown now.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Does `work` and shows on standard error what is being done and for how long.
pub(super) fn working<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let sign = ProgressBar::new_spinner().with_style(style("{spinner} {msg} {elapsed}")).with_message(what);
    sign.enable_steady_tick(Duration::from_millis(200));
    *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(sign);
    let ends = Ends;
    let done = work();
    drop(ends);
    done
}

/// Writes lines that the sign must not tear.
pub(super) fn aside<T>(write: impl FnOnce() -> T) -> T {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown {
        Some(sign) => sign.suspend(write),
        None => write(),
    }
}

/// Takes the sign away, also when the work panics.
struct Ends;

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(sign) = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take() {
            sign.finish_and_clear();
        }
    }
}
