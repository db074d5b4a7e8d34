//! The modes, as the lines of `modes.txt`: which faults, for how long, and what must become of the sessions.

use std::time::Duration;

use playproof_batch::config::{Generation, Timing};

use super::super::rig::{KEY, people, people_under_other_names};
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
    /// The service scores all, and moves the scores of a whole batch by the same step.
    Drift,
    /// It can't be told from a good answer.
    Undetectable,
}

pub(crate) struct Mode {
    pub(crate) id: &'static str,
    pub(crate) generation: Generation,
    pub(crate) faults: Vec<&'static str>,
    pub(crate) until: Until,
    pub(crate) expect: Expect,
    change: &'static str,
    /// What the client does, in words.
    pub(crate) words: &'static str,
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
    /// The one dataset that grows, where there is one.
    pub(crate) persistent: Option<String>,
}

impl Setup {
    /// What the model learns from.
    pub(crate) fn training(&self) -> Vec<u8> {
        if self.other_columns { people_under_other_names() } else { people() }
    }

    /// Whether the service works once the faults are off.
    pub(crate) fn mendable(&self) -> bool {
        self.scheme == "http:" && !self.other_columns
    }
}

impl Mode {
    /// Reads one line of the table.
    fn read(line: &'static str) -> Self {
        let fields: Vec<&str> = line.split(" | ").collect();
        let [id, generation, faults, until, expect, change, words] = fields[..] else { panic!("{line}") };
        let generation = if generation == "GA" { Generation::Ga } else { Generation::Beta };
        let until = match until {
            "-" => Until::End,
            "open" => Until::Open,
            count => Until::Struck(count.parse().unwrap()),
        };
        let expect = match expect {
            "scored" => Expect::Scored,
            "kept" => Expect::Kept,
            "fallback" => Expect::Fallback,
            "drift" => Expect::Drift,
            "undetectable" => Expect::Undetectable,
            "fail-one" => Expect::Fail(ONE.1, 14),
            "fail-several" => Expect::Fail(SEVERAL.1, 24),
            _ => panic!("{line}"),
        };
        let faults = faults.split(' ').filter(|fault| *fault != "-").collect();
        Self { id, generation, faults, until, expect, change, words }
    }

    /// What this mode has otherwise than the others.
    pub(crate) fn setup(&self) -> Setup {
        let patience =
            if self.expect == Expect::Fallback { Duration::from_millis(150) } else { Duration::from_secs(60) };
        let mut setup = Setup {
            sim: woodwide_sim::Settings::default(),
            timing: timing(),
            keys: vec![KEY],
            scheme: "http:",
            fallback_after: patience,
            knows_model: true,
            other_columns: false,
            persistent: None,
        };
        match self.change {
            "-" => {}
            "new" => setup.knows_model = false,
            "persistent" => setup.persistent = Some("movement_live_inference".to_owned()),
            "https" => setup.scheme = "https:",
            "other-columns" => (setup.other_columns, setup.knows_model) = (true, false),
            "two-keys" => {
                setup.keys = vec!["sk_other", KEY];
                setup.sim.api_keys = vec!["other:sk_other".to_owned(), format!("good:{KEY}")];
            }
            "hasty" => {
                let short = Duration::from_millis(700);
                let timing = &mut setup.timing;
                (timing.inference, timing.request, timing.transfer) = (short, short, short);
                (timing.batch, timing.probe) = (Duration::from_secs(2), Duration::from_millis(900));
            }
            other => panic!("{other}"),
        }
        setup
    }

    /// What of the outcome is not as it must be.
    pub(crate) fn unmet(&self, outcome: &Outcome) -> Vec<String> {
        let Outcome { woodwide, fallback, lost, wrong, twice, .. } = *outcome;
        let mut unmet = Vec::new();
        let (scored, fell_back, failed): (usize, usize, &[usize]) = match self.expect {
            Expect::Scored | Expect::Kept | Expect::Drift | Expect::Undetectable => (SESSIONS, 0, &[]),
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
        if lost > 0 || twice > 0 || (wrong > 0 && !matches!(self.expect, Expect::Drift | Expect::Undetectable)) {
            unmet.push(format!("{lost} lost, {wrong} wrong, {twice} twice"));
        }
        if self.expect == Expect::Drift && outcome.torn > 0 {
            unmet.push(format!("{} batches hold scores of different steps", outcome.torn));
        }
        if outcome.struck == 0 && !self.faults.is_empty() {
            unmet.push("the fault struck nobody".to_owned());
        }
        unmet
    }
}

/// Every mode.
pub(crate) fn all() -> Vec<Mode> {
    include_str!("modes.txt").lines().filter(|line| !line.starts_with('#')).map(Mode::read).collect()
}
