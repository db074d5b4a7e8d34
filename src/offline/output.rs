//! Where rows go: a file that appears whole or not at all, or standard output.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::parquet::GroupWriter;
use super::table::{Format, Rows, Table};

/// Why rows could not be written, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The name says no format.
    #[error("cannot tell the format of {name}; let it end in .csv, .ndjson or .parquet, or name one with --format")]
    Format {
        /// The file.
        name: String,
    },
    /// The file cannot be made.
    #[error("cannot create {name}: {cause}; check that the folder exists and may be written")]
    Create {
        /// The file.
        name: String,
        /// What the system said.
        cause: io::Error,
    },
    /// Whoever reads the rows has stopped.
    #[error("{name} was closed by its reader before the last row")]
    Closed {
        /// The file.
        name: String,
    },
    /// Writing failed.
    #[error("cannot write {name}: {cause}; check the space left, nothing was kept of this run")]
    Write {
        /// The file.
        name: String,
        /// What the system said.
        cause: io::Error,
    },
}

fn fault(name: String, cause: io::Error) -> OutputError {
    if cause.kind() == io::ErrorKind::BrokenPipe {
        return OutputError::Closed { name };
    }
    OutputError::Write { name, cause }
}

/// The format that the name of `path` asks for; standard output (`-`) is CSV.
///
/// # Errors
/// [`OutputError::Format`] when the name ends in none that we write.
pub fn format_of(path: &Path) -> Result<Format, OutputError> {
    if path.as_os_str() == "-" {
        return Ok(Format::Csv);
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension.as_str() {
        "csv" => Ok(Format::Csv),
        "ndjson" | "jsonl" => Ok(Format::Ndjson),
        "parquet" => Ok(Format::Parquet),
        _ => Err(OutputError::Format { name: path.display().to_string() }),
    }
}

/// A table being written.
pub struct Output {
    name: String,
    sink: Sink,
}

enum Sink {
    Text(Destination),
    Parquet(Box<GroupWriter<Destination>>),
}

impl Output {
    /// Starts `table` at `path`, `-` being standard output. Nothing is at `path` until [`Output::finish`]; what was
    /// there before stays until then.
    ///
    /// # Errors
    /// [`OutputError`] naming the file and the mend.
    pub fn create(path: &Path, table: &Table) -> Result<Self, OutputError> {
        let name = if path.as_os_str() == "-" { "standard output".to_owned() } else { path.display().to_string() };
        let mut destination =
            Destination::open(path).map_err(|cause| OutputError::Create { name: name.clone(), cause })?;
        let sink = if table.format == Format::Parquet {
            GroupWriter::new(table, destination).map(|writer| Sink::Parquet(Box::new(writer))).map_err(io::Error::other)
        } else {
            destination.write_all(table.header().as_bytes()).map(|()| Sink::Text(destination))
        };
        match sink {
            Ok(sink) => Ok(Self { name, sink }),
            Err(cause) => Err(fault(name, cause)),
        }
    }

    /// Appends rows of the table that the output was created for.
    ///
    /// # Errors
    /// [`OutputError::Write`].
    pub fn write(&mut self, rows: &Rows) -> Result<(), OutputError> {
        let written = match &mut self.sink {
            Sink::Text(destination) => destination.write_all(&rows.bytes),
            Sink::Parquet(writer) => writer.write(rows).map_err(io::Error::other),
        };
        written.map_err(|cause| fault(self.name.clone(), cause))
    }

    /// The file that holds the rows until then; a process that ends before has to remove it. `None` for a stream.
    #[must_use]
    pub fn unfinished(&self) -> Option<&Path> {
        match &self.sink {
            Sink::Text(destination) => destination.unfinished(),
            Sink::Parquet(writer) => writer.inner().unfinished(),
        }
    }

    /// Puts the whole file in its place, durably.
    ///
    /// # Errors
    /// [`OutputError::Write`]; then nothing is left of this run.
    pub fn finish(self) -> Result<(), OutputError> {
        let destination = match self.sink {
            Sink::Text(destination) => Ok(destination),
            Sink::Parquet(writer) => writer.finish().map_err(io::Error::other),
        };
        let finished = destination.and_then(Destination::keep);
        finished.map_err(|cause| fault(self.name, cause))
    }
}

enum Destination {
    /// Standard output, a pipe or a device: written as it comes.
    Stream(Box<dyn Write + Send>),
    /// A file beside the one to write, renamed at the end.
    Replacing(NamedTempFile, PathBuf),
}

impl Destination {
    fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stream(Box::new(io::stdout())));
        }
        // The file behind a link is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => return Err(io::Error::other("it is a folder")),
            Ok(found) if !found.is_file() => {
                return Ok(Self::Stream(Box::new(File::options().write(true).open(&path)?)));
            }
            _ => {}
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".playproof-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any new file: the umask takes its part.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        Ok(Self::Replacing(builder.tempfile_in(folder)?, path))
    }

    fn unfinished(&self) -> Option<&Path> {
        match self {
            Self::Stream(_) => None,
            Self::Replacing(file, _) => Some(file.path()),
        }
    }

    fn keep(self) -> io::Result<()> {
        match self {
            Self::Stream(mut stream) => stream.flush(),
            Self::Replacing(file, path) => {
                file.as_file().sync_all()?;
                file.persist(path).map(drop).map_err(|error| error.error)
            }
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(stream) => stream.write(bytes),
            Self::Replacing(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.flush(),
            Self::Replacing(file, _) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::table::{Kind, Quote};
    use super::*;

    fn table(format: Format) -> Arc<Table> {
        Arc::new(Table { columns: vec![("value", Kind::Number)], format, quote: Quote::Needed })
    }

    fn one_row(table: &Arc<Table>) -> Rows {
        let mut rows = Rows::new(table);
        rows.number(1.5);
        rows.end_row();
        rows
    }

    #[test]
    fn a_run_that_fails_leaves_what_was_there_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        for format in [Format::Csv, Format::Parquet] {
            let path = folder.path().join("out");
            fs::write(&path, "before").unwrap();
            let table = table(format);
            let mut output = Output::create(&path, &table).unwrap();
            output.write(&one_row(&table)).unwrap();
            drop(output);
            assert_eq!(fs::read_to_string(&path).unwrap(), "before");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_finished_run_replaces_the_file_even_behind_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("out.csv"), folder.path().join("link.csv"));
        fs::write(&path, "before").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let table = table(Format::Csv);
        let mut output = Output::create(&link, &table).unwrap();
        output.write(&one_row(&table)).unwrap();
        output.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "value\n1.5\n");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn the_name_says_the_format() {
        let format = |name: &str| format_of(Path::new(name)).ok();
        assert_eq!(
            ["-", "a.csv", "b.NDJSON", "c.parquet"].map(format),
            [Some(Format::Csv), Some(Format::Csv), Some(Format::Ndjson), Some(Format::Parquet)]
        );
        assert_eq!(format("d.txt"), None);
        let error = Output::create(Path::new("no/such/folder/a.csv"), &table(Format::Csv)).err().unwrap();
        assert!(error.to_string().starts_with("cannot create no/such/folder/a.csv: "), "{error}");
    }
}
