//! Label files: what is known of each session, from CSV with a header.
//!
//! `sessionId` and `label` (human or bot) are needed; `family`, `source`, `user` and `variant` may be left out or empty.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// What is known of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// Whether a person made it.
    pub human: bool,
    /// Which kind of bot; `human` for people.
    pub family: String,
    /// Which recording it comes from.
    pub source: String,
    /// The person, under a pseudonym; empty when not known.
    pub user: String,
    /// How a bot's events are timed, or whatever else tells apart sessions of one family.
    pub variant: String,
}

/// Labels by session identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(HashMap<String, Label>);

/// Why a label file can't be used, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// It can't be opened.
    #[error("cannot open the labels {name}: {source}; check the path and its permissions")]
    Open {
        /// The file.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not CSV.
    #[error(
        "the labels {name} are not readable CSV: {source}; write one line a session with the same number of fields"
    )]
    Csv {
        /// The file.
        name: String,
        /// What the parser said.
        source: csv::Error,
    },
    /// A needed column is not there.
    #[error("the labels {name} have no column {column}; the first line must name sessionId and label")]
    Column {
        /// The file.
        name: String,
        /// The column.
        column: &'static str,
    },
    /// Neither human nor bot.
    #[error("line {line} of the labels {name} says {found:?}; label must be human or bot")]
    Value {
        /// The file.
        name: String,
        /// The line.
        line: u64,
        /// What stands there.
        found: String,
    },
    /// Two labels for one session that do not agree.
    #[error("line {line} of the labels {name} contradicts an earlier label of the session {session}; keep one of them")]
    Contradiction {
        /// The file.
        name: String,
        /// The line.
        line: u64,
        /// The session.
        session: String,
    },
}

impl Labels {
    /// Reads the files one after the other.
    ///
    /// # Errors
    /// [`LabelError`] naming the file, the line and the mend.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, LabelError> {
        let mut labels = Self::default();
        for path in paths {
            let name = path.as_ref().display().to_string();
            let file = std::fs::File::open(path).map_err(|source| LabelError::Open { name: name.clone(), source })?;
            labels.read(&name, file)?;
        }
        Ok(labels)
    }

    /// Adds the labels of one file; `name` is what errors call it.
    ///
    /// # Errors
    /// [`LabelError`].
    pub fn read(&mut self, name: &str, file: impl Read) -> Result<(), LabelError> {
        let csv_error = |source| LabelError::Csv { name: name.to_owned(), source };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
        let headers = reader.headers().map_err(csv_error)?.clone();
        let at = |column: &str| headers.iter().position(|h| h.trim_start_matches('\u{feff}') == column);
        let needed =
            |column: &'static str| at(column).ok_or_else(|| LabelError::Column { name: name.to_owned(), column });
        let (id, label) = (needed("sessionId")?, needed("label")?);
        let others = ["family", "source", "user", "variant"].map(at);
        for record in reader.records() {
            let record = record.map_err(csv_error)?;
            let line = record.position().map_or(0, csv::Position::line);
            let human = match &record[label] {
                "human" => true,
                "bot" => false,
                found => {
                    return Err(LabelError::Value { name: name.to_owned(), line, found: found.to_owned() });
                }
            };
            let [family, source, user, variant] =
                others.map(|at| at.and_then(|at| record.get(at)).unwrap_or_default().to_owned());
            let label = Label { human, family, source, user, variant };
            let session = record[id].to_owned();
            match self.0.get(&session) {
                Some(known) if *known != label => {
                    return Err(LabelError::Contradiction { name: name.to_owned(), line, session });
                }
                _ => {
                    self.0.insert(session, label);
                }
            }
        }
        Ok(())
    }

    /// What is known of the session, if anything.
    #[must_use]
    pub fn get(&self, session: &str) -> Option<&Label> {
        self.0.get(session)
    }

    /// Number of labelled sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Labels, LabelError> {
        let mut labels = Labels::default();
        labels.read("l.csv", text.as_bytes()).map(|()| labels)
    }

    #[test]
    fn columns_are_found_by_name_and_missing_ones_are_empty() {
        let labels = read("\u{feff}user,label,sessionId\nu1,human,a\n,bot, b \n").unwrap();
        assert_eq!((labels.get("a").unwrap().human, labels.get("a").unwrap().user.as_str()), (true, "u1"));
        assert!(!labels.get("b").unwrap().human && labels.get("b").unwrap().family.is_empty());
        assert!(labels.get("c").is_none());
    }

    #[test]
    fn faults_name_file_line_and_mend() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        assert!(message("id,label\n").contains("no column sessionId"));
        assert!(
            message("sessionId,label\na,human\nb,robot\n").starts_with("line 3 of the labels l.csv says \"robot\"")
        );
        assert!(message("sessionId,label\na,human\na,bot\n").starts_with("line 3 of the labels l.csv contradicts"));
        assert!(message("sessionId,label\na\n").contains("not readable CSV"));
    }
}
