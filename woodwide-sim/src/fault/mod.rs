//! Faults on demand: what can go wrong ([`Fault`]), how one is asked for ([`Spec`]), and which requests it strikes
//! ([`Faults`]). What a struck request then does is written where that part of the answer is made.

mod catalogue;

mod spec;

mod armed;

pub use armed::ArmedFault;
pub(crate) use armed::{Faults, Struck};
pub use catalogue::{KINDS, Kind};
pub use spec::{Spec, SpecError};

use crate::settings::Shape;

/// One fault with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    // the body of a good answer
    EmptyBody,
    WhitespaceBody,
    TruncatedJson,
    Html200,
    WrongContentType(String),
    WarmUp { rows: usize, age_ms: i64 },
    // refusals
    Credits,
    Unauthorized(Option<String>),
    Forbidden(Option<String>),
    RateLimit(RetryAfter),
    StatusBefore(u16),
    StatusAfter(u16),
    ConflictNotReady(Option<u64>),
    InferAsyncMissing(u16),
    ExplainMissing(u16),
    Results404,
    TooLarge(u64),
    Poison { column: Option<String>, value: String, status: u16 },
    RefuseAll(u16),
    // the transport
    Slow(u64),
    Dribble(u64),
    Reset,
    Hang,
    // the life of jobs
    IngestFailed(String),
    TrainFailed(String),
    InferFailed(String),
    JobStuck(String),
    JobCanceled,
    JobRejected,
    JobStatus(String),
    ProgressOdd(Progress),
    // signed addresses
    UrlExpired,
    Url403Once,
    UrlRedirect,
    UrlWrongLength,
    UrlGzip,
    // the shape of answers
    Shape(AnswerShape),
    Data(Data),
    // the content of results
    Ids(Ids),
    Rows(Rows),
    Scores { value: Odd, all: bool },
    Flags(bool),
    ScoreDrift(f64),
    ScoreJitter(f64),
    ModelVersionChanges,
    CsvBooleans(&'static [&'static str; 2]),
    CsvCrlf,
    CsvQuoted,
    CsvBom,
    CsvIdList,
}

/// How a 429 says when to come back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RetryAfter {
    /// Not at all.
    None,
    /// `Retry-After: 2`
    Seconds(f64),
    /// `Retry-After: 0.5`
    Fraction(f64),
    /// `Retry-After: Wed, 21 Oct 2026 07:28:00 GMT`
    Date(f64),
    /// `retry-after-ms: 500`
    Milliseconds(f64),
}

/// Odd values of a job's progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Backwards,
    Null,
    Over,
}

/// Which answers refer to things by a nested object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerShape {
    One(Shape),
    /// Datasets nested, everything else flat.
    Mixed,
}

/// How a JSON result holds its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    Columns,
    Rows,
    CsvText,
    /// The columns without the wrapper.
    Bare,
    /// A list of rows without the wrapper.
    BareRows,
}

/// What is wrong with the ids of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    Strings,
    Numbers,
    Shuffled,
    Missing,
    Duplicated,
    OutOfRange,
    Permuted,
    Shifted,
    Swapped,
    NullFilled,
}

/// What is wrong with the number of rows of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    Fewer,
    More,
    Truncated,
    Duplicated,
    NullFilled,
}

/// A score that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Odd {
    NaN,
    Infinity,
    Null,
    Huge,
    Negative,
    Text,
}
