//! Shares of what is scarce: so many at a time for each owner, so that nobody has it all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// How many each owner holds.
pub(crate) struct Shares<K> {
    most: usize,
    held: Arc<Mutex<HashMap<K, usize>>>,
}

/// One that an owner holds, until it is dropped.
pub(crate) struct Share<K: Eq + Hash> {
    owner: K,
    held: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K: Copy + Eq + Hash> Shares<K> {
    /// At most `most` for each owner.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), held: Arc::default() }
    }

    /// One more for `owner`; `None` when it holds as many as it may.
    pub(crate) fn take(&self, owner: K) -> Option<Share<K>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(owner).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Share { owner, held: Arc::clone(&self.held) })
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_owner_has_its_own_and_gives_it_back() {
        let shares = Shares::new(2);
        let (first, second) = (shares.take(1).unwrap(), shares.take(1).unwrap());
        assert!(shares.take(1).is_none());
        let other = shares.take(2).unwrap();
        drop(first);
        let third = shares.take(1).unwrap();
        assert!(shares.take(1).is_none());
        drop((second, third, other));
        assert!(shares.held.lock().unwrap().is_empty(), "nobody is remembered who holds none");
    }
}
