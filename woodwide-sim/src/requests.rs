//! The request log, which tests read. It holds labels of keys, never keys, and never a body.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::route::Generation;

/// One request.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Its number, from 1.
    pub number: u64,
    /// When it arrived, ISO 8601, simulated time.
    pub at: String,
    /// Its method.
    pub method: String,
    /// Its path without the query.
    pub path: String,
    /// Its query as it was sent.
    pub query: String,
    /// The name of its route; none when there is no such route.
    pub route: Option<&'static str>,
    /// The family of the API it belongs to.
    pub generation: Option<Generation>,
    /// Whether it had an `Authorization` header.
    pub authorization: bool,
    /// The label of its key, when the key is known.
    pub key: Option<String>,
    /// Its content type.
    pub content_type: Option<String>,
    /// Its user agent.
    pub user_agent: Option<String>,
    /// Bytes of its body.
    pub bytes: u64,
    /// Rows of the table that was sent or given.
    pub rows: Option<usize>,
    /// The status it was answered with; none while, or because, there is no answer.
    pub status: Option<u16>,
    /// Bytes of the answer's body.
    pub answer_bytes: u64,
    /// Kinds of the faults that struck it.
    pub faults: Vec<&'static str>,
    /// Milliseconds from its arrival to its answer.
    pub millis: u64,
}

/// The newest requests.
#[derive(Debug)]
pub(crate) struct Log {
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    entries: VecDeque<Entry>,
}

impl Log {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), inner: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a request down and returns its number.
    pub(crate) fn open(&self, mut entry: Entry) -> u64 {
        let mut inner = self.lock();
        inner.last += 1;
        entry.number = inner.last;
        if inner.entries.len() == self.limit {
            inner.entries.pop_front();
        }
        inner.entries.push_back(entry);
        inner.last
    }

    /// Changes a request that was written down, unless it is forgotten by now.
    pub(crate) fn amend(&self, number: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.lock().entries.iter_mut().rev().find(|entry| entry.number == number) {
            change(entry);
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.lock().entries.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.lock().entries.clear();
    }
}
