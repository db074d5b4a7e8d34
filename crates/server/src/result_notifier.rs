//! Who waits for which session: whoever settles sessions on this node says so here, and those that wait for one of
//! them wake up. It holds no results; a waiter looks into the store again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::id::SessionKey;

/// The sessions that somebody waits for.
#[derive(Debug, Default)]
pub struct ResultNotifier {
    waiting: Mutex<HashMap<SessionKey, watch::Sender<()>>>,
}

impl ResultNotifier {
    /// Nobody waits.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, watch::Sender<()>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everybody who waits for one of `keys`: they reached a final state, were erased, or went back to the queue.
    pub fn notify(&self, keys: &[SessionKey]) {
        let waiting = self.lock();
        if waiting.is_empty() {
            return;
        }
        for sender in keys.iter().filter_map(|key| waiting.get(key)) {
            sender.send_replace(());
        }
    }

    /// Wakes everybody, after a change to sessions that are not named one by one.
    pub fn notify_all(&self) {
        self.lock().values().for_each(|sender| sender.send_replace(()));
    }

    /// Registers interest in a session. Subscribe before looking into the store, or a wake-up is lost.
    pub fn subscribe(self: &Arc<Self>, key: SessionKey) -> Subscription {
        let receiver = match self.lock().entry(key.clone()) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.get().subscribe(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let (sender, receiver) = watch::channel(());
                entry.insert(sender);
                receiver
            }
        };
        Subscription { settled: Arc::clone(self), key, receiver: Some(receiver) }
    }

    /// How many sessions are waited for.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().len()
    }
}

/// Interest in one session; ends when dropped.
#[derive(Debug)]
pub struct Subscription {
    settled: Arc<ResultNotifier>,
    key: SessionKey,
    receiver: Option<watch::Receiver<()>>,
}

impl Subscription {
    /// Returns when the session was settled since the subscription or the last call. Cancel safe.
    pub async fn changed(&mut self) {
        let gone = match &mut self.receiver {
            Some(receiver) => receiver.changed().await.is_err(),
            None => true,
        };
        if gone {
            // The sender lives while anybody subscribes; without one there is nothing to wait for.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut waiting = self.settled.lock();
        self.receiver = None;
        if waiting.get(&self.key).is_some_and(|sender| sender.receiver_count() == 0) {
            waiting.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::domain::id::SessionId;

    fn key(id: &str) -> SessionKey {
        SessionKey { deployment: String::new(), id: SessionId::parse(id).unwrap() }
    }

    #[test]
    fn a_waiter_wakes_for_its_session_and_no_other() {
        let settled = ResultNotifier::new();
        let (mut a, mut again, mut b) =
            (settled.subscribe(key("a")), settled.subscribe(key("a")), settled.subscribe(key("b")));
        settled.notify(&[key("a"), key("c")]);
        assert!(a.changed().now_or_never().is_some(), "notified before it waited, and not lost");
        assert!(again.changed().now_or_never().is_some());
        assert!(a.changed().now_or_never().is_none(), "once");
        assert!(b.changed().now_or_never().is_none());
        settled.notify_all();
        assert!(b.changed().now_or_never().is_some());
    }

    #[test]
    fn nothing_is_kept_for_those_who_left() {
        let settled = ResultNotifier::new();
        let (a, again) = (settled.subscribe(key("a")), settled.subscribe(key("a")));
        drop(a);
        assert_eq!(settled.waiting(), 1);
        drop(again);
        assert_eq!(settled.waiting(), 0);
    }
}
