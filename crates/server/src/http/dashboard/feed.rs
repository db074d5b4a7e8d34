//! Who listens to the events, and what they are told.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

use crate::operations::overview::History;

/// Most listeners at a time.
pub(crate) const MAX_LISTENERS: usize = 64;

/// Who listens, and what they are told.
pub(crate) struct Events {
    pub(crate) told: watch::Sender<Bytes>,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) watching: AtomicBool,
    pub(crate) history: Mutex<History>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            told: watch::Sender::new(Bytes::new()),
            places: Arc::new(Semaphore::new(MAX_LISTENERS)),
            watching: AtomicBool::new(false),
            history: Mutex::default(),
        }
    }
}
