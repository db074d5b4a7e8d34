//! A first look that tells most keys apart from those of a segment, without reading it.
//!
//! A Bloom filter in blocks of one cache line: a look costs one access to memory. The hashes are keyed, so nobody can
//! choose identifiers that are taken for others.

use crate::{StoreError, StoreResult};

/// Words of 64 bits in a block.
const WORDS: usize = 8;
/// Bits for each key: about one foreign hash in two hundred is taken for one of the segment.
const BITS_PER_KEY: usize = 12;
/// Bits that are set for a key.
const PROBES: u32 = 6;

/// The hashes of a segment that gets no more keys.
pub(super) struct KeyFilter(Vec<[u64; WORDS]>);

impl KeyFilter {
    /// Of these hashes.
    pub(super) fn of(hashes: &[i64]) -> Self {
        let blocks = (hashes.len() * BITS_PER_KEY).div_ceil(WORDS * 64).max(1);
        let mut filter = Self(vec![[0; WORDS]; blocks]);
        for hash in hashes {
            let place = filter.place(*hash);
            let Some(block) = filter.0.get_mut(place) else { continue };
            for (word, bits) in block.iter_mut().zip(mask(*hash)) {
                *word |= bits;
            }
        }
        filter
    }

    /// Whether the hash may be one of the segment; never `false` for one that is.
    pub(super) fn may_hold(&self, hash: i64) -> bool {
        let block = self.0.get(self.place(hash));
        block.is_none_or(|block| block.iter().zip(mask(hash)).all(|(word, bits)| word & bits == bits))
    }

    /// The upper half of the hash chooses the block.
    fn place(&self, hash: i64) -> usize {
        let place = ((hash.cast_unsigned() >> 32) * self.0.len() as u64) >> 32;
        usize::try_from(place).unwrap_or(0)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> StoreResult<Self> {
        let (blocks, rest) = bytes.as_chunks::<{ WORDS * 8 }>();
        if blocks.is_empty() || !rest.is_empty() {
            return Err(StoreError::Corrupt(format!("a filter of {} bytes", bytes.len())));
        }
        let words = |block: &[u8; WORDS * 8]| {
            let (words, _) = block.as_chunks::<8>();
            std::array::from_fn(|i| words.get(i).map_or(0, |word| u64::from_le_bytes(*word)))
        };
        Ok(Self(blocks.iter().map(words).collect()))
    }
}

/// The bits of a hash in its block, from its lower half.
fn mask(hash: i64) -> [u64; WORDS] {
    let mixed = (hash.cast_unsigned() & u64::from(u32::MAX)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut mask = [0u64; WORDS];
    for probe in 0..PROBES {
        let bit = (mixed >> (64 - 9 * (probe + 1))) % (WORDS as u64 * 64);
        if let Some(word) = usize::try_from(bit / 64).ok().and_then(|word| mask.get_mut(word)) {
            *word |= 1 << (bit % 64);
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> i64 {
        // As keyed hashes are spread (the finaliser of SplitMix64).
        let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).cast_signed()
    }

    #[test]
    fn holds_every_key_of_its_own_and_few_others() {
        let own: Vec<i64> = (0..100_000).map(hash).collect();
        let filter = KeyFilter::of(&own);
        assert!(own.iter().all(|hash| filter.may_hold(*hash)));
        let others = (200_000..300_000).filter(|n| filter.may_hold(hash(*n))).count();
        assert!(others < 1_000, "{others} of 100,000 foreign keys pass");
        let again = KeyFilter::from_bytes(&filter.to_bytes()).unwrap();
        assert!(own.iter().all(|hash| again.may_hold(*hash)));
        assert_eq!(again.0, filter.0);
    }

    #[test]
    fn a_filter_of_no_keys_holds_none_and_damaged_bytes_are_refused() {
        let empty = KeyFilter::of(&[]);
        assert!(!(0..100).any(|n| empty.may_hold(hash(n))));
        assert!(KeyFilter::from_bytes(&[]).is_err());
        assert!(KeyFilter::from_bytes(&[0; 65]).is_err());
    }
}
