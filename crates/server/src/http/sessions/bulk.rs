//! `POST /api/v1/batch/sessions`: any number of sessions as NDJSON, one answer per line, in order.
//!
//! Lines are submitted many at a time, so that the store commits them in groups, and answered in the order they came,
//! each after it is durable. Answers go through a [`spool`], so that a client may send everything before it reads
//! anything. What is in memory is bounded: lines in flight by number and bytes, unread answers by the spool.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use crate::access::rights::Access;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::http::extract::body;
use crate::http::extract::caller::Ingester;
use crate::http::extract::query::Params;
use crate::http::respond::answer::Answer;
use crate::http::respond::error::{ApiError, Code, ErrorBody};
use crate::http::respond::refusals::{BulkBusy, RateLimited, WrongBodyType, WrongQuery};
use crate::http::respond::shapes::NoteBody;
use crate::http::respond::{raw, shapes};
use crate::http::sessions::lines::{Line, Lines};
use crate::http::sessions::score::SessionSchema;
use crate::http::state::Shared;
use crate::intake::{Receipt, Sender, Submission, SubmitError};
use crate::metrics::Received;
use crate::spool::{self, SpoolError, Writer};

/// Most lines in flight to the store.
const IN_FLIGHT: usize = 256;
/// Most bytes of lines in flight; one line always fits.
const IN_FLIGHT_BYTES: usize = 8 << 20;
/// Answers are handed on in pieces of about this size.
const CHUNK_BYTES: usize = 16 << 10;
/// How long a draining server reads on, so that the client is not cut off while it writes.
const DRAIN: Duration = Duration::from_secs(2);

/// Which answers to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Report {
    /// One per line.
    #[default]
    All,
    /// Those of refused lines, and the summary.
    Refused,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct BulkQuery {
    /// `refused` sends the answers of refused lines and the summary only.
    #[serde(default)]
    #[param(inline)]
    report: Report,
}

/// The answer to one line.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LineAnswer {
    /// Counted from 1, blank lines included.
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionText>,
    /// accepted, duplicate or refused.
    #[schema(example = "accepted")]
    outcome: &'static str,
    /// queued, processed or failed; absent when refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// What was done so that the session could be taken; absent where nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    notes: Vec<NoteBody>,
    /// error, message, code and details; present when refused.
    #[serde(flatten)]
    refusal: Option<ErrorBody>,
}

/// A session's identifier as a string.
#[derive(Debug, ToSchema)]
#[schema(value_type = String)]
struct SessionText(SessionId);

impl Serialize for SessionText {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.as_str())
    }
}

/// The last line.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub(crate) struct SummaryLine {
    summary: Summary,
}

/// What each line of the answer is.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents what is answered; none is ever made")]
pub(crate) enum BulkAnswer {
    Line(LineAnswer),
    Summary(SummaryLine),
}

/// How many lines had which outcome.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
struct Summary {
    accepted: u64,
    duplicate: u64,
    refused: u64,
}

/// Queues many sessions.
///
/// The body is one session per line, of any length in total; each implies `useBatch`. The answer is one JSON object per
/// line in the same order, each sent after its session is durable, and a last line with the summary. Blank lines are
/// skipped. Once the queue is full, the line that found it so and the rest are refused with `queue_full`. A stream
/// without the summary line broke off: send the lines that were not answered again. A client may send everything before
/// it reads: unread answers wait on disk; beyond that room the rest is refused with one line of code `answers_unread`.
#[utoipa::path(
    post, path = "/api/v1/batch/sessions", operation_id = "submitSessions", tag = "sessions", params(BulkQuery),
    request_body(content = SessionSchema, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "One LineAnswer per line, then one SummaryLine",
            content((inline(BulkAnswer) = "application/x-ndjson"))),
        Ingester, WrongBodyType, WrongQuery, RateLimited, BulkBusy,
    )
)]
pub(crate) async fn submit(
    Ingester { service, access }: Ingester,
    Params(query): Params<BulkQuery>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    body::check_type(&headers, is_ndjson, "application/x-ndjson, one session a line,")?;
    let share = access.key.map(|key| {
        service.bulk_by_key.take(key).ok_or_else(|| {
            ApiError::new(Code::Busy, "too many bulk intakes run with this key; end one, or try again later")
        })
    });
    let share = share.transpose()?;
    let place = service.bulk.clone().try_acquire_owned();
    let place = place.map_err(|_| ApiError::new(Code::Busy, "too many bulk intakes run at once; try again later"))?;
    let (writer, reader) = spool::spool(&service.spool);
    let lines = Lines::new(body, service.settings.body_limit, service.settings.body_timeout);
    let (report, summary, shape) = (query.report, Summary::default(), Shape::Unread);
    let run = Run { service, access, report, summary, out: Vec::new(), stop: None, shape };
    // A task of its own: it goes on reading and storing whatever the response's reader does.
    tokio::spawn(async move {
        run.run(lines, writer).await;
        drop((place, share));
    });
    Ok(raw::bytes(StatusCode::OK, "application/x-ndjson", Body::from_stream(reader.into_stream())))
}

fn is_ndjson(essence: &str) -> bool {
    matches!(essence, "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines")
}

/// What came of a line.
struct Outcome {
    line: u64,
    bytes: usize,
    id: Option<SessionId>,
    notes: Vec<NoteBody>,
    answer: Result<Receipt, ApiError>,
}

/// Lines between being read and being answered, in order.
type InFlight = FuturesOrdered<Pending>;
type Pending = Pin<Box<dyn Future<Output = Outcome> + Send>>;

enum Event {
    Line(Line),
    Answer(Box<Outcome>),
    Draining,
    Revoked,
}

/// How lines are refused that are not looked at any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Each is answered `queue_full`.
    QueueFull,
    /// The next one is answered with this code for all of them.
    Once(Code),
    /// They are counted only.
    Silent,
}

/// What the body's first lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Nothing was read yet.
    Unread,
    /// The first line is the beginning of something longer.
    NotLines,
    /// A session a line, or a line at fault by itself.
    Lines,
}

struct Run {
    service: Shared,
    access: Access,
    report: Report,
    summary: Summary,
    out: Vec<u8>,
    stop: Option<Stop>,
    shape: Shape,
}

impl Run {
    async fn run(mut self, mut lines: Lines, writer: Writer) {
        let mut draining = self.service.draining();
        let mut in_flight = InFlight::new();
        let (mut bytes, mut ended, mut read_until) = (0, false, None);
        let (service, access) = (Arc::clone(&self.service), self.access.clone());
        let mut revoked = std::pin::pin!(service.revoked(&access).fuse());
        while !ended || !in_flight.is_empty() {
            if read_until.is_some_and(|until| Instant::now() >= until) {
                ended = true;
            }
            let room = !ended && in_flight.len() < IN_FLIGHT && bytes < IN_FLIGHT_BYTES;
            let watched = read_until.is_none().then_some(&mut draining);
            let event = {
                let next = next_event(&mut lines, &mut in_flight, room, read_until, watched);
                let next = async {
                    tokio::select! {
                        biased;
                        () = &mut revoked => Event::Revoked,
                        event = next => event,
                    }
                };
                let mut next = std::pin::pin!(next);
                if let Some(event) = next.as_mut().now_or_never() {
                    event
                } else {
                    // Nothing is at hand: what is answered goes out before waiting.
                    self.hand_on(&writer).await;
                    next.await
                }
            };
            match event {
                Event::Line(Line::Blank) => {}
                Event::Line(Line::End) => ended = true,
                Event::Line(line) => {
                    self.service
                        .fairness
                        .look(service.store.as_ref(), service.settings.queue_limit, &service.keys())
                        .await;
                    let number = lines.number;
                    ended |= matches!(line, Line::TimedOut);
                    if let Some((size, outcome)) = self.take(number, line) {
                        bytes += size;
                        in_flight.push_back(outcome);
                    }
                }
                Event::Answer(outcome) => {
                    bytes -= outcome.bytes;
                    lines.touch();
                    self.answer(*outcome);
                }
                Event::Revoked => {
                    if self.stop != Some(Stop::Silent) {
                        self.stop = Some(Stop::Once(Code::Unauthorized));
                    }
                    in_flight.extend(self.take(lines.number + 1, Line::End).map(|(_, outcome)| outcome));
                    ended = true;
                }
                Event::Draining => {
                    read_until = Some(Instant::now() + DRAIN);
                    self.stop.get_or_insert(Stop::Once(Code::ShuttingDown));
                }
            }
            if self.out.len() >= CHUNK_BYTES {
                self.hand_on(&writer).await;
            }
        }
        write_line(&mut self.out, &SummaryLine { summary: self.summary });
        writer.finish(self.out.into());
    }

    /// Starts on a line; `None` when it gets no answer of its own.
    fn take(&mut self, line: u64, text: Line) -> Option<(usize, Pending)> {
        let refusal = match (self.stop, text) {
            (Some(Stop::Silent), _) => {
                self.count(Received::Refused);
                return None;
            }
            (Some(Stop::QueueFull), _) => SubmitError::QueueFull.into(),
            (Some(Stop::Once(code)), _) => {
                self.stop = Some(Stop::Silent);
                rest_refused(code)
            }
            (None, Line::Text(text)) => match self.parse(&text) {
                Ok(session) => {
                    self.shape = Shape::Lines;
                    let (bytes, id, notes) = (text.len(), Some(session.id.clone()), shapes::notes(&session));
                    let (intake, received) = (self.service.intake.clone(), self.service.clock.now());
                    let submission = Submission { received, forced: self.access.forced, sender: Sender::Server };
                    let outcome = async move {
                        let answer = intake.submit(session, submission).await.map_err(ApiError::from);
                        Outcome { line, bytes, id, notes, answer }
                    };
                    return Some((bytes, Box::pin(outcome)));
                }
                Err(refusal) => self.refused(&text, refusal),
            },
            (None, Line::TimedOut) => ApiError::timeout(),
            (None, Line::TooLong | Line::Blank | Line::End) => self.too_long(),
        };
        let refused = Outcome { line, bytes: 0, id: None, notes: Vec::new(), answer: Err(refusal) };
        Some((0, Box::pin(std::future::ready(refused))))
    }

    fn parse(&self, text: &[u8]) -> Result<Session, ApiError> {
        let mut session = self.service.intake.parse(text, &self.service.settings.bounds)?;
        session.use_batch = true;
        self.access.submit_to(&mut session.deployment_id)?;
        self.service.fairness.check(&session.deployment_id, false, &self.service.keys())?;
        Ok(session)
    }

    /// The refusal of a line over the limit.
    fn too_long(&mut self) -> ApiError {
        let limit = self.service.settings.body_limit;
        let mut refusal = ApiError::too_large(limit);
        refusal.message = format!("a line must be at most {limit} bytes long");
        if self.shape == Shape::Unread {
            refusal.message += "; of a JSON list send each session on a line of its own, without brackets and commas";
        }
        self.shape = Shape::Lines;
        refusal
    }

    /// The refusal of a line. A body that is no NDJSON is named once, in place of each of its lines.
    fn refused(&mut self, text: &[u8], refusal: ApiError) -> ApiError {
        let shape = std::mem::replace(&mut self.shape, Shape::Lines);
        match (shape, begins_something_longer(text)) {
            (Shape::Unread, Some(message)) => {
                self.shape = Shape::NotLines;
                ApiError::malformed("body", message)
            }
            (Shape::NotLines, _) if !is_one_object(text) => {
                self.stop = Some(Stop::Silent);
                let message = "this line is no session either; this line and the rest were not taken, send NDJSON";
                ApiError::malformed("body", message)
            }
            _ => refusal,
        }
    }

    fn count(&mut self, received: Received) {
        self.service.metrics.received(received);
        match received {
            Received::Accepted => self.summary.accepted += 1,
            Received::Duplicate => self.summary.duplicate += 1,
            Received::Refused => self.summary.refused += 1,
        }
    }

    fn answer(&mut self, outcome: Outcome) {
        let Outcome { line, id, notes, answer, .. } = outcome;
        let session_id = id.map(SessionText);
        let answer = match answer {
            Ok(receipt) => {
                self.count(if receipt.duplicate { Received::Duplicate } else { Received::Accepted });
                if self.report == Report::Refused {
                    return;
                }
                let outcome = if receipt.duplicate { "duplicate" } else { "accepted" };
                let status = Some(shapes::status(receipt.state));
                LineAnswer { line, session_id, outcome, status, notes, refusal: None }
            }
            Err(refusal) => {
                self.count(Received::Refused);
                if refusal.code == Code::QueueFull {
                    self.stop.get_or_insert(Stop::QueueFull);
                }
                let refusal = Some(refusal.body());
                LineAnswer { line, session_id, outcome: "refused", status: None, notes, refusal }
            }
        };
        write_line(&mut self.out, &answer);
    }

    /// Gives what is answered to the spool. What it has no room for stays here, and no more lines are taken.
    async fn hand_on(&mut self, writer: &Writer) {
        if self.out.is_empty() {
            return;
        }
        let piece = Bytes::from(std::mem::take(&mut self.out));
        if let Err(error) = writer.push(piece.clone()).await {
            if let SpoolError::Io(error) = &error {
                tracing::error!(%error, "answers of a bulk intake could not be spooled");
            }
            self.out = piece.into();
            if !matches!(self.stop, Some(Stop::Once(_) | Stop::Silent)) {
                self.stop = Some(Stop::Once(Code::AnswersUnread));
            }
        }
    }
}

/// Whether a line is one JSON object, whatever is in it.
fn is_one_object(text: &[u8]) -> bool {
    text.trim_ascii().starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

/// What is said of a first line with which a JSON document begins that is no session on one line.
fn begins_something_longer(text: &[u8]) -> Option<&'static str> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text).trim_ascii();
    if text.starts_with(b"[") {
        return Some(
            "the body begins as a JSON list; send NDJSON: one session a line, without brackets around the sessions and \
             commas between them",
        );
    }
    let ends_early = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_err_and(|error| error.is_eof());
    (text.starts_with(b"{") && ends_early)
        .then_some("the body begins with a session that goes over several lines; send NDJSON: each session on one line")
}

/// The refusal of a line and all after it.
fn rest_refused(code: Code) -> ApiError {
    let message = match code {
        Code::Unauthorized => "the key was revoked; this line and the rest were not taken, send them with another key",
        Code::ShuttingDown => "the service shuts down; this line and the rest were not taken, send them again",
        _ => {
            "too many answers wait to be read; this line and the rest were not taken, read while sending or use              ?report=refused"
        }
    };
    ApiError::new(code, message)
}

fn write_line<T: Serialize>(out: &mut Vec<u8>, line: &T) {
    // Writing plain structs into memory cannot fail; a line that did would be missing, and the summary tells.
    if serde_json::to_writer(&mut *out, line).is_ok() {
        out.push(b'\n');
    }
}

/// What happens next: a line first, so that many are in flight before their answers are waited for. Cancel safe.
async fn next_event(
    lines: &mut Lines,
    in_flight: &mut InFlight,
    room: bool,
    read_until: Option<Instant>,
    draining: Option<&mut watch::Receiver<bool>>,
) -> Event {
    let drained = async {
        match draining {
            Some(draining) => drop(draining.wait_for(|draining| *draining).await),
            None => std::future::pending().await,
        }
    };
    let late = async {
        match read_until {
            Some(until) if room => tokio::time::sleep_until(until).await,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = drained => Event::Draining,
        line = lines.next(), if room => Event::Line(line),
        Some(outcome) = in_flight.next(), if !in_flight.is_empty() => Event::Answer(Box::new(outcome)),
        () = late => Event::Line(Line::End),
    }
}

#[cfg(test)]
mod tests;
