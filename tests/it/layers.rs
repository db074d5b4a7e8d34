//! Who may know whom in the server and the root package, that the domain is pure, and other rules that the sources keep: read from the
//! sources themselves. Which crate may know which stands in `Cargo.toml`. Also that the document names tests that are there.

use std::path::{Path, PathBuf};

/// May be used by everybody in the server and the root package.
const LEAVES: [&str; 10] =
    ["clock", "controls", "metrics", "shutdown", "logging", "secret", "result_notifier", "thresholds", "tls", "traces"];

/// What `lib.rs` names of the crates below. Which of these knows which stands in their `Cargo.toml`.
const CRATES: [&str; 9] =
    ["adversary", "clock", "detector", "domain", "generator", "secret", "store", "tls", "woodwide"];

/// Every part of the server and of the root package, and the parts and crates it may know beside the leaves.
const LAYERS: [(&str, &[&str]); 23] = [
    ("shutdown", &[]),
    ("logging", &[]),
    ("traces", &["domain"]),
    ("metrics", &["store", "domain"]),
    ("result_notifier", &["store", "domain"]),
    ("thresholds", &["store", "domain"]),
    ("controls", &["store", "domain"]),
    ("webhooks", &["store", "domain"]),
    ("offline", &["detector", "adversary", "domain"]),
    ("intake", &["store", "detector", "domain"]),
    ("challenges", &["store", "domain"]),
    ("scheduler", &["store", "detector", "domain"]),
    ("registry", &["adversary", "generator", "store", "detector", "domain"]),
    ("evidence_bundle", &["detector", "domain"]),
    ("operations", &["evidence_bundle", "scheduler", "webhooks", "store", "detector", "domain"]),
    ("access", &["domain"]),
    ("spool", &[]),
    ("background", &[]),
    (
        "http",
        &[
            "access",
            "evidence_bundle",
            "spool",
            "operations",
            "registry",
            "webhooks",
            "scheduler",
            "challenges",
            "intake",
            "store",
            "detector",
            "woodwide",
            "domain",
        ],
    ),
    ("config", &["access", "http", "scheduler", "intake", "store", "detector", "woodwide", "domain"]),
    (
        "app",
        &[
            "access",
            "background",
            "config",
            "evidence_bundle",
            "http",
            "operations",
            "registry",
            "webhooks",
            "scheduler",
            "intake",
            "store",
            "detector",
            "woodwide",
            "domain",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "config",
            "evidence_bundle",
            "http",
            "scheduler",
            "intake",
            "store",
            "detector",
            "domain",
            "offline",
            "generator",
            "adversary",
        ],
    ),
    ("main", &["cli"]),
];

/// What no file of the domain may mention: time, chance, the machine, async.
const IMPURE: [&str; 11] = [
    "async",
    "await",
    "tokio",
    "SystemTime",
    "Instant",
    "std::env",
    "std::fs",
    "std::net",
    "std::thread",
    "rand",
    "rand_chacha",
];

fn is_part(name: &str) -> bool {
    LAYERS.iter().any(|(part, _)| *part == name)
}

fn is_known(name: &str) -> bool {
    is_part(name) || CRATES.contains(&name)
}

fn may_know(from: &str, to: &str) -> bool {
    let allowed = LAYERS.iter().find(|(part, _)| *part == from).is_some_and(|(_, allowed)| allowed.contains(&to));
    from == to || allowed || (from != "main" && LEAVES.contains(&to))
}

/// The text without comments, so that prose may name anything.
pub(super) fn code(text: &str) -> String {
    let lines = text.lines().map(|line| match line.find("//") {
        Some(at) if !line[..at].ends_with(':') => &line[..at],
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub(super) fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// The identifiers that a path goes on with: one, or those of a group in braces.
fn heads(after: &str) -> Vec<&str> {
    let Some(group) = after.strip_prefix('{') else { return vec![identifier(after)] };
    let (mut found, mut depth, mut fresh) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                found.push(identifier(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    found
}

/// The parts that a file's code names, by `crate::` (in `main.rs` the library's name), or by climbing up with `super::`.
fn known_to(path: &Path, text: &str) -> Vec<String> {
    let depth = path.components().count() - usize::from(path.ends_with("mod.rs"));
    let code = code(text);
    let mut known = Vec::new();
    let root = if path == Path::new("main.rs") { "playproof_batch::" } else { "crate::" };
    for (at, _) in code.match_indices(root) {
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            known.extend(heads(&code[at + root.len()..]).into_iter().map(str::to_owned));
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") {
            continue;
        }
        let rest = code[at..].trim_start_matches("super::");
        if (code[at..].len() - rest.len()) / "super::".len() >= depth {
            known.extend(heads(rest).into_iter().map(str::to_owned));
        }
    }
    known.retain(|name| is_known(name));
    known
}

/// Everything that is wrong with one source file, wherever it is; `place` is relative to the repository.
fn wrong_with(place: &Path, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !text.starts_with("//!") {
        wrong.push(format!("{} does not open with //!", place.display()));
    }
    let stem = place.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if ["util", "utils", "helper", "helpers", "common", "manager"].contains(&stem) {
        wrong.push(format!("{} has a name that says nothing", place.display()));
    }
    if let Ok(path) = place.strip_prefix("src").or_else(|_| place.strip_prefix("crates/server/src")) {
        wrong.extend(forbidden_arrows(path, text));
    }
    if place.starts_with("crates/domain/src") {
        wrong.extend(impurities(place, text));
    }
    wrong
}

/// What a file of the server or the root package knows that it may not; `path` is relative to `src`.
fn forbidden_arrows(path: &Path, text: &str) -> Vec<String> {
    let first = path.iter().next().and_then(|part| part.to_str()).unwrap_or_default();
    let part = first.trim_end_matches(".rs");
    if part == "lib" {
        return Vec::new();
    }
    let place = path.display();
    let mut wrong = Vec::new();
    if !is_part(part) {
        wrong.push(format!("{place} belongs to no layer; give it one in this test and in ARCHITECTURE.md"));
    }
    for known in known_to(path, text) {
        if !may_know(part, &known) {
            wrong.push(format!("{place} knows {known}"));
        }
    }
    wrong
}

fn impurities(place: &Path, text: &str) -> Vec<String> {
    let code = code(text);
    let found = IMPURE.iter().filter(|word| {
        code.match_indices(**word).any(|(at, _)| {
            let inside = |c: char| c.is_alphanumeric() || c == '_';
            !code[..at].ends_with(inside) && !code[at + word.len()..].starts_with(inside)
        })
    });
    found.map(|word| format!("{} mentions {word}", place.display())).collect()
}

/// The folders that hold sources of the service: of the root package, and of each crate below it.
fn source_folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = std::fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path().join("src"));
    crates.chain([root.join("src")]).collect()
}

pub(super) fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_sources_keep_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in source_folders() {
        let before = files.len();
        sources(&folder, &mut files);
        assert!(files.len() > before, "{} holds no sources", folder.display());
    }
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|file| wrong_with(file.strip_prefix(root).unwrap(), &std::fs::read_to_string(file).unwrap()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Libraries that not every crate shall build, and the folders of the packages that may ask for them.
const KEPT_APART: [(&str, &[&str]); 9] = [
    ("parquet", &["."]),
    ("indicatif", &["."]),
    ("csv", &[".", "crates/server", "crates/woodwide"]),
    ("axum", &[".", "crates/server"]),
    ("reqwest", &[".", "crates/otlp", "crates/outbound", "crates/server", "crates/woodwide"]),
    ("rusqlite", &["crates/store"]),
    ("opentelemetry-otlp", &["crates/otlp"]),
    ("tokio-postgres", &["crates/store"]),
    ("tokio", &[".", "crates/detector", "crates/otlp", "crates/server", "crates/store", "crates/woodwide"]),
];

/// The packages of the service, and those of them that each may know: the table of ARCHITECTURE.md.
const PACKAGES: [(&str, &[&str]); 10] = [
    ("domain", &[]),
    ("clock", &["domain"]),
    ("outbound", &[]),
    ("bots", &["domain"]),
    ("store", &["clock", "domain"]),
    ("detector", &["bots", "domain"]),
    ("woodwide", &["clock", "detector", "domain", "outbound"]),
    ("server", &["bots", "clock", "detector", "domain", "outbound", "store", "woodwide"]),
    ("otlp", &["outbound", "server"]),
    ("", &["bots", "clock", "detector", "domain", "otlp", "outbound", "server", "store", "woodwide"]),
];

#[test]
fn packages_know_only_those_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for (name, allowed) in PACKAGES {
        let folder = if name.is_empty() { root.to_owned() } else { root.join("crates").join(name) };
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let (_, after) = manifest.split_once("\n[dependencies]\n").unwrap();
        let dependencies = after.split("\n[").next().unwrap().lines();
        let known = dependencies.filter_map(|line| line.strip_prefix("playproof-")?.split(['.', ' ', '=']).next());
        wrong.extend(known.filter(|known| !allowed.contains(known)).map(|known| format!("{name} knows {known}")));
    }
    let folders = std::fs::read_dir(root.join("crates")).unwrap().count();
    assert_eq!(folders + 1, PACKAGES.len(), "a package is missing in this test, or in crates/");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_stay_where_they_are_needed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = std::fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let mut wrong = Vec::new();
    for folder in crates.chain([root.to_owned()]) {
        let name = folder.strip_prefix(root).unwrap().display().to_string();
        let name = if name.is_empty() { "." } else { &name };
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let (_, after) = manifest.split_once("\n[dependencies]\n").unwrap();
        let named = after.split("\n[").next().unwrap().lines().filter_map(|line| line.split([' ', '.', '=']).next());
        for library in named {
            let kept = KEPT_APART.iter().find(|(kept, _)| *kept == library);
            if kept.is_some_and(|(_, users)| !users.contains(&name)) {
                wrong.push(format!("{name} depends on {library}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_tests_that_hold_the_promises_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/design/promises.md")).unwrap();
    let table = text.lines().filter(|line| line.starts_with("| "));
    let named: Vec<&str> = table.flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 50, "the table was not found");
    let mut files = Vec::new();
    for folder in source_folders() {
        sources(&folder, &mut files);
    }
    sources(&root.join("tests"), &mut files);
    let code: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let missing: Vec<_> = named.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_checker_sees_every_kind_of_forbidden_arrow() {
    let check = |path: &str, text: &str| wrong_with(Path::new(path), &format!("//! Words.\n{text}"));
    let bad = [
        ("crates/server/src/scheduler/mod.rs", "use crate::intake::Intake;", "scheduler/mod.rs knows intake"),
        (
            "crates/server/src/http/mod.rs",
            "use crate::{domain::id::{Seq, SessionId}, config::Config};",
            "http/mod.rs knows config",
        ),
        ("src/offline/mod.rs", "use crate::store::Store;", "offline/mod.rs knows store"),
        ("crates/server/src/http/login/mod.rs", "use super::super::app::serve;", "http/login/mod.rs knows app"),
        ("crates/server/src/intake.rs", "fn f() { crate::scheduler::run() }", "intake.rs knows scheduler"),
        ("crates/server/src/app.rs", "use crate::generator::Bot;", "app.rs knows generator"),
        ("src/main.rs", "fn main() { playproof_batch::app::serve() }", "main.rs knows app"),
        ("crates/domain/src/time.rs", "use std::time::Instant;", "crates/domain/src/time.rs mentions Instant"),
        ("crates/domain/src/time.rs", "pub async fn f() {}", "crates/domain/src/time.rs mentions async"),
        ("crates/store/src/utils.rs", "", "crates/store/src/utils.rs has a name that says nothing"),
        (
            "crates/server/src/cache.rs",
            "",
            "cache.rs belongs to no layer; give it one in this test and in ARCHITECTURE.md",
        ),
    ];
    for (path, text, wanted) in bad {
        assert_eq!(check(path, text), [wanted], "{text}");
    }
    assert_eq!(
        wrong_with(Path::new("crates/server/src/intake.rs"), "use std::fmt;"),
        ["crates/server/src/intake.rs does not open with //!"]
    );
}

#[test]
fn the_checker_lets_allowed_arrows_and_prose_pass() {
    let check = |path: &str, text: &str| wrong_with(Path::new(path), &format!("//! Words.\n{text}"));
    for (path, text) in [
        (
            "crates/server/src/http/wire.rs",
            "use crate::scheduler::{Handle, Status};\nuse crate::{metrics::Metrics, store};",
        ),
        ("crates/server/src/scheduler/tests/many.rs", "use super::Row;\nuse super::super::engine::Engine;"),
        ("crates/domain/src/time.rs", "/// Not a [`std::time::Instant`]; see crate::store.\nlet operand = 1; // tokio"),
        ("crates/server/src/operations/mod.rs", "use crate::store::model::Page;"),
    ] {
        assert_eq!(check(path, text), Vec::<String>::new(), "{text}");
    }
}
