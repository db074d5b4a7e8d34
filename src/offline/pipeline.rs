//! Blocks of lines spread over threads, their rows put back in order, in constant memory.
//!
//! A fixed number of parcels goes round: the reader fills one with lines, a worker adds the rows, the writer takes
//! them in the order of the file and hands the parcel back. Nothing else holds lines or rows, so memory does not
//! depend on the file, and the rows do not depend on the number of threads.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::input::{Block, InputError, Line, Lines};
use super::output::OutputError;
use super::table::{Rows, Table};
use crate::domain::session::{Bounds, Session};

/// What is done with each session; one worker per thread.
pub trait Worker {
    /// Adds the session's row, if it gives one.
    fn session(&mut self, session: &Session, rows: &mut Rows);
}

impl<F: FnMut(&Session, &mut Rows)> Worker for F {
    fn session(&mut self, session: &Session, rows: &mut Rows) {
        self(session, rows);
    }
}

/// What became of one block of lines.
pub struct Chunk {
    /// The rows of its sessions, in order.
    pub rows: Rows,
    /// Its refused lines, in order: number and what to mend.
    pub refused: Vec<(u64, String)>,
    sessions: u64,
}

/// What became of the whole file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sessions that gave a row.
    pub sessions: u64,
    /// Lines refused.
    pub refused: u64,
}

/// Why the run ended early.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Reading failed.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Writing failed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A worker panicked: a fault of this program.
    #[error("a session near line {line} broke the program; leave that line out and report it")]
    Broken {
        /// The first line of the block.
        line: u64,
    },
}

struct Parcel {
    number: u64,
    block: Block,
    chunk: Chunk,
}

/// Reads `lines` to the end, gives every session to a worker, and every chunk, in the order of the file, to `take`.
///
/// # Errors
/// [`PipelineError`]; chunks before the fault may have been taken.
pub fn run<W: Worker>(
    lines: &mut Lines,
    threads: NonZeroUsize,
    limit: usize,
    table: &Arc<Table>,
    new_worker: impl Fn() -> W + Sync,
    mut take: impl FnMut(&Chunk) -> Result<(), OutputError>,
) -> Result<Totals, PipelineError> {
    let (free, free_parcels) = mpsc::channel();
    let (fill, filled) = mpsc::channel();
    let (done, done_parcels) = mpsc::channel();
    for _ in 0..2 * threads.get() + 2 {
        let chunk = Chunk { rows: Rows::new(table), refused: Vec::new(), sessions: 0 };
        // The receiver is in scope, so sending cannot fail.
        let _ = free.send(Parcel { number: 0, block: Block::default(), chunk });
    }
    let filled = Mutex::new(filled);
    thread::scope(|scope| {
        let reader = scope.spawn(move || read(lines, &free_parcels, &fill));
        for _ in 0..threads.get() {
            let (filled, new_worker, done) = (&filled, &new_worker, done.clone());
            scope.spawn(move || work(filled, new_worker(), limit, &done));
        }
        drop(done);
        let written = write(&done_parcels, free, &mut take);
        drop(done_parcels);
        // A thread that panicked makes the scope panic: that is a fault no message can mend.
        let read = reader.join().unwrap_or(Ok(()));
        read.map_err(PipelineError::from).and(written)
    })
}

fn read(lines: &mut Lines, free: &Receiver<Parcel>, fill: &Sender<Parcel>) -> Result<(), InputError> {
    let mut number = 0;
    // The writer hangs up when it fails; then there is nothing left to read for.
    while let Ok(mut parcel) = free.recv() {
        if !lines.next_block(&mut parcel.block)? {
            break;
        }
        parcel.number = number;
        number += 1;
        if fill.send(parcel).is_err() {
            break;
        }
    }
    Ok(())
}

fn work<W: Worker>(
    filled: &Mutex<Receiver<Parcel>>,
    mut worker: W,
    limit: usize,
    done: &Sender<Result<Parcel, PipelineError>>,
) {
    let mut session = Session::default();
    loop {
        let next = filled.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut parcel) = next else { return };
        let line = parcel.block.lines().next().map_or(0, |(number, _)| number);
        let handled = catch_unwind(AssertUnwindSafe(|| {
            handle(&parcel.block, &mut parcel.chunk, &mut session, &mut worker, limit);
        }));
        // Without this answer the writer would wait for the block for ever.
        let answer = handled.map(|()| parcel).map_err(|_| PipelineError::Broken { line });
        if done.send(answer).is_err() {
            return;
        }
    }
}

fn handle(block: &Block, chunk: &mut Chunk, session: &mut Session, worker: &mut impl Worker, limit: usize) {
    let bounds = Bounds::default();
    for (number, line) in block.lines() {
        let refusal = match line {
            Line::TooLong => Some(format!("line is longer than {limit} bytes; split the session")),
            Line::Text(text) => session.parse_into(text, &bounds).err().map(|refusal| refusal.to_string()),
        };
        if let Some(refusal) = refusal {
            chunk.refused.push((number, refusal));
        } else {
            worker.session(session, &mut chunk.rows);
            chunk.sessions += 1;
        }
    }
}

fn write(
    done: &Receiver<Result<Parcel, PipelineError>>,
    free: Sender<Parcel>,
    take: &mut impl FnMut(&Chunk) -> Result<(), OutputError>,
) -> Result<Totals, PipelineError> {
    let mut totals = Totals::default();
    let mut early = BTreeMap::new();
    let mut next = 0;
    for parcel in done {
        let parcel = parcel?;
        early.insert(parcel.number, parcel);
        while let Some(mut parcel) = early.remove(&next) {
            next += 1;
            take(&parcel.chunk)?;
            totals.sessions += parcel.chunk.sessions;
            totals.refused += parcel.chunk.refused.len() as u64;
            parcel.chunk.rows.clear();
            parcel.chunk.refused.clear();
            parcel.chunk.sessions = 0;
            // At the end of the file nobody takes parcels any more.
            let _ = free.send(parcel);
        }
    }
    drop(free);
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::{self, Read as _};

    use super::super::input::DEFAULT_LINE_LIMIT;
    use super::super::table::{Format, Kind, Quote};
    use super::*;

    fn table() -> Arc<Table> {
        Arc::new(Table { columns: vec![("id", Kind::Text)], format: Format::Csv, quote: Quote::Needed })
    }

    fn ids(session: &Session, rows: &mut Rows) {
        rows.text(session.id.as_str());
        rows.end_row();
    }

    fn file(sessions: usize) -> Lines {
        let mut text = String::new();
        for i in 0..sessions {
            let movement = r#"{"x":1,"y":2,"timestamp":3}"#;
            let moves = [movement].repeat(1 + i % 60).join(",");
            writeln!(text, "{{\"sessionId\":\"s{i}\",\"movements\":[{moves}]}}").unwrap();
            if i % 100 == 50 {
                text += "{\"sessionId\":\"bad\",\"movements\":[{\"x\":true}]}\n\n";
            }
        }
        Lines::from_reader("sessions", None, io::Cursor::new(text.into_bytes()), DEFAULT_LINE_LIMIT).unwrap()
    }

    #[test]
    fn rows_and_refusals_keep_the_order_of_the_file_for_any_number_of_threads() {
        let expected = (0..5000).map(|i| format!("s{i}\n")).collect::<Vec<_>>().concat();
        for threads in [1, 2, 7] {
            let (mut text, mut refused) = (Vec::new(), Vec::new());
            let totals = run(
                &mut file(5000),
                NonZeroUsize::new(threads).unwrap(),
                DEFAULT_LINE_LIMIT,
                &table(),
                || ids,
                |chunk| {
                    text.extend_from_slice(&chunk.rows.bytes);
                    refused.extend(chunk.refused.clone());
                    Ok(())
                },
            );
            assert_eq!(totals.unwrap(), Totals { sessions: 5000, refused: 50 });
            assert!(text == expected.as_bytes());
            assert_eq!(refused[1], (154, "movements[0].x must be a number, not a boolean".to_owned()));
            assert!(refused.is_sorted());
        }
    }

    #[test]
    fn a_fault_on_any_side_ends_the_run_with_its_error() {
        let two = NonZeroUsize::new(2).unwrap();
        let full =
            |_: &Chunk| Err(OutputError::Write { name: "out".to_owned(), cause: io::Error::other("no space left") });
        let error = run(&mut file(20_000), two, DEFAULT_LINE_LIMIT, &table(), || ids, full).unwrap_err();
        assert!(matches!(error, PipelineError::Output(_)));

        let broken = || |session: &Session, _: &mut Rows| assert_ne!(session.id.as_str(), "s777", "on purpose");
        let error = run(&mut file(20_000), two, DEFAULT_LINE_LIMIT, &table(), broken, |_| Ok(())).unwrap_err();
        assert!(matches!(error, PipelineError::Broken { .. }), "{error}");

        let torn = zstd::encode_all(io::repeat(b'\n').take(1 << 20).chain(&b"{}\n"[..]), 1).unwrap();
        let torn = io::Cursor::new(torn[..torn.len() - 2].to_vec());
        let mut lines = Lines::from_reader("torn", None, torn, DEFAULT_LINE_LIMIT).unwrap();
        let error = run(&mut lines, two, DEFAULT_LINE_LIMIT, &table(), || ids, |_| Ok(())).unwrap_err();
        assert!(matches!(error, PipelineError::Input(_)));
    }
}
