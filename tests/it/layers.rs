//! Who may know whom, and other rules that the sources keep: read from the sources themselves. Also that the document
//! names tests that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// May be used by everybody but the domain.
const LEAVES: [&str; 9] =
    ["clock", "controls", "metrics", "shutdown", "logging", "secret", "settled", "thresholds", "tls"];

/// Every part, and the parts it may know beside the leaves.
const LAYERS: [(&str, &[&str]); 28] = [
    ("domain", &[]),
    ("clock", &["domain"]),
    ("shutdown", &[]),
    ("logging", &[]),
    ("secret", &[]),
    ("tls", &[]),
    ("metrics", &["store", "domain"]),
    ("settled", &["store", "domain"]),
    ("thresholds", &["store", "domain"]),
    ("controls", &["store", "domain"]),
    ("webhooks", &["store", "domain"]),
    ("store", &["domain"]),
    ("adversary", &["domain"]),
    ("detector", &["adversary", "domain"]),
    ("generator", &["domain"]),
    ("offline", &["detector", "adversary", "domain"]),
    ("intake", &["store", "detector", "domain"]),
    ("challenges", &["store", "domain"]),
    ("scheduler", &["store", "detector", "domain"]),
    ("registry", &["generator", "store", "detector", "domain"]),
    ("operations", &["scheduler", "store", "detector", "domain"]),
    ("access", &["domain"]),
    ("spool", &[]),
    (
        "http",
        &[
            "access",
            "spool",
            "operations",
            "registry",
            "webhooks",
            "scheduler",
            "challenges",
            "intake",
            "store",
            "detector",
            "domain",
        ],
    ),
    ("config", &["access", "http", "scheduler", "intake", "store", "detector", "domain"]),
    (
        "app",
        &[
            "access",
            "config",
            "http",
            "operations",
            "registry",
            "webhooks",
            "scheduler",
            "intake",
            "store",
            "detector",
            "domain",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "config",
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

/// Folders in which no circle of files is left: read from the bottom up, a file knows only files read before.
const ACYCLIC: [&str; 5] = ["access", "http", "operations", "offline", "webhooks"];

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

fn may_know(from: &str, to: &str) -> bool {
    let allowed = LAYERS.iter().find(|(part, _)| *part == from).is_some_and(|(_, allowed)| allowed.contains(&to));
    from == to || allowed || (from != "domain" && from != "main" && LEAVES.contains(&to))
}

/// The text without comments, so that prose may name anything.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| match line.find("//") {
        Some(at) if !line[..at].ends_with(':') => &line[..at],
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn identifier(text: &str) -> &str {
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
    known.retain(|name| is_part(name));
    known
}

/// Everything that is wrong with one source file; `path` is relative to `src`.
fn wrong_with(path: &Path, text: &str) -> Vec<String> {
    let place = path.display();
    let mut wrong = Vec::new();
    if !text.starts_with("//!") {
        wrong.push(format!("{place} does not open with //!"));
    }
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if ["util", "utils", "helper", "helpers", "common", "manager"].contains(&stem) {
        wrong.push(format!("{place} has a name that says nothing"));
    }
    let first = path.iter().next().and_then(|part| part.to_str()).unwrap_or_default();
    let part = first.trim_end_matches(".rs");
    if part == "lib" {
        return wrong;
    }
    if !is_part(part) {
        wrong.push(format!("{place} belongs to no layer; give it one in this test and in ARCHITECTURE.md"));
    }
    for known in known_to(path, text) {
        if !may_know(part, &known) {
            wrong.push(format!("{place} knows {known}"));
        }
    }
    if part == "domain" {
        let code = code(text);
        for word in IMPURE {
            let found = code.match_indices(word).any(|(at, _)| {
                let inside = |c: char| c.is_alphanumeric() || c == '_';
                !code[..at].ends_with(inside) && !code[at + word.len()..].starts_with(inside)
            });
            if found {
                wrong.push(format!("{place} mentions {word}"));
            }
        }
    }
    wrong
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
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
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 30, "the sources were not found");
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|file| wrong_with(file.strip_prefix(&src).unwrap(), &std::fs::read_to_string(file).unwrap()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A file's place in the tree of modules, such as `["http", "state"]`.
type Module = Vec<String>;

/// The module of a file; `path` is relative to `src`.
fn module(path: &Path) -> Module {
    let whole = path.with_extension("");
    let mut parts: Module = whole.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The text without what is compiled for tests only, and the modules that are.
fn production(text: &str) -> (String, Vec<String>) {
    let (mut kept, mut tests) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let Some(item) = lines.find(|line| !line.trim().starts_with("#[")) else { break };
        if let Some((_, name)) = item.split_once("mod ") {
            tests.push(identifier(name).to_owned());
        }
        let mut line = item;
        while !line.ends_with(';') && !line.ends_with('{') {
            line = lines.next().unwrap_or(";");
        }
        if line.ends_with('{') {
            let end = format!("{}}}", " ".repeat(indent));
            let _ = lines.find(|line| line.starts_with(&end));
        }
    }
    (kept, tests)
}

/// The paths that begin with `text`: one, or those of a group in braces, and what follows them.
fn paths(text: &str) -> (Vec<Module>, &str) {
    let name = identifier(text);
    let mut rest = &text[name.len()..];
    let own = vec![name.to_owned()];
    let Some(after) = rest.strip_prefix("::") else { return (vec![own], rest) };
    let longer = |tails: Vec<Module>| tails.into_iter().map(|tail| [own.clone(), tail].concat()).collect();
    let Some(group) = after.strip_prefix('{') else {
        let (tails, rest) = paths(after);
        return (longer(tails), rest);
    };
    let mut tails = Vec::new();
    rest = group;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == '*');
        if let Some(after) = rest.strip_prefix('}') {
            return (longer(tails), after);
        }
        let (more, after) = paths(rest);
        // What stands before the next comma, such as `as other`, is no path.
        rest = after.trim_start_matches(|c: char| c != ',' && c != '}');
        tails.extend(more);
    }
}

/// The modules among `all` that the code of `from` names: by `crate::`, `self::`, `super::`, or as its own child.
fn named_by(from: &Module, code: &str, all: &BTreeSet<Module>) -> BTreeSet<Module> {
    let mut named = BTreeSet::new();
    for (at, _) in code.match_indices("::") {
        let start = code[..at].rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |before| before + 1);
        if code[..start].ends_with([':', '.']) || start == at {
            continue;
        }
        for path in paths(&code[start..]).0 {
            let climbs = path.iter().take_while(|part| *part == "super").count();
            let whole = match path[0].as_str() {
                "crate" => path[1..].to_vec(),
                "self" => [from, &path[1..]].concat(),
                "super" => [&from[..from.len().saturating_sub(climbs)], &path[climbs..]].concat(),
                _ => [from, &path[..]].concat(),
            };
            let nearest =
                (1..=whole.len()).rev().map(|length| whole[..length].to_vec()).find(|part| all.contains(part));
            named.extend(nearest.filter(|module| module != from));
        }
    }
    named
}

/// The files of production among `files`, each with those that it knows. `files` are modules and their texts.
fn known_files(files: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let read: BTreeMap<&Module, (String, Vec<String>)> =
        files.iter().map(|(module, text)| (module, production(text))).collect();
    let tests: BTreeSet<Module> = read
        .iter()
        .flat_map(|(module, (_, tests))| {
            tests.iter().map(|test| [module.as_slice(), std::slice::from_ref(test)].concat())
        })
        .collect();
    let is_test = |module: &Module| (1..=module.len()).any(|length| tests.contains(&module[..length]));
    let all: BTreeSet<Module> = files.keys().filter(|module| !is_test(module)).cloned().collect();
    all.iter().map(|module| (module.clone(), named_by(module, &code(&read[module].0), &all))).collect()
}

/// What is left of `known` when files that know none of the others, and files that none of the others knows, are taken away
/// again and again: the circles.
fn circles(mut known: BTreeMap<Module, BTreeSet<Module>>) -> BTreeMap<Module, BTreeSet<Module>> {
    loop {
        let left: BTreeSet<Module> = known.keys().cloned().collect();
        let used: BTreeSet<Module> = known.values().flatten().cloned().collect();
        known.retain(|module, others| {
            others.retain(|other| left.contains(other));
            !others.is_empty() && used.contains(module)
        });
        if known.len() == left.len() {
            return known;
        }
    }
}

#[test]
fn no_files_know_each_other_in_a_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for folder in ACYCLIC {
        let mut found = Vec::new();
        sources(&src.join(folder), &mut found);
        let read = |file: &PathBuf| (module(file.strip_prefix(&src).unwrap()), std::fs::read_to_string(file).unwrap());
        let known = known_files(&found.iter().map(read).collect());
        assert!(!known.is_empty(), "the files of {folder} were not found");
        for (module, others) in circles(known) {
            let others: Vec<String> = others.iter().map(|other| other.join("::")).collect();
            wrong.push(format!("{} knows {}", module.join("::"), others.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_circle_of_files_is_seen_however_it_is_closed() {
    let circle = |texts: &[(&str, &str)]| {
        let file = |(path, text): &(&str, &str)| (module(Path::new(path)), (*text).to_owned());
        circles(known_files(&texts.iter().map(file).collect())).len()
    };
    for (texts, count) in [
        (&[("a/mod.rs", "mod b;\nuse b::B;"), ("a/b.rs", "use super::A;")][..], 2),
        (&[("a/b.rs", "use super::{c::{self, C}, d};"), ("a/c.rs", "fn f() { crate::a::b::f() }"), ("a/d.rs", "")], 2),
        (
            &[("a/b.rs", "use crate::a::c;"), ("a/c.rs", "use super::d::D;"), ("a/d.rs", "use super::{x as y, b::B};")],
            3,
        ),
        (&[("a/mod.rs", "mod b;\npub use b::B;"), ("a/b.rs", "use super::c::C;"), ("a/c.rs", "// super::b")], 0),
        (&[("a/b.rs", "#[cfg(test)]\nmod tests {\n    use super::super::c;\n}"), ("a/c.rs", "use super::b::B;")], 0),
        (&[("a/mod.rs", "#[cfg(test)]\nmod t;\nmod b;"), ("a/t.rs", "use super::b;"), ("a/b.rs", "use super::t;")], 0),
    ] {
        assert_eq!(circle(texts), count, "{texts:?}");
    }
}

#[test]
fn the_tests_that_hold_the_promises_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let (_, after) = text.split_once("\n## Promises and their tests\n").unwrap();
    let table = after.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| "));
    let named: Vec<&str> = table.flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 50, "the table was not found");
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let code: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let missing: Vec<_> = named.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_checker_sees_every_kind_of_forbidden_arrow() {
    let check = |path: &str, text: &str| wrong_with(Path::new(path), &format!("//! Words.\n{text}"));
    let bad = [
        ("store/sqlite/mod.rs", "use crate::detector::Row;", "store/sqlite/mod.rs knows detector"),
        ("http/mod.rs", "use crate::{domain::id::{Seq, SessionId}, config::Config};", "http/mod.rs knows config"),
        ("domain/id.rs", "use crate::clock::Clock;", "domain/id.rs knows clock"),
        ("detector/embedded/mod.rs", "use super::super::store::Store;", "detector/embedded/mod.rs knows store"),
        ("intake.rs", "fn f() { crate::scheduler::run() }", "intake.rs knows scheduler"),
        ("app.rs", "use crate::generator::Bot;", "app.rs knows generator"),
        ("main.rs", "fn main() { playproof_batch::app::serve() }", "main.rs knows app"),
        ("domain/time.rs", "use std::time::Instant;", "domain/time.rs mentions Instant"),
        ("domain/time.rs", "pub async fn f() {}", "domain/time.rs mentions async"),
        ("http/utils.rs", "", "http/utils.rs has a name that says nothing"),
        ("cache.rs", "", "cache.rs belongs to no layer; give it one in this test and in ARCHITECTURE.md"),
    ];
    for (path, text, wanted) in bad {
        assert_eq!(check(path, text), [wanted], "{text}");
    }
    assert_eq!(wrong_with(Path::new("intake.rs"), "use std::fmt;"), ["intake.rs does not open with //!"]);
}

#[test]
fn the_checker_lets_allowed_arrows_and_prose_pass() {
    let check = |path: &str, text: &str| wrong_with(Path::new(path), &format!("//! Words.\n{text}"));
    for (path, text) in [
        ("http/wire.rs", "use crate::scheduler::{Handle, Status};\nuse crate::{metrics::Metrics, store};"),
        ("detector/embedded/mod.rs", "use super::Row;\nuse super::super::detector::Limits;"),
        ("domain/time.rs", "/// Not a [`std::time::Instant`]; see crate::store.\nlet operand = 1; // tokio"),
        ("store/mod.rs", "use crate::store::model::Page;"),
    ] {
        assert_eq!(check(path, text), Vec::<String>::new(), "{text}");
    }
}
