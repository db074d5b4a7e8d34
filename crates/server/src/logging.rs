//! Logs: to stderr, readable on a terminal, JSON lines anywhere else. Never keys or telemetry; session ids at debug only.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Parts with a crate of their own: the name that rules know them by, and the one that their lines bear.
const CRATES: [(&str, &str); 3] = [
    ("playproof_batch", "playproof_server"),
    ("playproof_batch::store", "playproof_store"),
    ("playproof_batch::detector::woodwide", "playproof_woodwide"),
];

/// `text`, and its rules about parts again for the crates of these.
fn with_crates(text: &str) -> String {
    let mut rules: Vec<(&str, &str)> = text.split(',').filter_map(|rule| rule.rsplit_once('=')).collect();
    // The later one of two rules about a crate holds: the narrower one.
    rules.sort_by_key(|(module, _)| module.len());
    let mut all = text.to_owned();
    for (module, level) in rules {
        for (part, home) in CRATES {
            let inside = module.strip_prefix(part).or_else(|| part.starts_with(module).then_some(""));
            if let Some(inside) = inside {
                all = format!("{all},{home}{inside}={level}");
            }
        }
    }
    all
}

/// What the text of a filter means: a level, and `module=level` rules, separated by commas.
///
/// # Errors
/// The end of a sentence that starts with the setting's name.
pub fn filter(text: &str) -> Result<EnvFilter, String> {
    for rule in text.split(',') {
        // The library takes a misspelt level for a module's name and would log nothing, and no level for `error`.
        let level = rule.rsplit_once('=').map_or(rule, |(_, level)| level).trim();
        if level.is_empty() || level.parse::<LevelFilter>().is_err() {
            return Err(format!(
                "has the level {level:?}; write error, warn, info, debug, trace or off, or module=level"
            ));
        }
    }
    EnvFilter::builder()
        .parse(with_crates(text))
        .map_err(|e| format!("is no log filter: {e}; write info or module=level"))
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON anywhere else.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Whether lines of this format are for people to read.
#[must_use]
pub fn for_people(format: LogFormat) -> bool {
    format == LogFormat::Text || (format == LogFormat::Auto && std::io::stderr().is_terminal())
}

/// Starts logging by the filter `text`. Later calls change nothing.
///
/// # Errors
/// As [`filter`].
pub fn init(text: &str, format: LogFormat) -> Result<(), String> {
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter(text)?).with_writer(std::io::stderr);
    // An error means that logging has been started before.
    let _ = if for_people(format) {
        lines.with_ansi(terminal).try_init()
    } else {
        lines.json().flatten_event(true).with_ansi(false).try_init()
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{filter, with_crates};

    #[test]
    fn misspelt_levels_are_refused_rather_than_silencing_the_log() {
        for right in ["info", "WARN", "off", "info,playproof_batch::store=debug", "playproof_batch=trace"] {
            assert!(filter(right).is_ok(), "{right}");
        }
        for wrong in ["inof", "", "info,", "playproof_batch=loud", "info;debug"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
        assert!(filter("inof").unwrap_err().contains("error, warn, info"));
    }

    #[test]
    fn rules_about_parts_hold_for_the_crates_of_these() {
        for (text, added) in [
            ("info", ""),
            ("info,playproof_batch::http=debug", ",playproof_server::http=debug"),
            ("playproof_batch::store=debug", ",playproof_server::store=debug,playproof_store=debug"),
            (
                "playproof_batch::store::sqlite=trace",
                ",playproof_server::store::sqlite=trace,playproof_store::sqlite=trace",
            ),
            ("playproof_batch::detector=off", ",playproof_server::detector=off,playproof_woodwide=off"),
            ("playproof_batch=off", ",playproof_server=off,playproof_store=off,playproof_woodwide=off"),
        ] {
            assert_eq!(with_crates(text), format!("{text}{added}"));
        }
        let both = filter("playproof_batch::store=debug,playproof_batch=warn").unwrap().to_string();
        assert!(both.contains("playproof_store=debug") && !both.contains("playproof_store=warn"), "{both}");
    }
}
