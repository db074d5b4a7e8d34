//! Every kind of fault: its name, its arguments, what it does, which routes it strikes when none are named, and how
//! its arguments are read.

use super::{AnswerShape, Data, Fault, Ids, Odd, Progress, RetryAfter, Rows};
use crate::duration::parse_millis;
use crate::settings::Shape;

/// A kind of fault.
#[derive(Debug)]
pub struct Kind {
    /// The name in a spec.
    pub name: &'static str,
    /// The arguments after `=`; optional ones in brackets.
    pub args: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// The routes or groups of routes it can strike, and does when the spec names none.
    pub routes: &'static str,
    pub(super) parse: fn(&Args<'_>) -> Result<Fault, String>,
}

/// The arguments of a spec.
pub(super) struct Args<'a>(pub(super) &'a [String]);

impl Args<'_> {
    fn get(&self, at: usize) -> Option<&str> {
        self.0.get(at).map(String::as_str)
    }

    fn text(&self, at: usize, default: &str) -> String {
        self.get(at).unwrap_or(default).to_owned()
    }

    fn number<T: std::str::FromStr>(&self, at: usize, default: T) -> Result<T, String> {
        self.get(at).map_or(Ok(default), |text| text.parse().map_err(|_| format!("{text:?} is not a fitting number")))
    }

    fn millis(&self, at: usize, default: u64) -> Result<u64, String> {
        self.get(at).map_or(Ok(default), parse_millis)
    }

    fn choice<T: Copy>(&self, at: usize, default: Option<T>, of: &[(&str, T)]) -> Result<T, String> {
        let Some(text) = self.get(at) else {
            return default.ok_or_else(|| format!("an argument is missing: one of {}", names(of)));
        };
        let found = of.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| *value).ok_or_else(|| format!("{text:?} is none of {}", names(of)))
    }

    fn status(&self, at: usize, default: u16) -> Result<u16, String> {
        let status = self.number(at, default)?;
        if (400..600).contains(&status) { Ok(status) } else { Err(format!("{status} is not a status of 400 to 599")) }
    }
}

fn names<T>(of: &[(&str, T)]) -> String {
    of.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

macro_rules! kinds {
    ($($name:literal $args:literal @ $routes:literal: $meaning:literal => $parse:expr;)*) => {
        /// Every kind of fault, in the order of `--fault list`.
        pub static KINDS: &[Kind] = &[$(Kind { name: $name, args: $args, meaning: $meaning, routes: $routes, parse: $parse }),*];
    };
}

kinds! {
    // the body of a good answer
    "empty-body" "" @ "any": "a good answer loses its body" => |_| Ok(Fault::EmptyBody);
    "whitespace-body" "" @ "any": "a good answer has a body of white space only" => |_| Ok(Fault::WhitespaceBody);
    "truncated-json" "" @ "any": "a good answer ends in the middle of its body, with a fitting length" => |_| Ok(Fault::TruncatedJson);
    "html-200" "" @ "any": "a page of HTML with status 200 in place of a good answer" => |_| Ok(Fault::Html200);
    "wrong-content-type" "[TYPE]" @ "any": "another content type (text/plain), same body" => |a| Ok(Fault::WrongContentType(a.text(0, "text/plain")));
    "warm-up" "[ROWS[,AGE]]" @ "infer,infer-batch,beta-infer": "an empty body for fewer than ROWS (100) rows, or first seen less than AGE (0s) ago" => |a| {
        Ok(Fault::WarmUp { rows: a.number(0, 100)?, age_ms: i64::try_from(a.millis(1, 0)?).unwrap_or(i64::MAX) })
    };

    // refusals
    "credits" "COUNT" @ "charged": "402 after COUNT calls that cost credits; wwai_credits counts down" => |a| {
        a.get(0).ok_or("the number of credits is missing")?;
        a.number::<u64>(0, 0).map(|_| Fault::Credits)
    };
    "unauthorized" "[KEY]" @ "authorized": "401 for the key of this label or secret, or for all" => |a| Ok(Fault::Unauthorized(a.get(0).map(str::to_owned)));
    "forbidden" "[KEY]" @ "authorized": "403 for the key of this label or secret, or for all" => |a| Ok(Fault::Forbidden(a.get(0).map(str::to_owned)));
    "rate-limit" "[seconds|fraction|date|ms|none[,SECONDS]]" @ "authorized": "429 with that form of Retry-After" => |a| {
        let seconds = a.number(1, if a.get(0) == Some("fraction") { 0.5 } else { 1.0 })?;
        let of = [("seconds", RetryAfter::Seconds(seconds)), ("fraction", RetryAfter::Fraction(seconds)), ("date", RetryAfter::Date(seconds)),
            ("ms", RetryAfter::Milliseconds(seconds)), ("none", RetryAfter::None)];
        a.choice(0, Some(RetryAfter::Seconds(seconds)), &of).map(Fault::RateLimit)
    };
    "status-before" "[STATUS]" @ "any": "an error (500) in place of the work" => |a| a.status(0, 500).map(Fault::StatusBefore);
    "status-after" "[STATUS]" @ "any": "an error (500) although the work was done" => |a| a.status(0, 500).map(Fault::StatusAfter);
    "conflict-not-ready" "[COUNT]" @ "train,retrain-model,infer-batch": "409 `No ready dataset version found`, COUNT times for each version or for ever" => |a| {
        a.get(0).map_or(Ok(None), |_| a.number(0, 0).map(Some)).map(Fault::ConflictNotReady)
    };
    "infer-async-missing" "[404|405|501]" @ "infer-async": "the route does not exist" => |a| a.status(0, 404).map(Fault::InferAsyncMissing);
    "explain-missing" "[404|405|501]" @ "explain": "the route does not exist" => |a| a.status(0, 404).map(Fault::ExplainMissing);
    "results-404" "" @ "results,result-rows": "404 for the results of a job that succeeded" => |_| Ok(Fault::Results404);
    "too-large" "BYTES" @ "create-dataset,infer,infer-async,beta-upload": "413 for a file of more than BYTES" => |a| {
        a.get(0).ok_or("the number of bytes is missing")?;
        a.number(0, 0).map(Fault::TooLarge)
    };
    "poison" "COLUMN:VALUE|row:DIGEST[,STATUS]" @ "inference": "STATUS (422) when the input holds that row" => |a| {
        let (column, value) = a.get(0).and_then(|text| text.split_once(':')).ok_or("COLUMN:VALUE or row:DIGEST is missing")?;
        let status = a.status(1, 422)?;
        Ok(Fault::Poison { column: (column != "row").then(|| column.to_owned()), value: value.to_owned(), status })
    };
    "refuse-all" "[STATUS]" @ "inference": "STATUS (422) for every input" => |a| a.status(0, 422).map(Fault::RefuseAll);

    // the transport
    "slow" "[TIME]" @ "any": "the work starts TIME (2s) late" => |a| a.millis(0, 2000).map(Fault::Slow);
    "dribble" "[TIME]" @ "any": "the body comes byte by byte, TIME (20ms) apart" => |a| a.millis(0, 20).map(Fault::Dribble);
    "reset" "" @ "any": "the connection breaks in the middle of the body" => |_| Ok(Fault::Reset);
    "hang" "" @ "any": "the request is read and never answered" => |_| Ok(Fault::Hang);

    // the life of jobs
    "ingest-failed" "[MESSAGE]" @ "create-dataset,complete-upload,beta-upload": "the ingest fails" => |a| Ok(Fault::IngestFailed(a.text(0, "the file could not be read")));
    "train-failed" "[MESSAGE]" @ "train,retrain-model,beta-train": "the training fails" => |a| Ok(Fault::TrainFailed(a.text(0, "the size of tensor a must match the size of tensor b")));
    "infer-failed" "[MESSAGE]" @ "infer-async,infer-batch": "the inference job fails" => |a| Ok(Fault::InferFailed(a.text(0, "the worker ran out of memory")));
    "job-stuck" "[queued|running|...]" @ "jobs": "the job started by the request stays in that status (running)" => |a| Ok(Fault::JobStuck(a.text(0, "running")));
    "job-canceled" "" @ "jobs": "the job started by the request ends canceled" => |_| Ok(Fault::JobCanceled);
    "job-rejected" "" @ "jobs": "the job started by the request ends rejected" => |_| Ok(Fault::JobRejected);
    "job-status" "STATUS" @ "jobs": "the job started by the request shows that status for ever" => |a| Ok(Fault::JobStatus(a.get(0).ok_or("the status is missing")?.to_owned()));
    "progress-odd" "backwards|null|over" @ "get-job": "an odd progress" => |a| {
        a.choice(0, Some(Progress::Backwards), &[("backwards", Progress::Backwards), ("null", Progress::Null), ("over", Progress::Over)]).map(Fault::ProgressOdd)
    };

    // signed addresses
    "url-expired" "" @ "signed": "403 as for an expired signature" => |_| Ok(Fault::UrlExpired);
    "url-403-once" "" @ "signed": "403 for the first use of each address" => |_| Ok(Fault::Url403Once);
    "url-redirect" "" @ "get-object": "302 to another address of the same content" => |_| Ok(Fault::UrlRedirect);
    "url-wrong-length" "" @ "get-object": "a Content-Length beyond the body, which then ends early" => |_| Ok(Fault::UrlWrongLength);
    "url-gzip" "" @ "get-object": "the content comes gzip-encoded, asked for or not" => |_| Ok(Fault::UrlGzip);

    // the shape of answers
    "shape" "nested|flat|both|mixed" @ "ga": "how answers refer to things; mixed: datasets nested, the rest flat" => |a| {
        let of = [("nested", AnswerShape::One(Shape::Nested)), ("flat", AnswerShape::One(Shape::Flat)), ("both", AnswerShape::One(Shape::Both)), ("mixed", AnswerShape::Mixed)];
        a.choice(0, None, &of).map(Fault::Shape)
    };
    "data" "columns|rows|csv-text|bare|bare-rows" @ "inference": "how a JSON result holds its rows" => |a| {
        let of = [("columns", Data::Columns), ("rows", Data::Rows), ("csv-text", Data::CsvText), ("bare", Data::Bare), ("bare-rows", Data::BareRows)];
        a.choice(0, None, &of).map(Fault::Data)
    };

    // the content of results
    "ids" "strings|numbers|shuffled|missing|duplicated|out-of-range|permuted|shifted|swapped|null-filled" @ "inference": "wrong or odd ids; permuted, shifted, swapped: wrong scores under right ids" => |a| {
        let of = [("strings", Ids::Strings), ("numbers", Ids::Numbers), ("shuffled", Ids::Shuffled), ("missing", Ids::Missing), ("duplicated", Ids::Duplicated),
            ("out-of-range", Ids::OutOfRange), ("permuted", Ids::Permuted), ("shifted", Ids::Shifted), ("swapped", Ids::Swapped), ("null-filled", Ids::NullFilled)];
        a.choice(0, None, &of).map(Fault::Ids)
    };
    "rows" "fewer|more|truncated|duplicated|null-filled" @ "inference": "another number of rows than was sent, half of them, one twice, or half without values" => |a| {
        let of = [("fewer", Rows::Fewer), ("more", Rows::More), ("truncated", Rows::Truncated), ("duplicated", Rows::Duplicated), ("null-filled", Rows::NullFilled)];
        a.choice(0, None, &of).map(Fault::Rows)
    };
    "scores" "nan|inf|null|1e308|negative|text[,one|all]" @ "inference": "a score that is none, in one row or in all" => |a| {
        let of = [("nan", Odd::NaN), ("inf", Odd::Infinity), ("null", Odd::Null), ("1e308", Odd::Huge), ("negative", Odd::Negative), ("text", Odd::Text)];
        Ok(Fault::Scores { value: a.choice(0, None, &of)?, all: a.choice(1, Some(false), &[("one", false), ("all", true)])? })
    };
    "flags" "all|none" @ "inference": "every row or no row is flagged" => |a| a.choice(0, None, &[("all", true), ("none", false)]).map(Fault::Flags);
    "score-drift" "[STEP]" @ "inference": "the scores of each struck call lie STEP (0.01) above those of the one before" => |a| a.number(0, 0.01).map(Fault::ScoreDrift);
    "score-jitter" "[SIZE]" @ "inference": "scores are off by up to SIZE (1e-5) of themselves, otherwise in tables of another size (in steps of 64 rows), as by the arithmetic of large machines" => |a| a.number(0, 1e-5).map(Fault::ScoreJitter);
    "model-version-changes" "" @ "inference": "a call without a pinned version meets a new version of the model" => |_| Ok(Fault::ModelVersionChanges);
    "csv-booleans" "true|True|TRUE|1|t|yes" @ "inference": "how flags are spelt in CSV" => |a| {
        let of = [("true", &["false", "true"]), ("True", &["False", "True"]), ("TRUE", &["FALSE", "TRUE"]), ("1", &["0", "1"]), ("t", &["f", "t"]), ("yes", &["no", "yes"])];
        a.choice(0, None, &of).map(Fault::CsvBooleans)
    };
    "csv-crlf" "" @ "inference": "lines of CSV end with CR LF" => |_| Ok(Fault::CsvCrlf);
    "csv-quoted" "" @ "inference": "every field of CSV is quoted" => |_| Ok(Fault::CsvQuoted);
    "csv-bom" "" @ "inference": "CSV starts with a byte order mark" => |_| Ok(Fault::CsvBom);
    "csv-id-list" "" @ "inference": "ids_only in CSV is one line that holds a list" => |_| Ok(Fault::CsvIdList);
}
