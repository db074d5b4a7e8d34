//! Connections that have not yet shown a right to be here: no request of theirs was let through. Each client address may
//! have so many, and all together so many; where one more comes, the oldest of that address, or of the address that has the
//! most, gives way, so that idle sockets shut nobody out.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::access::address::ClientAddress;

/// The newcomers of all addresses, the oldest of each first.
pub(crate) struct Newcomers {
    most_of_an_address: usize,
    most: usize,
    waiting: Mutex<Waiting>,
}

/// Those that nobody asked to give way yet.
#[derive(Default)]
struct Waiting {
    by_address: HashMap<ClientAddress, VecDeque<Arc<Notify>>>,
    count: usize,
}

impl Waiting {
    /// The oldest of an address gives way.
    fn dismiss(&mut self, address: ClientAddress) {
        let oldest = self.by_address.get_mut(&address).and_then(VecDeque::pop_front);
        if let Some(oldest) = oldest {
            oldest.notify_one();
            self.count -= 1;
        }
        self.forget(address);
    }

    /// Remembers no address without newcomers.
    fn forget(&mut self, address: ClientAddress) {
        if self.by_address.get(&address).is_some_and(VecDeque::is_empty) {
            self.by_address.remove(&address);
        }
    }
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
    /// At most half of the `places` for each address, and three quarters for all.
    pub(crate) fn new(places: usize) -> Arc<Self> {
        let most = (places - places / 4).max(1);
        Arc::new(Self { most_of_an_address: (places / 2).max(1), most, waiting: Mutex::default() })
    }

    /// Takes one in; the oldest of its address, or of the address with the most, gives way where there are too many.
    pub(crate) fn take_in(self: &Arc<Self>, address: ClientAddress) -> Newcomer {
        let gives_way = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.by_address.get(&address).is_some_and(|own| own.len() >= self.most_of_an_address) {
            waiting.dismiss(address);
        } else if waiting.count >= self.most {
            let largest = waiting.by_address.iter().max_by_key(|(_, all)| all.len()).map(|(address, _)| *address);
            if let Some(address) = largest {
                waiting.dismiss(address);
            }
        }
        waiting.by_address.entry(address).or_default().push_back(Arc::clone(&gives_way));
        waiting.count += 1;
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
        let waiting = &mut *waiting;
        if let Some(own) = waiting.by_address.get_mut(&self.address) {
            let before = own.len();
            own.retain(|other| !Arc::ptr_eq(other, &self.gives_way));
            waiting.count -= before - own.len();
        }
        waiting.forget(self.address);
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
        let all = Newcomers::new(4);
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
        assert!(all.waiting.lock().unwrap().by_address.is_empty());
    }

    #[test]
    fn all_together_leave_a_quarter_of_the_places_to_others() {
        let all = Newcomers::new(8);
        let mut many: Vec<_> = (0..6).map(|n| all.take_in(address([1, 1, 2, 1, 2, 3][n]))).collect();
        let came_late = all.take_in(address(4));
        let gave_way: Vec<_> = many.iter().map(|one| one.gives_way().now_or_never().is_some()).collect();
        assert_eq!(gave_way, [true, false, false, false, false, false], "the oldest of the address with the most");
        assert!(came_late.gives_way().now_or_never().is_none());
        assert_eq!(all.waiting.lock().unwrap().count, 6);
        many.push(came_late);
        drop(many);
        let waiting = all.waiting.lock().unwrap();
        assert!(waiting.count == 0 && waiting.by_address.is_empty());
    }
}
