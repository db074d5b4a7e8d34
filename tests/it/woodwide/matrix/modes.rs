//! The modes: which faults, for how long, and what must become of the sessions.

use std::time::Duration;

use playproof_batch::config::{Generation, Timing};

use super::super::rig::{KEY, people};
use super::cast::{ONE, SESSIONS, SEVERAL};
use super::node::{Outcome, timing};

/// How long the faults hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the end, or until they have spent themselves.
    End,
    /// Until one of them struck so often.
    Struck(u64),
    /// Until the detector is taken to be away.
    Open,
}

/// What must become of the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The service scores all.
    Scored,
    /// They wait at no cost while it lasts, then the service scores all.
    Kept,
    /// The local detector scores all, and says so.
    Fallback,
    /// These fail, found within so many calls; the service scores the others.
    Fail(&'static [usize], u32),
    /// It can't be told from a good answer.
    Undetectable,
}

pub(crate) struct Mode {
    pub(crate) id: &'static str,
    pub(crate) generation: Generation,
    pub(crate) faults: &'static [&'static str],
    pub(crate) until: Until,
    pub(crate) expect: Expect,
    change: fn(&mut Setup),
}

/// What a mode may have otherwise than the others.
pub(crate) struct Setup {
    pub(crate) sim: woodwide_sim::Settings,
    pub(crate) timing: Timing,
    pub(crate) keys: Vec<&'static str>,
    pub(crate) scheme: &'static str,
    pub(crate) fallback_after: Duration,
    /// Whether the detector has met the model before.
    pub(crate) knows_model: bool,
    /// The model was trained on other columns than the client sends.
    pub(crate) other_columns: bool,
}

impl Setup {
    /// What the model learns from.
    pub(crate) fn training(&self) -> Vec<u8> {
        let people = people();
        if !self.other_columns {
            return people;
        }
        let (header, rows) = people.split_at(people.iter().position(|byte| *byte == b'\n').unwrap());
        let header = String::from_utf8_lossy(header).split(',').map(|name| format!("old_{name}")).collect::<Vec<_>>();
        [header.join(",").as_bytes(), rows].concat()
    }

    /// Whether the service works once the faults are off.
    pub(crate) fn mendable(&self) -> bool {
        self.scheme == "http:" && !self.other_columns
    }
}

impl Mode {
    pub(crate) fn setup(&self) -> Setup {
        let patience = if self.expect == Expect::Fallback { Duration::from_millis(150) } else { Duration::from_secs(60) };
        let mut setup = Setup {
            sim: woodwide_sim::Settings::default(),
            timing: timing(),
            keys: vec![KEY],
            scheme: "http:",
            fallback_after: patience,
            knows_model: true,
            other_columns: false,
        };
        (self.change)(&mut setup);
        setup
    }

    /// What of the outcome is not as it must be.
    pub(crate) fn unmet(&self, outcome: &Outcome) -> Vec<String> {
        let Outcome { woodwide, fallback, lost, wrong, twice, .. } = *outcome;
        let mut unmet = Vec::new();
        let (scored, fell_back, failed): (usize, usize, &[usize]) = match self.expect {
            Expect::Scored | Expect::Kept | Expect::Undetectable => (SESSIONS, 0, &[]),
            Expect::Fallback => (0, SESSIONS, &[]),
            Expect::Fail(failed, most) => {
                if outcome.most_calls > most {
                    unmet.push(format!("a batch took {} calls", outcome.most_calls));
                }
                (SESSIONS - failed.len(), 0, failed)
            }
        };
        if (woodwide, fallback) != (scored, fell_back) || outcome.failed != failed {
            unmet.push(format!("{woodwide} by the service, {fallback} locally, failed {:?}", outcome.failed));
        }
        if lost > 0 || twice > 0 || (wrong > 0 && self.expect != Expect::Undetectable) {
            unmet.push(format!("{lost} lost, {wrong} wrong, {twice} twice"));
        }
        if outcome.struck == 0 && !self.faults.is_empty() {
            unmet.push("the fault struck nobody".to_owned());
        }
        unmet
    }
}

fn mode(
    id: &'static str,
    generation: Generation,
    faults: &'static [&'static str],
    until: Until,
    expect: Expect,
    change: fn(&mut Setup),
) -> Mode {
    Mode { id, generation, faults, until, expect, change }
}

/// Every mode.
pub(crate) fn all() -> Vec<Mode> {
    use Expect::{Fail, Fallback, Kept, Scored, Undetectable};
    use Generation::{Beta, Ga};
    use Until::{End, Open, Struck};
    let none: fn(&mut Setup) = |_| {};
    let new: fn(&mut Setup) = |setup| setup.knows_model = false;
    let two_keys: fn(&mut Setup) = |setup| {
        setup.keys = vec!["sk_other", KEY];
        setup.sim.api_keys = vec!["other:sk_other".to_owned(), format!("good:{KEY}")];
    };
    let hasty: fn(&mut Setup) = |setup| {
        setup.timing.inference = Duration::from_millis(700);
        setup.timing.request = Duration::from_millis(700);
        setup.timing.transfer = Duration::from_millis(700);
        setup.timing.batch = Duration::from_millis(2000);
        setup.timing.probe = Duration::from_millis(900);
    };
    vec![
        mode("no fault", Ga, &[], End, Scored, none),
        mode("no fault", Beta, &[], End, Scored, none),
        // failure modes
        mode("F1 small dataset is empty", Beta, &["warm-up=100"], End, Scored, none),
        mode("F1, F7 young dataset is empty", Beta, &["warm-up=0,150ms"], End, Scored, none),
        mode("F1 empty for ever", Beta, &["empty-body@beta-infer"], End, Fallback, hasty),
        mode("F1 empty for a while", Beta, &["empty-body@beta-infer"], Struck(40), Scored, hasty),
        mode("F2 402 until topped up", Ga, &["credits=5"], Open, Kept, none),
        mode("F2 402 until topped up", Beta, &["credits=5"], Open, Kept, none),
        mode("F2 402 for ever", Ga, &["credits=0"], End, Fallback, none),
        mode("F6 TLS handshake fails", Ga, &[], End, Fallback, |setup| setup.scheme = "https:"),
        mode("F8 409 after ingest, twice each", Ga, &["empty-body@infer", "conflict-not-ready=2"], End, Scored, none),
        mode("F8 409 for ever", Ga, &["empty-body@infer", "conflict-not-ready"], End, Fallback, hasty),
        mode("F10, F19 upload done, answer 502", Ga, &["empty-body@infer", "status-after=502@create-dataset;n=5"], End, Scored, none),
        mode("F10, F19 upload done, answer 502", Beta, &["status-after=502@beta-upload;n=10"], End, Scored, none),
        mode("F10, F19 upload done, answer empty", Ga, &["empty-body@infer", "whitespace-body@create-dataset;n=5"], End, Scored, none),
        mode("F10, F19 upload done, answer empty", Beta, &["empty-body@beta-upload;n=10"], End, Scored, none),
        mode("F11 infer-async 404, infer 503", Ga, &["status-before=503@infer", "infer-async-missing"], Open, Kept, none),
        mode("F13 results 404", Ga, &["status-before=503@infer", "results-404"], Struck(20), Scored, none),
        mode("F14 ids nested", Ga, &["shape=nested", "status-before=503@infer"], End, Scored, new),
        mode("F14 ids flat", Ga, &["shape=flat", "status-before=503@infer"], End, Scored, new),
        mode("F14 ids mixed", Ga, &["shape=mixed", "empty-body@infer"], End, Scored, new),
        mode("F14 data as rows", Ga, &["data=rows"], End, Scored, none),
        mode("F14 data as CSV text", Ga, &["data=csv-text"], End, Scored, none),
        mode("F14 data bare", Ga, &["data=bare"], End, Scored, none),
        mode("F14 data bare rows", Ga, &["data=bare-rows"], End, Scored, none),
        mode("F15 ids as text", Ga, &["ids=strings"], End, Scored, none),
        mode("F15 ids as numbers", Beta, &["ids=numbers"], End, Scored, none),
        mode("F16 first key 401", Ga, &["unauthorized=other"], End, Scored, two_keys),
        mode("F16 first key 403", Beta, &["forbidden=other"], End, Scored, two_keys),
        mode("F16 every key 401, then restored", Ga, &["unauthorized"], Open, Kept, two_keys),
        mode("F16 every key 403, then restored", Beta, &["forbidden"], Open, Kept, two_keys),
        mode("F18 slow within patience", Ga, &["slow=150ms@infer;n=8"], End, Scored, none),
        mode("F18 slow beyond patience", Ga, &["slow=5s@infer;n=3"], End, Scored, hasty),
        mode("F20 model of other columns", Ga, &[], End, Fallback, |setup| {
            setup.other_columns = true;
            setup.knows_model = false;
        }),
        mode("F21 address expired", Ga, &["status-before=503@infer", "url-expired;n=6"], End, Scored, none),
        mode("F21 address 403 once each", Ga, &["status-before=503@infer", "url-403-once"], End, Scored, none),
        mode("F21 address redirects", Ga, &["status-before=503@infer", "url-redirect"], End, Scored, none),
        mode("F21 address, wrong length", Ga, &["status-before=503@infer", "url-wrong-length;n=4"], End, Scored, none),
        mode("F21 address, gzip", Ga, &["status-before=503@infer", "url-gzip"], End, Scored, none),
        mode("F21 address 503", Ga, &["status-before=503@infer", "status-before=503@get-object;n=5"], End, Scored, none),
        // bodies
        mode("empty body", Ga, &["empty-body@infer;n=6"], End, Scored, none),
        mode("white space body", Ga, &["whitespace-body@infer;n=6"], End, Scored, none),
        mode("every body empty for ever", Ga, &["empty-body"], End, Fallback, hasty),
        mode("truncated JSON", Ga, &["truncated-json@infer;n=4"], End, Scored, none),
        mode("truncated JSON", Beta, &["truncated-json@beta-infer;n=4"], End, Scored, none),
        mode("truncated JSON for ever", Ga, &["truncated-json@infer"], End, Fallback, none),
        mode("web page with 200", Ga, &["html-200@infer;n=4"], End, Scored, none),
        mode("web page with 200 for ever", Beta, &["html-200"], End, Fallback, none),
        mode("wrong content type", Ga, &["wrong-content-type"], End, Scored, new),
        mode("wrong content type", Beta, &["wrong-content-type"], End, Scored, none),
        // statuses
        mode("429, seconds", Ga, &["rate-limit=seconds,1@infer;n=2"], End, Scored, none),
        mode("429, fraction", Ga, &["rate-limit=fraction,0.2@infer;n=5"], End, Scored, none),
        mode("429, date", Ga, &["rate-limit=date,1@infer;n=2"], End, Scored, none),
        mode("429, retry-after-ms", Beta, &["rate-limit=ms,0.1@beta-infer;n=5"], End, Scored, none),
        mode("429, no word", Ga, &["rate-limit=none@infer;n=5"], End, Scored, none),
        mode("429 for ever", Ga, &["rate-limit=seconds,60"], End, Fallback, none),
        mode("500 before", Ga, &["status-before=500@infer;p=0.3"], End, Scored, none),
        mode("502 before", Beta, &["status-before=502@beta-infer,beta-upload;p=0.3"], End, Scored, none),
        mode("503 before, until the circuit opens", Ga, &["status-before=503"], Open, Kept, none),
        mode("504 before, until the circuit opens", Beta, &["status-before=504"], Open, Kept, none),
        mode("500 after", Ga, &["status-after=500@infer;p=0.3"], End, Scored, none),
        mode("502 after, async", Ga, &["status-before=503@infer", "status-after=502@infer-async;p=0.5"], End, Scored, none),
        mode("503 after, infer-batch", Ga, &["empty-body@infer", "status-after=503@infer-batch;n=4"], End, Scored, none),
        mode("504 after", Beta, &["status-after=504@beta-infer,beta-upload,beta-delete-dataset;p=0.3"], End, Scored, none),
        mode("503 for ever", Ga, &["status-before=503"], End, Fallback, none),
        mode("refuses everything", Ga, &["refuse-all"], Open, Kept, none),
        mode("refuses everything", Beta, &["refuse-all"], Open, Kept, none),
        mode("refuses everything for ever", Ga, &["refuse-all=400"], End, Fallback, new),
        mode("one poison session", Ga, &["poison=gameType:poison-one"], End, Fail(ONE.1, 14), none),
        mode("one poison session", Beta, &["poison=gameType:poison-one"], End, Fail(ONE.1, 14), none),
        mode("several poison sessions", Ga, &["poison=gameType:poison-several,400"], End, Fail(SEVERAL.1, 24), none),
        mode("a session that breaks the service", Ga, &["poison=gameType:poison-one,500"], End, Fail(ONE.1, 14), none),
        mode("413 at a lowered limit", Ga, &["too-large=12000"], End, Scored, new),
        mode("413 at a lowered limit", Beta, &["too-large=12000"], End, Scored, none),
        // the wire
        mode("slow answers", Beta, &["slow=100ms;p=0.2"], End, Scored, none),
        mode("dribble", Ga, &["dribble=1ms@infer;n=3"], End, Scored, none),
        mode("connection reset", Ga, &["reset@infer;n=6"], End, Scored, none),
        mode("connection reset", Beta, &["reset@beta-infer,beta-upload;n=6"], End, Scored, none),
        mode("connection reset for ever", Beta, &["reset"], End, Fallback, none),
        mode("no answer, then one", Ga, &["hang@infer;n=2"], End, Scored, hasty),
        mode("no answer, then one", Beta, &["hang@beta-infer,beta-upload;n=2"], End, Scored, hasty),
        mode("no answer for ever", Ga, &["hang"], End, Fallback, hasty),
        // the life of jobs
        mode("ingest fails", Ga, &["empty-body@infer", "ingest-failed@create-dataset;n=2"], End, Scored, none),
        mode("ingest fails", Beta, &["ingest-failed@beta-upload;n=2"], End, Scored, none),
        mode("inference job fails", Ga, &["status-before=503@infer", "infer-failed;n=3"], End, Scored, none),
        mode("inference job fails for ever", Ga, &["empty-body@infer", "infer-failed"], End, Fallback, hasty),
        mode("job stuck in running", Ga, &["status-before=503@infer", "job-stuck"], Struck(4), Scored, hasty),
        mode("job stuck in queued", Ga, &["empty-body@infer", "job-stuck=queued"], Struck(3), Scored, hasty),
        mode("job canceled", Ga, &["status-before=503@infer", "job-canceled;n=3"], End, Scored, none),
        mode("job rejected", Ga, &["empty-body@infer", "job-rejected@infer-batch;n=2"], End, Scored, none),
        mode("job status unknown", Ga, &["status-before=503@infer", "job-status=pondering"], Struck(4), Scored, hasty),
        mode("progress backwards", Ga, &["status-before=503@infer", "progress-odd=backwards"], End, Scored, none),
        mode("progress null", Ga, &["status-before=503@infer", "progress-odd=null"], End, Scored, none),
        mode("progress over 100", Ga, &["status-before=503@infer", "progress-odd=over"], End, Scored, none),
        // content
        mode("F17 ids shuffled", Ga, &["ids=shuffled"], End, Scored, none),
        mode("F17 an id missing", Ga, &["ids=missing;n=4"], End, Scored, none),
        mode("F17 an id twice", Ga, &["ids=duplicated;n=4"], End, Scored, none),
        mode("F17 an id twice", Beta, &["ids=duplicated;n=4"], End, Scored, none),
        mode("F17 an id out of range", Ga, &["ids=out-of-range;n=4"], End, Scored, none),
        mode("F17 an id out of range", Beta, &["ids=out-of-range;n=4"], End, Scored, none),
        mode("F17 an id null", Ga, &["ids=null-filled;n=4"], End, Scored, none),
        mode("F17 scores permuted", Ga, &["ids=permuted;n=8"], End, Scored, none),
        mode("F17 scores shifted by a row", Ga, &["ids=shifted;n=8"], End, Scored, none),
        mode("F17 scores permuted, model new", Ga, &["ids=permuted;n=8"], End, Scored, new),
        mode("F17 scores permuted for ever", Ga, &["ids=permuted"], End, Fallback, new),
        mode("F17 scores shifted for ever", Ga, &["ids=shifted"], End, Fallback, new),
        mode("F17 flags permuted", Beta, &["ids=permuted;n=8"], End, Scored, none),
        mode("F17 flags shifted by a row", Beta, &["ids=shifted;n=8"], End, Scored, none),
        mode("F17 two rows swapped", Ga, &["ids=swapped;n=8"], End, Undetectable, none),
        mode("F17 two rows swapped", Beta, &["ids=swapped;n=8"], End, Undetectable, none),
        mode("F17 a row fewer", Ga, &["rows=fewer;n=4"], End, Scored, none),
        mode("F17 a row more", Ga, &["rows=more;n=4"], End, Scored, none),
        mode("F17 half of the rows", Ga, &["rows=truncated;n=4"], End, Scored, none),
        mode("F17 a row twice", Ga, &["rows=duplicated;n=4"], End, Scored, none),
        mode("F17 half of the rows null", Ga, &["rows=null-filled;n=4"], End, Scored, none),
        mode("F17 a row fewer for ever", Ga, &["rows=fewer"], End, Fallback, none),
        mode("score NaN", Ga, &["scores=nan;n=4"], End, Scored, none),
        mode("score infinite", Ga, &["scores=inf;n=4"], End, Scored, none),
        mode("score null", Ga, &["scores=null;n=4"], End, Scored, none),
        mode("score text", Ga, &["scores=text;n=4"], End, Scored, none),
        mode("score 1e308", Ga, &["scores=1e308;n=4"], End, Scored, none),
        mode("score negative", Ga, &["scores=negative;n=4"], End, Scored, none),
        mode("all scores NaN for ever", Ga, &["scores=nan,all"], End, Fallback, none),
        mode("all flagged", Beta, &["flags=all;n=4"], End, Scored, none),
        mode("none flagged", Beta, &["flags=none;n=4"], End, Scored, none),
        mode("none flagged for ever", Beta, &["flags=none"], End, Fallback, none),
        mode("flags contradict scores", Ga, &["flags=all"], End, Scored, none),
        mode("scores drift", Ga, &["score-drift=0.01;n=12"], End, Scored, none),
        mode("version changes when not pinned", Ga, &["model-version-changes"], End, Scored, new),
        mode("CSV: booleans, CRLF, quotes, BOM", Ga, &["data=csv-text", "csv-booleans=True", "csv-crlf", "csv-quoted", "csv-bom"], End, Scored, none),
    ]
}
