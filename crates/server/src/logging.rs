//! Logs: to stderr, readable on a terminal, JSON lines anywhere else. Never keys or telemetry; session ids at debug only.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

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
    EnvFilter::builder().parse(text).map_err(|e| format!("is no log filter: {e}; write info or module=level"))
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

/// Starts logging by the filter `text`. Later calls change nothing.
///
/// # Errors
/// As [`filter`].
pub fn init(text: &str, format: LogFormat) -> Result<(), String> {
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter(text)?).with_writer(std::io::stderr);
    // An error means that logging has been started before.
    let _ = if format == LogFormat::Text || (format == LogFormat::Auto && terminal) {
        lines.with_ansi(terminal).try_init()
    } else {
        lines.json().flatten_event(true).with_ansi(false).try_init()
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::filter;

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
}
