//! The list of settings, read from the defaults file: key, environment variable, flag, default and explanation. A
//! setting that is not in that file does not exist.

use std::sync::LazyLock;

/// The defaults, and the reference page of all settings.
pub const DEFAULTS: &str = include_str!("../../playproof.default.toml");

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Key in the file.
    pub key: String,
    /// Environment variable.
    pub env: String,
    /// Flag, without the leading dashes.
    pub flag: String,
    /// The default as the file writes it.
    pub default: String,
    /// What it means and what follows from it.
    pub doc: String,
    /// The section of the file it stands in.
    pub heading: String,
}

/// Every setting, in the file's order.
#[must_use]
pub fn settings() -> &'static [Setting] {
    static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| read(DEFAULTS));
    &SETTINGS
}

/// The environment variable of a key.
#[must_use]
pub fn env_name(key: &str) -> String {
    let bare = ["anomaly_", "woodwide_", "api_"].iter().any(|prefix| key.starts_with(prefix));
    let upper = key.to_ascii_uppercase();
    if bare { upper } else { format!("PLAYPROOF_{upper}") }
}

/// The candidate most like `name`, when one is like it at all.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.map(|c| (strsim::jaro_winkler(name, c), c));
    scored.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, c)| c)
}

/// Comment lines directly above a key explain it; `## ` starts a section.
fn read(text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut heading = String::new();
    let mut doc = String::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut heading);
        } else if let Some(words) = line.strip_prefix("# ") {
            if !doc.is_empty() {
                doc.push(' ');
            }
            doc.push_str(words);
        } else if let Some((key, default)) = line.split_once(" = ") {
            settings.push(Setting {
                key: key.to_owned(),
                env: env_name(key),
                flag: key.replace('_', "-"),
                default: if default == "[]" { "none" } else { default.trim_matches('"') }.to_owned(),
                doc: std::mem::take(&mut doc),
                heading: heading.clone(),
            });
        } else {
            doc.clear();
        }
    }
    settings
}
