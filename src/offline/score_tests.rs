//! Feature rows held against two references: our fixture, computed apart from this program from the definition of the
//! set, and, where the folder is there, rows that the original service computed.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use super::super::input::{DEFAULT_LINE_LIMIT, Lines};
use super::super::pipeline;
use super::super::table::{Format, Quote, Table};
use super::*;
use crate::domain::heuristic::Heuristic;
use crate::domain::reason::Reason;
use crate::domain::result::Decision;
use crate::domain::session::Bounds;
use crate::domain::testing::set_back;
use crate::domain::timeline;

/// The columns that the original computes otherwise after a pair of movements without time between them.
const AFTER_SKIPPED_PAIRS: [&str; 6] =
    ["avgAccel", "maxAccel", "accelStd", "jerkStd", "avgJerk", "controlSmoothnessScore"];

fn features_csv(sessions: &Path) -> String {
    let table = Arc::new(Table { columns: feature_columns(FeatureSet::V1), format: Format::Csv, quote: Quote::Always });
    let mut lines = Lines::open(sessions, DEFAULT_LINE_LIMIT).unwrap();
    let mut text = table.header().into_bytes();
    let threads = NonZeroUsize::new(2).unwrap();
    pipeline::run(
        &mut lines,
        threads,
        DEFAULT_LINE_LIMIT,
        &table,
        || FeatureRows::new(FeatureSet::V1),
        |chunk| {
            assert_eq!(chunk.refused, []);
            text.extend_from_slice(&chunk.rows.bytes);
            Ok(())
        },
    )
    .unwrap();
    String::from_utf8(text).unwrap()
}

/// Compares every cell: texts exactly, numbers to 1e-9 of the larger of 1 and their size. Returns the rows compared.
fn compare(ours: &str, theirs: &str, skip: impl Fn(&str, &str) -> bool) -> usize {
    assert_eq!(ours.lines().next(), theirs.lines().next(), "the header is a format of its own");
    let rows = |text: &str| csv::Reader::from_reader(text.as_bytes()).records().map(|r| r.unwrap()).collect::<Vec<_>>();
    let header: Vec<&str> = ours.lines().next().unwrap().split(',').collect();
    let (ours, theirs) = (rows(ours), rows(theirs));
    assert_eq!(ours.len(), theirs.len());
    for (our_row, their_row) in ours.iter().zip(&theirs) {
        for ((name, our), their) in header.iter().zip(our_row).zip(their_row) {
            if skip(&our_row[0], name) {
                continue;
            }
            let same = match (our.parse::<f64>(), their.parse::<f64>()) {
                (Ok(our), Ok(their)) => (our - their).abs() <= 1e-9 * their.abs().max(1.0),
                _ => our == their,
            };
            assert!(same, "{} {name}: {our} is not {their}", &our_row[0]);
        }
    }
    ours.len()
}

#[test]
fn feature_rows_are_those_of_the_definition() {
    let expected = std::fs::read_to_string("tests/fixtures/features_v1.csv").unwrap();
    let ours = features_csv(Path::new("tests/fixtures/features_v1.ndjson"));
    assert_eq!(compare(&ours, &expected, |_, _| false), 7);
    assert!(ours.contains("\n\"backwards\",\"a \"\"quoted\"\", name\",\"trackpad\",-5,50,0,"), "{ours}");
}

#[test]
fn feature_rows_are_those_of_the_original_where_it_is_right() {
    let (sessions, rows) =
        (Path::new("../shared/data/features_v1_example.ndjson"), Path::new("../shared/data/features_v1_example.csv"));
    let (Ok(text), Ok(expected)) = (std::fs::read_to_string(sessions), std::fs::read_to_string(rows)) else {
        eprintln!("skipped: {} is not here", sessions.display());
        return;
    };
    let no_time = |session: &Session| session.movements.t.windows(2).any(|t| t[1] - t[0] < 0.001);
    let skipped: HashMap<String, bool> = text
        .lines()
        .map(|line| Session::parse(line.as_bytes(), &Bounds::default()).unwrap())
        .map(|session| (session.id.to_string(), no_time(&session)))
        .collect();
    let ours = features_csv(sessions);
    assert_eq!(compare(&ours, &expected, |id, name| skipped[id] && AFTER_SKIPPED_PAIRS.contains(&name)), 60);
    assert!(skipped.values().any(|s| !s), "some sessions must be compared in every column");
}

#[test]
fn a_score_row_says_what_the_verdict_says() {
    let Ok(model) = Model::bundled() else {
        eprintln!("skipped: this build has no bundled model");
        return;
    };
    let fixture = std::fs::read_to_string("tests/fixtures/features_v1.ndjson").unwrap();
    let table = Arc::new(Table { columns: COLUMNS.to_vec(), format: Format::Csv, quote: Quote::Needed });
    for line in fixture.lines() {
        let session = Session::parse(line.as_bytes(), &Bounds::default()).unwrap();
        let (mut scorer, mut rows) = (Scorer::new(&model, Thresholds::default()), Rows::new(&table));
        scorer.session(&session, &mut rows);
        let verdict = scorer.verdict(&session);
        let row = csv::ReaderBuilder::new().has_headers(false).from_reader(rows.bytes.as_slice()).records().next();
        let row = row.unwrap().unwrap();
        let codes: Vec<_> = verdict.reasons.iter().map(Reason::code).collect();
        assert_eq!((&row[0], &row[9]), (session.id.as_str(), codes.join(";").as_str()));
        assert_eq!(row[1].parse().ok(), verdict.anomaly_score);
        assert_eq!(row[2].parse().ok(), verdict.raw_score);
        assert_eq!((row[3].parse(), &row[4]), (Ok(verdict.is_anomaly()), verdict.decision.name()));
        assert_eq!(
            (&row[6], &row[7], &row[8]),
            ("embedded", verdict.model.id.as_str(), verdict.model.version.as_str())
        );
    }
}

#[test]
fn sessions_are_looked_at_side_by_side_only_where_that_was_asked_for() {
    let model = Model::bundled().unwrap();
    let of = |user: &str| Session { user_id: Some(user.to_owned()), ..crate::domain::testing::wandering(1, 14) };
    let verdicts = |mut scorer: Scorer<'_>| ["a", "b", "b"].map(|user| scorer.verdict(&of(user)));
    let replays = |verdicts: &[Verdict; 3]| verdicts.each_ref().map(|v| v.reasons.contains(Reason::ReplayedMovement));
    let alone = verdicts(Scorer::new(&model, Thresholds::default()));
    assert_eq!(replays(&alone), [false; 3]);
    let beside = verdicts(Scorer::new(&model, Thresholds::default()).side_by_side());
    assert_eq!(replays(&beside), [false, true, true]);
    assert!(beside[2].reasons.contains(Reason::Campaign) && beside[1].is_anomaly());
    assert_eq!(beside.map(|v| v.anomaly_score), alone.map(|v| v.anomaly_score), "evidence never changes a score");
}

#[test]
fn a_line_with_times_in_seconds_is_refused_by_its_field() {
    let movements: Vec<String> =
        (0..30).map(|i| format!(r#"{{"x":{i},"y":2,"timestamp":{}}}"#, f64::from(i) * 0.016)).collect();
    let line = format!(r#"{{"sessionId":"a","movements":[{}]}}"#, movements.join(","));
    let model = Model::bundled().unwrap();
    let table = Arc::new(Table { columns: COLUMNS.to_vec(), format: Format::Csv, quote: Quote::Needed });
    let mut lines = Lines::from_reader("a", None, std::io::Cursor::new(line.into_bytes()), DEFAULT_LINE_LIMIT).unwrap();
    let (mut refused, one) = (Vec::new(), NonZeroUsize::MIN);
    let scorer = || Scorer::new(&model, Thresholds::default());
    pipeline::run(&mut lines, one, DEFAULT_LINE_LIMIT, &table, scorer, |chunk| {
        refused.extend(chunk.refused.clone());
        Ok(())
    })
    .unwrap();
    assert_eq!(refused.len(), 1);
    let (number, told) = &refused[0];
    assert!(*number == 1 && told.starts_with("movements[1].timestamp") && told.contains("seconds"), "{told}");
}

#[test]
fn taps_without_a_path_are_reviewed_with_the_reason() {
    let mut taps = Session::default();
    for i in 0..20 {
        taps.movements.x.push(f64::from(i * 83 % 700));
        taps.movements.y.push(f64::from(i * 47 % 500));
        taps.movements.t.push(f64::from(i) * 640.0);
    }
    let model = Model::bundled().unwrap();
    for thresholds in [
        Thresholds { pass: 5.9, review: 6.0, ..Thresholds::default() },
        Thresholds { pass: 0.0, review: 0.1, ..Thresholds::default() },
    ] {
        let verdict = Scorer::new(&model, thresholds).verdict(&taps);
        assert_eq!(verdict.decision.name(), "review");
        assert!(verdict.reasons.contains(Reason::TooLittleMovement));
    }
}

fn demo_people() -> Vec<Session> {
    let packed: &[u8] = include_bytes!("../../data/demo/humans.ndjson.zst");
    let text = zstd::decode_all(packed).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| Session::parse(line, &Bounds::default()).unwrap()).collect()
}

/// The decision by the rules alone, which see the recording as it was sent.
fn by_rules(session: &Session) -> Decision {
    Verdict::heuristic(&Heuristic::judge(&Extractor::default().v1(session)), &Thresholds::default()).decision
}

#[test]
fn a_clock_set_back_changes_no_decision() {
    let (model, people) = (Model::bundled().unwrap(), demo_people());
    assert_eq!(people.len(), 23);
    let mut scorer = Scorer::new(&model, Thresholds::default());
    let mut undone = 0;
    for session in &people {
        let (expected, first, count) = (scorer.verdict(session), by_rules(session), session.movements.len());
        for at in [count / 3, count / 2, 2 * count / 3] {
            for back in [50.0, 300.0, 1_000.0, 5_000.0] {
                let stepped = set_back(session, &[at], back);
                let found = scorer.verdict(&stepped);
                let scores = (expected.anomaly_score, found.anomaly_score);
                let told = format!("{} set back by {back} at {at}: {scores:?}", session.id);
                assert_eq!(found.decision, expected.decision, "{told}");
                assert_eq!(by_rules(&stepped), first, "{told}");
                let steady = timeline::without_steps(&stepped);
                if !stepped.movements.t.is_sorted() && steady.movements.t.is_sorted() {
                    undone += 1;
                    for (click, sent) in steady.clicks.iter().zip(&session.clicks) {
                        assert!((click.t - sent.t).abs() <= 600.0, "{told}: {click:?} and {sent:?}");
                    }
                }
            }
        }
    }
    assert!(undone > 240, "{undone} of 276");
}
