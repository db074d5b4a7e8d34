//! No circle of files: within a folder a file knows only files that do not know it, directly or by others. Read from the
//! sources themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::layers::{code, identifier, sources};

/// Folders in which no circle of files is left, each below the sources of its package: read from the bottom up, a file
/// knows only files read before.
const ACYCLIC: [(&str, &str); 9] = [
    ("crates/domain/src", ""),
    ("crates/store/src", "sqlite"),
    ("crates/store/src", "postgres"),
    ("crates/server/src", "access"),
    ("crates/server/src", "scheduler"),
    ("crates/server/src", "operations"),
    ("crates/server/src", "http"),
    ("crates/server/src", "webhooks"),
    ("src", "offline"),
];

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

/// The code without what says how far an item is visible: to be seen by a module is not to know it.
fn without_visibility(code: &str) -> String {
    let mut parts = code.split("pub(in ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + "pub " + part.split_once(')').map_or("", |(_, rest)| rest))
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
    all.iter()
        .map(|module| (module.clone(), named_by(module, &without_visibility(&code(&read[module].0)), &all)))
        .collect()
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
    let mut wrong = Vec::new();
    for (package, folder) in ACYCLIC {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join(package);
        let mut found = Vec::new();
        sources(&src.join(folder), &mut found);
        let read = |file: &PathBuf| (module(file.strip_prefix(&src).unwrap()), std::fs::read_to_string(file).unwrap());
        let known = known_files(&found.iter().map(read).collect());
        assert!(!known.is_empty(), "the files of {package}/{folder} were not found");
        for (module, others) in circles(known) {
            let others: Vec<String> = others.iter().map(|other| other.join("::")).collect();
            wrong.push(format!("{package}: {} knows {}", module.join("::"), others.join(", ")));
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
        (&[("a/mod.rs", "mod b;\nuse b::B;"), ("a/b.rs", "pub(in crate::a) struct B;")], 0),
        (&[("a/mod.rs", "#[cfg(test)]\nmod t;\nmod b;"), ("a/t.rs", "use super::b;"), ("a/b.rs", "use super::t;")], 0),
    ] {
        assert_eq!(circle(texts), count, "{texts:?}");
    }
}
