//! Connections that have not yet shown a right to be here: no request of theirs was let through. Each client address may
//! have so many; where one more comes, the oldest of that address gives way, so that idle sockets shut nobody out.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::access::address::ClientAddress;

/// The newcomers of all addresses, the oldest of each first.
pub(crate) struct Newcomers {
    most: usize,
    waiting: Mutex<HashMap<ClientAddress, VecDeque<Arc<Notify>>>>,
}

/// One of them, until a request is let through or the connection ends.
#[derive(Clone)]
pub(crate) struct Newcomer(Arc<Place>);

struct Place {
    address: ClientAddress,
    /// Whether it is no newcomer any more; asked with every request.
    left: AtomicBool,
    gives_way: Arc<Notify>,
    all: Arc<Newcomers>,
}

impl Newcomers {
    /// At most `most` for each address.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), waiting: Mutex::default() })
    }

    /// Takes one in; the oldest of its address gives way where there are too many.
    pub(crate) fn take_in(self: &Arc<Self>, address: ClientAddress) -> Newcomer {
        let gives_way = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let own = waiting.entry(address).or_default();
        if own.len() >= self.most
            && let Some(oldest) = own.pop_front()
        {
            oldest.notify_one();
        }
        own.push_back(Arc::clone(&gives_way));
        Newcomer(Arc::new(Place { address, left: AtomicBool::new(false), gives_way, all: Arc::clone(self) }))
    }
}

impl Newcomer {
    /// A request of it was let through: it stays, whoever else comes.
    pub(crate) fn stays(&self) {
        self.0.leave();
    }

    /// Returns when it is to give way to another one.
    pub(crate) async fn gives_way(&self) {
        self.0.gives_way.notified().await;
    }
}

impl Place {
    fn leave(&self) {
        if self.left.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut waiting = self.all.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = waiting.get_mut(&self.address) {
            own.retain(|other| !Arc::ptr_eq(other, &self.gives_way));
            if own.is_empty() {
                waiting.remove(&self.address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn address(last: u8) -> ClientAddress {
        ClientAddress([192, 0, 2, last].into())
    }

    #[test]
    fn the_oldest_of_an_address_gives_way_and_nobody_elses() {
        let all = Newcomers::new(2);
        let other = all.take_in(address(2));
        let first = all.take_in(address(1));
        let proven = all.take_in(address(1));
        proven.stays();
        let second = all.take_in(address(1));
        assert!(first.gives_way().now_or_never().is_none(), "there is room for two");
        let third = all.take_in(address(1));
        assert!(first.gives_way().now_or_never().is_some());
        for stays in [&other, &proven, &second, &third] {
            assert!(stays.gives_way().now_or_never().is_none());
        }
        drop((other, first, proven, second, third));
        assert!(all.waiting.lock().unwrap().is_empty());
    }
}
