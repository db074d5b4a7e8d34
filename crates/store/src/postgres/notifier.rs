//! Waking whoever waits for sessions that became ready.

use tokio::sync::Notify;

/// Says on this node at once, and to the others soon, that sessions may have become ready.
#[derive(Default)]
pub(super) struct Notifier {
    pub(super) ready: Notify,
    /// Notified when the other nodes are to be told.
    pub(super) far: Notify,
}

impl Notifier {
    /// Says so everywhere.
    pub(super) fn notify(&self) {
        self.notify_here();
        self.far.notify_one();
    }

    /// Says so on this node alone.
    pub(super) fn notify_here(&self) {
        self.ready.notify_waiters();
        self.ready.notify_one();
    }
}
