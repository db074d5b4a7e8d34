//! Mutation fuzzing of everything that reads bytes from outside: each target changes valid inputs at random and holds
//! the reader to what it promises of any input. Not guided by coverage; it runs on stable Rust as ordinary tests.
//!
//! Input number n of a target follows from n alone, so a failure repeats: `FUZZ_FROM=n` starts there. `FUZZ_SECONDS` is
//! the time a target gets; `scripts/fuzz` runs the long form.

use std::io::{Cursor, Write as _};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use playproof_batch::config::catalogue::settings;
use playproof_batch::config::{Config, Flags};
use playproof_batch::detector::embedded::Model;
use playproof_batch::domain::calibration::MAX_SCORE;
use playproof_batch::domain::features::{Extractor, FeatureSet};
use playproof_batch::domain::json::{MAX_DEPTH, Scanner};
use playproof_batch::domain::record::{self, SessionDigest};
use playproof_batch::domain::result::Thresholds;
use playproof_batch::domain::session::{Bounds, Session};
use playproof_batch::generator::{self, Family, Shape};
use playproof_batch::offline::input::{DEFAULT_LINE_LIMIT, Lines};
use playproof_batch::offline::pipeline::{self, PipelineError};
use playproof_batch::offline::score::{COLUMNS, Scorer};
use playproof_batch::offline::table::{Format, Quote, Table};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// How much of a failing input is printed.
const SHOWN: usize = 4096;

#[expect(clippy::disallowed_methods, reason = "the long form is asked for by the environment")]
fn asked_for(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Hands `check` one input after another for the target's time; `check` says whether the reader accepted it.
fn fuzz(target: &str, make: impl Fn(&mut ChaCha8Rng) -> Vec<u8>, mut check: impl FnMut(&[u8]) -> bool) {
    let end = Instant::now() + Duration::from_secs(asked_for("FUZZ_SECONDS", 1));
    let from = asked_for("FUZZ_FROM", 0);
    let (mut n, mut accepted) = (from, 0_u64);
    while n == from || Instant::now() < end {
        let input = make(&mut ChaCha8Rng::seed_from_u64(n));
        match catch_unwind(AssertUnwindSafe(|| check(&input))) {
            Ok(yes) => accepted += u64::from(yes),
            Err(panic) => {
                eprintln!("{target}: input {n} of {} bytes failed; FUZZ_FROM={n} repeats it", input.len());
                eprintln!("{}", input[..input.len().min(SHOWN)].escape_ascii());
                resume_unwind(panic);
            }
        }
        n += 1;
    }
    println!("{target}: {} executions, {accepted} accepted", n - from);
}

/// What breaks readers of JSON, TOML and numbers.
const TOKENS: &[&str] = &[
    "null",
    "true",
    "[]",
    "{}",
    "[",
    "]",
    "{",
    "}",
    "\"",
    ",",
    ":",
    "\\",
    "\n",
    "\r\n",
    "\0",
    "0",
    "-0",
    "-0.0",
    "1e999",
    "-1e999",
    "1e-400",
    "9007199254740993",
    "1e7",
    "10000000.000001",
    "1e15",
    "0.1234567",
    "00",
    "1.",
    ".5",
    "NaN",
    "\"\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"\u{1f600}\"",
    "\u{feff}",
    "\"sessionId\":\"a\",",
    "\"movements\":[],",
    "\"useBatch\":true,",
    "\"unknown\":{\"a\":[1,{\"b\":null}]},",
    "{\"x\":1,\"y\":2,\"timestamp\":3},",
    "1h",
    "99999999999999999999d",
    "16EiB",
    "1/s",
    "0.0.0.0/0",
    "postgres://",
    "embedded:",
    " = ",
    "[[a]]",
    "\"\"\"",
    "#",
];

fn index(rng: &mut ChaCha8Rng, length: usize) -> usize {
    if length == 0 { 0 } else { rng.random_range(0..length) }
}

/// Changes `bytes` in one to eight places.
fn mutate(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    for _ in 0..1 << rng.random_range(0..4) {
        let at = index(rng, bytes.len());
        match rng.random_range(0..9) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 if !bytes.is_empty() => bytes[at] = rng.random(),
            2 => bytes.insert(at, rng.random()),
            3 => bytes.truncate(at),
            4 => {
                let end = (at + rng.random_range(1..64)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let end = (at + rng.random_range(1..64)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = index(rng, bytes.len());
                bytes.splice(to..to, piece);
            }
            6 => {
                let token = TOKENS[index(rng, TOKENS.len())];
                bytes.splice(at..at, token.bytes());
            }
            _ => change_number(rng, bytes, at),
        }
    }
}

/// The number that stands at `at`, or the next one, becomes something else.
fn change_number(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>, at: usize) {
    let digit = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'-');
    let Some(start) = bytes[at..].iter().position(digit).map(|p| at + p) else { return };
    let end = bytes[start..].iter().position(|b| !digit(b)).map_or(bytes.len(), |p| start + p);
    let token = match rng.random_range(0..6) {
        0 => TOKENS[index(rng, TOKENS.len())].to_owned(),
        1 => rng.random_range(-1e7..1e7_f64).to_string(),
        2 => f64::from_bits(rng.random()).to_string(),
        3 => ["0", "-0.0", "1e7", "-1e7", "1e-7", "1e15", "0.001", "0.1234567"][index(rng, 8)].to_owned(),
        4 => String::from_utf8_lossy(&bytes[start..end]).into_owned() + ".5",
        _ => rng.random_range(-3..100_i32).to_string(),
    };
    bytes.splice(start..end, token.bytes());
}

fn small_session(rng: &mut ChaCha8Rng) -> Session {
    let family = Family::ALL[index(rng, Family::ALL.len())];
    let mut session = generator::generate(family, rng.random(), Shape { movements: Some(rng.random_range(1..120)) });
    if rng.random_bool(0.3) {
        session.user_id = Some("user \"é\"".to_owned());
    }
    session
}

fn session_text(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut text = generator::to_json(&small_session(rng), rng.random());
    match rng.random_range(0..8) {
        0 => {}
        1..4 => mutate(rng, &mut text),
        _ => {
            // Most of these are still sessions, of odd motion.
            for _ in 0..1 << rng.random_range(0..5) {
                let at = index(rng, text.len());
                change_number(rng, &mut text, at);
            }
        }
    }
    text
}

/// What is JSON is what serde says, but for numbers beyond `f64` and deep nesting: there the two differ on purpose.
fn agrees_with_serde(text: &str) {
    let mut scanner = Scanner::new(text);
    let ours = scanner.skip_value().and_then(|()| scanner.end());
    match (ours, serde_json::from_str::<Value>(text)) {
        (Ok(()), Err(e)) => assert!(e.to_string().contains("out of range"), "only serde refuses it: {e}"),
        (Err(e), Ok(value)) => assert!(depth(&value) > MAX_DEPTH, "only the scanner refuses it: {e}"),
        _ => {}
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[test]
fn sessions_parse_or_are_refused_as_serde_would() {
    fuzz("session", session_text, |input| {
        if let Ok(text) = std::str::from_utf8(input) {
            agrees_with_serde(text);
        }
        let Ok(session) = Session::parse(input, &Bounds::default()) else { return false };
        if let Err(e) = serde_json::from_slice::<Value>(input) {
            assert!(e.to_string().contains("out of range"), "no JSON and accepted: {e}");
        }
        let mut stored = Vec::new();
        record::encode(&session, &mut Vec::new(), &mut stored);
        let mut read = record::decode(&stored).unwrap();
        let mut again = Vec::new();
        record::encode(&read, &mut Vec::new(), &mut again);
        assert_eq!(SessionDigest::of(&stored), SessionDigest::of(&again), "a record changes when it is read");
        (read.id, read.deployment_id, read.use_batch) =
            (session.id.clone(), session.deployment_id.clone(), session.use_batch);
        assert_eq!(read, session);
        true
    });
}

#[test]
fn features_and_scores_of_accepted_sessions_are_finite_and_repeat() {
    let model = Model::bundled().unwrap();
    let mut extractor = Extractor::default();
    let (mut row, mut again) = (Vec::new(), Vec::new());
    fuzz("features", session_text, |input| {
        let Ok(session) = Session::parse(input, &Bounds::default()) else { return false };
        let mut stored = Vec::new();
        record::encode(&session, &mut Vec::new(), &mut stored);
        let read = record::decode(&stored).unwrap();
        for set in FeatureSet::ALL {
            extractor.extract(set, &session, &mut row);
            assert_eq!(row.len(), set.columns().len());
            for (name, value) in set.columns().iter().zip(&row) {
                assert!(value.is_finite(), "{name} is {value}");
            }
            Extractor::default().extract(set, &read, &mut again);
            let bits = |row: &[f64]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&row), bits(&again), "{} of the stored record", set.name());
            if set == model.feature_set() {
                let assessed = model.assess(&row);
                assert!(assessed.raw.is_finite());
                assert!((0.0..=MAX_SCORE).contains(&assessed.calibrated.score));
            }
        }
        true
    });
}

#[test]
fn records_decode_or_are_damaged() {
    let make = |rng: &mut ChaCha8Rng| {
        let mut record = Vec::new();
        record::encode(&small_session(rng), &mut Vec::new(), &mut record);
        mutate(rng, &mut record);
        record
    };
    let (mut extractor, mut row) = (Extractor::default(), Vec::new());
    fuzz("record", make, |input| {
        let Ok(session) = record::decode(input) else { return false };
        let mut first = Vec::new();
        record::encode(&session, &mut Vec::new(), &mut first);
        let mut second = Vec::new();
        record::encode(&record::decode(&first).unwrap(), &mut Vec::new(), &mut second);
        assert_eq!(first, second);
        for set in FeatureSet::ALL {
            extractor.extract(set, &session, &mut row);
        }
        true
    });
}

#[test]
fn files_of_sessions_are_scored_or_refused() {
    let make = |rng: &mut ChaCha8Rng| {
        let mut text = Vec::new();
        for _ in 0..rng.random_range(0..4) {
            text.extend(if rng.random_bool(0.5) {
                session_text(rng)
            } else {
                generator::to_json(&small_session(rng), false)
            });
            text.push(b'\n');
        }
        let mut file = match rng.random_range(0..3) {
            0 => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(&text).unwrap();
                gzip.finish().unwrap()
            }
            1 => zstd::encode_all(&*text, 1).unwrap(),
            _ => text,
        };
        match rng.random_range(0..4) {
            0 => file.truncate(index(rng, file.len())),
            1 => mutate(rng, &mut file),
            _ => {}
        }
        file
    };
    let model = Model::bundled().unwrap();
    let table = Arc::new(Table { columns: COLUMNS.to_vec(), format: Format::Csv, quote: Quote::Needed });
    fuzz("offline", make, |input| {
        let Ok(mut lines) = Lines::from_reader("fuzz", None, Cursor::new(input.to_vec()), 8 << 10) else {
            return false;
        };
        let mut rows = 0;
        let scorer = || Scorer::new(&model, Thresholds::default());
        let totals = pipeline::run(&mut lines, NonZeroUsize::MIN, DEFAULT_LINE_LIMIT, &table, scorer, |chunk| {
            rows += chunk.rows.len() as u64;
            Ok(())
        });
        match totals {
            Ok(totals) => assert_eq!(totals.sessions, rows),
            Err(PipelineError::Input(_)) => return false,
            Err(e) => panic!("{e}"),
        }
        true
    });
}

#[test]
fn settings_load_or_say_what_is_wrong() {
    let defaults = include_str!("../../playproof.default.toml");
    let lines: Vec<&str> = defaults.lines().filter(|line| line.contains(" = ")).collect();
    // The file, then a zero byte, then what the environment says, a variable a line.
    let make = |rng: &mut ChaCha8Rng| {
        let mut file: Vec<u8> = Vec::new();
        for line in &lines {
            if rng.random_bool(0.2) {
                file.extend(line.bytes());
                file.push(b'\n');
            }
        }
        if rng.random_bool(0.5) {
            mutate(rng, &mut file);
        }
        file.retain(|b| *b != 0);
        file.push(0);
        for _ in 0..rng.random_range(0..4) {
            let setting = &settings()[index(rng, settings().len())];
            let mut value = setting.default.trim_matches('"').as_bytes().to_vec();
            if rng.random() {
                change_number(rng, &mut value, 0);
            } else {
                mutate(rng, &mut value);
            }
            file.extend(setting.env.bytes());
            file.push(b'=');
            file.extend(value);
            file.push(b'\n');
        }
        file
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    fuzz("settings", make, |input| {
        let split = input.iter().position(|b| *b == 0).unwrap();
        std::fs::write(&path, &input[..split]).unwrap();
        let env = String::from_utf8_lossy(&input[split + 1..]).into_owned();
        let env = env.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
        let flags = Flags { config: Some(path.clone()), ..Flags::default() };
        match Config::load(&flags, env) {
            Ok(config) => format!("{config:?}").len() > 2,
            Err(faults) => {
                assert!(!faults.0.is_empty() && faults.0.iter().all(|fault| !fault.is_empty()));
                false
            }
        }
    });
}

#[test]
fn models_load_whole_or_not_at_all() {
    const HEAD: usize = 20;
    const DIGEST: usize = 32;
    let bundled = include_bytes!("../../models/bundled.model");
    // The beginning holds the counts, the end the calibration; most of what lies between is one long list of numbers.
    let make = |rng: &mut ChaCha8Rng| {
        let mut payload = bundled[HEAD..bundled.len() - DIGEST].to_vec();
        let length = payload.len();
        let (from, to) = match rng.random_range(0..4) {
            0 => (0, length.min(4096)),
            1 => (length.saturating_sub(4096), length),
            2 => (0, length),
            _ => {
                let at = index(rng, length);
                (at, (at + 64).min(length))
            }
        };
        let mut piece = payload[from..to].to_vec();
        if rng.random_bool(0.5) {
            // Numbers that computing stumbles over, and lengths that don't fit.
            for _ in 0..rng.random_range(1..4) {
                let at = index(rng, piece.len().saturating_sub(8));
                let value = [f64::NAN, f64::INFINITY, -f64::MAX, f64::MIN_POSITIVE, 0.0, -1.0][index(rng, 6)];
                let end = piece.len().min(at + 8);
                let bytes = if rng.random() { value.to_le_bytes() } else { rng.random::<u64>().to_le_bytes() };
                piece[at..end].copy_from_slice(&bytes[..end - at]);
            }
        } else {
            mutate(rng, &mut piece);
        }
        payload.splice(from..to, piece);
        let mut file = bundled[..HEAD].to_vec();
        if rng.random_bool(0.95) {
            file[12..20].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        }
        file.extend(payload);
        let digest = Sha256::digest(&file);
        file.extend_from_slice(&digest);
        if rng.random_bool(0.05) {
            mutate(rng, &mut file);
        }
        file
    };
    let session = generator::generate(Family::WindMouse, 1, Shape::default());
    let (mut extractor, mut row) = (Extractor::default(), Vec::new());
    fuzz("model", make, |input| {
        let Ok(model) = Model::load(input) else { return false };
        extractor.extract(model.feature_set(), &session, &mut row);
        let assessed = model.assess(&row);
        assert!(assessed.raw.is_finite());
        assert!((0.0..=MAX_SCORE).contains(&assessed.calibrated.score), "{:?}", assessed.calibrated);
        true
    });
}
