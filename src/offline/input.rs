//! Lines of an NDJSON file, plain, gzip or zstd, or of standard input, in blocks of bounded size.
//!
//! It splits text into numbered lines and nothing more: it neither parses JSON nor checks UTF-8. Memory stays bounded
//! whatever the file holds, because a line over the limit is skipped without being kept.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest line that is read, in bytes, where nothing else is set.
pub const DEFAULT_LINE_LIMIT: usize = 2 << 20;
/// A block is full when it holds this many bytes; it may exceed that by one line.
const BLOCK_BYTES: usize = 256 << 10;
const READ_BUFFER: usize = 256 << 10;
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// Why a file could not be read, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// There is no such file, or it may not be read.
    #[error("cannot open {name}: {cause}; check the path and its permissions")]
    Open {
        /// The file.
        name: String,
        /// What the system said.
        cause: io::Error,
    },
    /// It is a folder.
    #[error("{name} is a folder; name a file of sessions, one JSON object a line")]
    Folder {
        /// The folder.
        name: String,
    },
    /// Reading stopped in the middle.
    #[error("cannot read {name} after line {line}: {cause}; the file may be damaged or cut short, get it again")]
    Read {
        /// The file.
        name: String,
        /// The last line that was read whole.
        line: u64,
        /// What the system or the decompressor said.
        cause: io::Error,
    },
}

/// One line as it stands in the file, without its line break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The line's bytes, not blank.
    Text(&'a [u8]),
    /// A line over the limit; its bytes were skipped.
    TooLong,
}

/// Consecutive lines, blank ones left out. Its buffers are kept from block to block.
#[derive(Debug, Default)]
pub struct Block {
    bytes: Vec<u8>,
    lines: Vec<(u64, Option<Range<usize>>)>,
}

impl Block {
    /// The lines in order, each with its number in the file, counted from 1 and counting blank lines.
    pub fn lines(&self) -> impl Iterator<Item = (u64, Line<'_>)> {
        self.lines.iter().map(|(number, range)| {
            (*number, range.as_ref().map_or(Line::TooLong, |range| Line::Text(&self.bytes[range.clone()])))
        })
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.lines.clear();
        // One block of very long lines must not hold on to its memory for the rest of the run.
        self.bytes.shrink_to(2 * BLOCK_BYTES + DEFAULT_LINE_LIMIT);
    }
}

/// How far a source has been read, seen from another thread.
#[derive(Clone, Debug)]
pub struct Progress {
    read: Arc<AtomicU64>,
    /// Bytes of the file as it lies on disk; `None` when that is not known, as for standard input.
    pub total: Option<u64>,
}

impl Progress {
    /// Bytes of the file taken so far, counted before decompression.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

/// A file of lines, opened.
pub struct Lines {
    name: String,
    reader: Box<dyn BufRead + Send>,
    limit: usize,
    number: u64,
    progress: Progress,
}

impl Lines {
    /// Opens `path`, or standard input for `-`. Compression is told by the first bytes, not by the name. A line of
    /// more than `limit` bytes will be reported as [`Line::TooLong`].
    ///
    /// # Errors
    /// [`InputError`] naming the file and the mend.
    pub fn open(path: &Path, limit: usize) -> Result<Self, InputError> {
        if path.as_os_str() == "-" {
            return Self::from_reader("standard input", None, io::stdin(), limit);
        }
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(|cause| InputError::Open { name: name.clone(), cause })?;
        if metadata.is_dir() {
            return Err(InputError::Folder { name });
        }
        let total = metadata.is_file().then_some(metadata.len());
        Self::from_reader(&name, total, file, limit)
    }

    /// Reads lines from `reader`; `name` is what errors call it, `total` its length before decompression.
    ///
    /// # Errors
    /// [`InputError::Read`] when not even the first bytes can be read.
    pub fn from_reader(
        name: &str,
        total: Option<u64>,
        reader: impl Read + Send + 'static,
        limit: usize,
    ) -> Result<Self, InputError> {
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: reader, read: Arc::clone(&read) };
        let reader =
            decompressed(counted).map_err(|cause| InputError::Read { name: name.to_owned(), line: 0, cause })?;
        Ok(Self { name: name.to_owned(), reader, limit, number: 0, progress: Progress { read, total } })
    }

    /// What errors call the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A view of how far reading got.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Fills `block` with the next lines; `false` at the end of the file. Where blocks end depends on the lines alone.
    ///
    /// # Errors
    /// [`InputError::Read`].
    pub fn next_block(&mut self, block: &mut Block) -> Result<bool, InputError> {
        block.clear();
        while block.bytes.len() < BLOCK_BYTES && block.lines.len() < BLOCK_BYTES {
            let more = self.next_line(block);
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(cause) => return Err(InputError::Read { name: self.name.clone(), line: self.number, cause }),
            }
        }
        Ok(!block.is_empty())
    }

    /// Appends one line, unless it is blank; `false` at the end of the file.
    fn next_line(&mut self, block: &mut Block) -> io::Result<bool> {
        let start = block.bytes.len();
        // The line break, the carriage return before it and the first line's mark do not count towards the limit.
        let slack = BYTE_ORDER_MARK.len() + 2;
        let most = self.limit as u64 + slack as u64;
        let taken = self.reader.by_ref().take(most).read_until(b'\n', &mut block.bytes)?;
        if taken == 0 {
            return Ok(false);
        }
        let ended = block.bytes.last() == Some(&b'\n');
        if !ended && taken as u64 == most {
            self.reader.skip_until(b'\n')?;
        }
        self.number += 1;

        let mut text = &block.bytes[start..];
        if self.number == 1 {
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        let from = block.bytes.len() - text.len();
        text = text.strip_suffix(b"\n").unwrap_or(text);
        text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() > self.limit {
            block.bytes.truncate(start);
            block.lines.push((self.number, None));
        } else if text.iter().all(u8::is_ascii_whitespace) {
            block.bytes.truncate(start);
        } else {
            let range = from..from + text.len();
            block.lines.push((self.number, Some(range)));
        }
        Ok(true)
    }
}

/// A reader of the text behind `reader`.
fn decompressed(mut reader: impl Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut head = Vec::with_capacity(ZSTD_MAGIC.len());
    reader.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut head)?;
    let (gzip, zstd) = (head.starts_with(GZIP_MAGIC), head == ZSTD_MAGIC);
    let whole = io::Cursor::new(head).chain(reader);
    Ok(if gzip {
        let file = BufReader::with_capacity(READ_BUFFER, whole);
        Box::new(BufReader::with_capacity(READ_BUFFER, flate2::bufread::MultiGzDecoder::new(file)))
    } else if zstd {
        let decoder = zstd::stream::read::Decoder::new(whole)?;
        Box::new(BufReader::with_capacity(READ_BUFFER, decoder))
    } else {
        Box::new(BufReader::with_capacity(READ_BUFFER, whole))
    })
}

/// Counts the bytes that pass.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.inner.read(buffer)?;
        self.read.fetch_add(taken as u64, Ordering::Relaxed);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(bytes: impl AsRef<[u8]>, limit: usize) -> Result<Vec<(u64, Option<String>)>, InputError> {
        let bytes = bytes.as_ref().to_vec();
        let mut lines = Lines::from_reader("test.ndjson", None, io::Cursor::new(bytes), limit)?;
        let (mut block, mut all) = (Block::default(), Vec::new());
        while lines.next_block(&mut block)? {
            all.extend(block.lines().map(|(number, line)| match line {
                Line::Text(text) => (number, Some(String::from_utf8(text.to_vec()).unwrap())),
                Line::TooLong => (number, None),
            }));
        }
        Ok(all)
    }

    fn text(number: u64, line: &str) -> (u64, Option<String>) {
        (number, Some(line.to_owned()))
    }

    #[test]
    fn blank_lines_are_left_out_but_counted() {
        let lines = read("\u{feff}a\r\n\n  \t\r\nb\n\nc", 10).unwrap();
        assert_eq!(lines, [text(1, "a"), text(4, "b"), text(6, "c")]);
        assert!(read("", 10).unwrap().is_empty());
        assert!(read("\n\n", 10).unwrap().is_empty());
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_and_its_neighbours_are_not() {
        let long = "x".repeat(READ_BUFFER * 2);
        let lines = read(format!("12345\n123456\r\n{long}\n1234\r\n{long}"), 5).unwrap();
        assert_eq!(lines, [text(1, "12345"), (2, None), (3, None), text(4, "1234"), (5, None)]);
    }

    #[test]
    fn a_skipped_line_takes_no_memory() {
        let endless = io::repeat(b'x').take(64 << 20).chain(io::Cursor::new(b"\nlast\n".to_vec()));
        let mut lines = Lines::from_reader("endless", None, endless, 1000).unwrap();
        let mut block = Block::default();
        assert!(lines.next_block(&mut block).unwrap());
        assert_eq!(block.lines().collect::<Vec<_>>(), [(1, Line::TooLong), (2, Line::Text(b"last"))]);
        assert!(block.bytes.capacity() < 1 << 20);
    }

    #[test]
    fn compression_is_told_by_content_and_parts_follow_each_other() {
        let plain = (0..50_000).map(|i| format!("line {i}\n")).collect::<Vec<_>>().concat();
        let expected = read(&plain, 100).unwrap();
        assert_eq!(expected.len(), 50_000);
        let (first, second) = plain.split_at(plain.len() / 3);

        let mut gzip = Vec::new();
        for part in [first, second] {
            let mut encoder = flate2::write::GzEncoder::new(&mut gzip, flate2::Compression::fast());
            encoder.write_all(part.as_bytes()).unwrap();
            encoder.finish().unwrap();
        }
        assert_eq!(read(&gzip, 100).unwrap(), expected);

        let zstd = [first, second].map(|part| zstd::encode_all(part.as_bytes(), 1).unwrap()).concat();
        assert_eq!(read(&zstd, 100).unwrap(), expected);
    }

    #[test]
    fn a_file_cut_short_is_an_error_that_names_it() {
        let whole = zstd::encode_all("line\n".repeat(100_000).as_bytes(), 1).unwrap();
        let error = read(&whole[..whole.len() - 3], 100).unwrap_err().to_string();
        assert!(error.starts_with("cannot read test.ndjson after line "), "{error}");
        let missing = Lines::open(Path::new("no/such.ndjson"), 10).err().unwrap().to_string();
        assert!(missing.starts_with("cannot open no/such.ndjson: "), "{missing}");
        let folder = Lines::open(Path::new("src"), 10).err().unwrap().to_string();
        assert!(folder.starts_with("src is a folder"), "{folder}");
    }

    #[test]
    fn progress_counts_the_bytes_of_the_file_not_of_its_text() {
        let packed = zstd::encode_all("line\n".repeat(100_000).as_bytes(), 1).unwrap();
        let size = packed.len() as u64;
        let mut lines = Lines::from_reader("packed", Some(size), io::Cursor::new(packed), 100).unwrap();
        let progress = lines.progress();
        let mut block = Block::default();
        while lines.next_block(&mut block).unwrap() {}
        assert_eq!((progress.read(), progress.total), (size, Some(size)));
    }
}
