//! What readers are sent to exists: every relative link of every document leads to a file, and to a heading where it
//! names one. Settings and metrics are all described, and the way in stays short.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use playproof_batch::config::catalogue::settings;
use playproof_batch::domain::time::Timestamp;
use playproof_batch::metrics::Metrics;

/// Most bytes of the README.
const README_LIMIT: u64 = 8 * 1024;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Markdown files below `folder`, but not those of builds and installed packages.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') || ["target", "node_modules"].contains(&name) {
            continue;
        }
        if path.is_dir() {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The lines outside fenced code, without inline code.
fn prose(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line.split('`').step_by(2).collect());
        }
    }
    lines
}

/// Where the Markdown links and images of a text lead.
fn targets(text: &str) -> Vec<String> {
    let joined = prose(text).join("\n");
    let ends = joined.match_indices("](").map(|(at, _)| &joined[at + 2..]);
    ends.filter_map(|rest| Some(rest[..rest.find(')')?].to_owned())).collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> HashSet<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut fenced = false;
    let mut found = HashSet::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let heading = line.trim_start_matches('#');
        if fenced || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect();
        let times = seen.entry(slug.clone()).or_default();
        found.insert(if *times == 0 { slug } else { format!("{slug}-{times}") });
        *times += 1;
    }
    found
}

/// What is wrong with a link of the document at `from`.
fn wrong_with(from: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { from.to_owned() } else { from.parent()?.join(file) };
    if !path.exists() {
        return Some(format!("{}: {target} does not exist", from.display()));
    }
    let missing = !anchor.is_empty() && !anchors(&read(&path)).contains(anchor);
    missing.then(|| format!("{}: {target} names no heading", from.display()))
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut files = Vec::new();
    documents(root(), &mut files);
    assert!(files.len() > 15, "the documents were not found");
    let links = files.iter().flat_map(|file| targets(&read(file)).into_iter().map(move |target| (file, target)));
    let wrong: Vec<String> = links.filter_map(|(file, target)| wrong_with(file, &target)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_guide_is_in_the_index() {
    let index = root().join("docs/README.md");
    let named: HashSet<PathBuf> =
        targets(&read(&index)).iter().map(|target| root().join("docs").join(target)).collect();
    let mut files = Vec::new();
    documents(&root().join("docs"), &mut files);
    let missing: Vec<_> = files.iter().filter(|file| **file != index && !named.contains(*file)).collect();
    assert!(missing.is_empty(), "docs/README.md does not name {missing:?}");
}

#[test]
fn the_readme_stays_short() {
    let length = std::fs::metadata(root().join("README.md")).unwrap().len();
    assert!(length <= README_LIMIT, "README.md has {length} bytes; move details to docs/");
}

#[test]
fn every_setting_and_every_metric_is_described() {
    let configuration = read(&root().join("docs/configuration.md"));
    for setting in settings().iter().filter(|setting| !setting.key.ends_with("_file")) {
        assert!(configuration.contains(&setting.env), "docs/configuration.md lacks {}", setting.env);
    }
    let operate = read(&root().join("docs/operate.md"));
    let exposition = Metrics::new().unwrap().render(None, Timestamp(0)).unwrap();
    for name in exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(operate.contains(&format!("| {name} |")), "docs/operate.md lacks {name}");
    }
}

#[test]
fn the_checker_sees_what_a_reader_would_click() {
    let text =
        "# A `b`: c?\n[x](a.md)\n`[y](b.md)`\n```sh\n# no\n[z](c.md)\n```\n## Two\n## Two\n![p](d.png) [q](#two-1)";
    assert_eq!(targets(text), ["a.md", "d.png", "#two-1"]);
    assert_eq!(anchors(text), ["a-b-c", "two", "two-1"].map(str::to_owned).into());
    let here = root().join("README.md");
    for (target, right) in [("Cargo.toml", true), ("no.md", false), ("#no-such", false), ("https://example.org", true)]
    {
        assert_eq!(wrong_with(&here, target).is_none(), right, "{target}");
    }
}
