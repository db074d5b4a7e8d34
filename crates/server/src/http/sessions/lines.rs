//! The lines of a body, in memory bounded by the longest one.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

/// A line of the body.
#[derive(Debug, PartialEq)]
pub(crate) enum Line {
    Text(Bytes),
    Blank,
    /// Over the limit; skipped to its end.
    TooLong,
    /// The next piece did not arrive in time. No line follows.
    TimedOut,
    /// The body is over, or broke off; a line that broke off with it is nobody's.
    End,
}

/// Splits a body into lines, in memory bounded by the longest one.
pub(crate) struct Lines {
    body: Body,
    pub(crate) buffer: BytesMut,
    /// How much of the buffer holds no line end.
    scanned: usize,
    limit: usize,
    idle: Duration,
    deadline: Instant,
    /// In a line that is too long.
    pub(crate) skipping: bool,
    over: bool,
    /// The number of the line that was read last.
    pub(crate) number: u64,
}

impl Lines {
    pub(crate) fn new(body: Body, limit: usize, idle: Duration) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            scanned: 0,
            limit,
            idle,
            deadline: Instant::now() + idle,
            skipping: false,
            over: false,
            number: 0,
        }
    }

    /// Starts the time for the next piece anew: the client may have waited for us.
    pub(crate) fn touch(&mut self) {
        self.deadline = Instant::now() + self.idle;
    }

    /// The next line. Cancel safe: what was read stays in the buffer.
    pub(crate) async fn next(&mut self) -> Line {
        loop {
            if let Some(line) = self.buffered() {
                return line;
            }
            if self.over {
                return Line::End;
            }
            match tokio::time::timeout_at(self.deadline, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                        self.touch();
                    }
                }
                Ok(None) => self.over = true,
                Ok(Some(Err(_))) => {
                    self.stop();
                    return Line::End;
                }
                Err(_) => {
                    self.stop();
                    self.number += 1;
                    return Line::TimedOut;
                }
            }
        }
    }

    fn stop(&mut self) {
        self.over = true;
        self.skipping = false;
        self.buffer.clear();
        self.scanned = 0;
    }

    fn buffered(&mut self) -> Option<Line> {
        let end = self.buffer[self.scanned..].iter().position(|b| *b == b'\n').map(|at| self.scanned + at);
        let line = match end {
            Some(end) => {
                let line = self.buffer.split_to(end + 1);
                self.scanned = 0;
                line
            }
            // The last line may lack its end.
            None if self.over && (self.skipping || !self.buffer.is_empty()) => {
                self.scanned = 0;
                self.buffer.split()
            }
            None => {
                self.scanned = self.buffer.len();
                if self.scanned > self.limit {
                    self.skipping = true;
                    self.buffer.clear();
                    self.scanned = 0;
                }
                return None;
            }
        };
        self.number += 1;
        let text = line.freeze();
        let text = text.slice_ref(text.trim_ascii());
        Some(if std::mem::take(&mut self.skipping) || text.len() > self.limit {
            Line::TooLong
        } else if text.is_empty() {
            Line::Blank
        } else {
            Line::Text(text)
        })
    }
}
