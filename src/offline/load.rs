//! Every session of some files, each handed to a function: for commands that look at all sessions more than once.

use std::path::PathBuf;

use rayon::prelude::*;

use super::input::{Block, DEFAULT_LINE_LIMIT, InputError, Line, Lines, Progress};
use crate::domain::session::{Bounds, Session};

/// Applies `work` to every session, on every core, and gives the results in the order of the files. Each thread has a
/// state of its own, made by `state`. Refused lines go to `refused` as a sentence that names file, line and field;
/// `opened` gets a view of the progress of each file.
///
/// # Errors
/// [`InputError`] when a file cannot be read to its end.
pub fn each<S, T: Send>(
    paths: &[PathBuf],
    state: impl Fn() -> S + Sync + Send,
    work: impl Fn(&mut S, Session) -> Option<T> + Sync + Send,
    mut refused: impl FnMut(String),
    mut advanced: impl FnMut(&Progress),
) -> Result<Vec<T>, InputError> {
    let bounds = Bounds::default();
    let mut results = Vec::new();
    for path in paths {
        let mut lines = Lines::open(path, DEFAULT_LINE_LIMIT)?;
        let (name, progress) = (lines.name().to_owned(), lines.progress());
        let mut block = Block::default();
        while lines.next_block(&mut block)? {
            let texts: Vec<(u64, Line<'_>)> = block.lines().collect();
            let parsed: Vec<Result<Option<T>, String>> = texts
                .par_iter()
                .map_init(&state, |state, (number, line)| match line {
                    Line::TooLong => Err(format!(
                        "{name}:{number}: line is longer than {DEFAULT_LINE_LIMIT} bytes; split the session"
                    )),
                    Line::Text(text) => Session::parse(text, &bounds)
                        .map(|session| work(state, session))
                        .map_err(|refusal| format!("{name}:{number}: {refusal}")),
                })
                .collect();
            for result in parsed {
                match result {
                    Ok(result) => results.extend(result),
                    Err(sentence) => refused(sentence),
                }
            }
            advanced(&progress);
        }
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_and_refusals_name_file_line_and_field() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.ndjson");
        let good = |id: u32| format!(r#"{{"sessionId":"s{id}","movements":[{{"x":1,"y":2,"timestamp":3}}]}}"#);
        std::fs::write(&path, format!("{}\n{{\"sessionId\":7}}\n{}\n", good(1), good(2))).unwrap();
        let mut refused = Vec::new();
        let paths = [path.clone(), path];
        let ids = each(&paths, || (), |(), s| Some(s.id.as_str().to_owned()), |r| refused.push(r), |_| ()).unwrap();
        assert_eq!(ids, ["s1", "s2", "s1", "s2"]);
        assert_eq!(refused.len(), 2);
        assert!(refused[0].contains("s.ndjson:2: sessionId must be a string"), "{}", refused[0]);
    }
}
