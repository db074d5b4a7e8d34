//! Short decimals, such as `-351.25` and `1712345678901`, without a loop over their digits.
//!
//! How many digits a coordinate has is what a processor can't predict, and a loop over them waits for every wrong
//! guess. Here the kinds of 64 bytes are told at once, two integers of one bit a byte, and where numbers end is read off
//! those; eight digits at a time become a number by three multiplications. Faults are gathered and asked about once.
//!
//! Anything else (exponents, more digits, the end of the document) is left to [`super::json::Scanner::number`], which
//! gives the same bits wherever both read a number: an integer below 2^53 and the power of ten are exact in an `f64`,
//! and one division is rounded correctly (Clinger 1990).

use wide::u8x16;

/// Bytes whose kinds are told.
pub(crate) const SEEN: usize = 64;
/// Bytes of a [`Window`]: whatever starts among those that are seen can be read 32 bytes long.
pub(crate) const WINDOW: usize = SEEN + 32;
/// Most digits after the point: one step of eight.
const MAX_DECIMALS: usize = 8;
/// Most digits that an integer certainly holds.
const MAX_DIGITS: usize = 18;
const POWERS: [u64; 16] = {
    let mut powers = [1; 16];
    let mut n = 1;
    while n < powers.len() {
        powers[n] = powers[n - 1] * 10;
        n += 1;
    }
    powers
};
/// The same, all exact.
const POWERS_OF_TEN: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// Blocks of [`SEEN`] bytes whose kinds are told in one go, ahead of the numbers: the processor needn't wait for them.
const BLOCKS: usize = 16;

/// The kinds of the bytes of a stretch of a document: one bit a byte, the first byte's the lowest.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    start: usize,
    /// What is neither a digit nor a point.
    ends: [u64; BLOCKS],
    points: [u64; BLOCKS],
    /// How many of the bytes are told.
    length: usize,
}

impl Kinds {
    #[cold]
    #[inline(never)]
    fn tell(&mut self, document: &[u8], start: usize) {
        self.start = start;
        self.length = 0;
        let blocks = document.get(start..).unwrap_or_default().chunks(SEEN);
        for (block, (ends, points)) in blocks.zip(self.ends.iter_mut().zip(&mut self.points)) {
            (*ends, *points) = if let Some(whole) = block.first_chunk() {
                kinds(whole)
            } else {
                let mut padded = [0; SEEN];
                padded[..block.len()].copy_from_slice(block);
                kinds(&padded)
            };
            self.length += SEEN;
        }
    }
}

/// Bytes of a document from some place on.
pub(crate) struct Window<'a> {
    bytes: &'a [u8; WINDOW],
    ends: u64,
    points: u64,
}

/// A number in a window. It is one only where `faults` is zero.
#[derive(Clone, Copy)]
pub(crate) struct Short {
    pub(crate) value: f64,
    /// The offset after it.
    pub(crate) end: usize,
    /// Some bit for every fault.
    pub(crate) faults: u64,
}

impl<'a> Window<'a> {
    /// The window at `at`; `None` when the document ends within it. `kinds` are of this document only.
    #[inline]
    pub(crate) fn at(document: &'a [u8], at: usize, kinds: &mut Kinds) -> Option<Self> {
        let bytes: &[u8; WINDOW] = document.get(at..)?.first_chunk()?;
        let mut offset = at.wrapping_sub(kinds.start);
        if offset >= kinds.length.saturating_sub(SEEN) {
            kinds.tell(document, at);
            offset = 0;
        }
        let (block, shift) = (offset / SEEN % BLOCKS, offset % SEEN);
        let both = |told: &[u64; BLOCKS]| told[block] >> shift | told[(block + 1) % BLOCKS] << 1 << (SEEN - 1 - shift);
        Some(Self { bytes, ends: both(&kinds.ends), points: both(&kinds.points) })
    }

    /// The `N` bytes at `offset`, which is below [`SEEN`]; no check is left of it.
    #[inline]
    pub(crate) fn chunk<const N: usize>(&self, offset: usize) -> &'a [u8; N] {
        const { assert!(SEEN + N <= WINDOW) }
        // Always there, so the other one is never taken.
        self.bytes[offset % SEEN..].first_chunk().unwrap_or(&[0; N])
    }

    /// Eight bytes as digits from 0 to 9, where they are digits.
    #[inline]
    fn digits(&self, offset: usize) -> u64 {
        u64::from_le_bytes(*self.chunk(offset)) ^ ZEROS
    }

    /// The decimal at `offset`, of at most `most_whole` digits before the point, which is at most 15; minus zero is zero.
    /// An end that is not below [`SEEN`] is a fault as well, which the caller looks for.
    #[expect(clippy::inline_always, reason = "a call would cost more than what is called")]
    #[inline(always)]
    pub(crate) fn number(&self, offset: usize, most_whole: usize) -> Short {
        let minus = self.ends >> (offset % SEEN) & 1;
        let mut faults = minus & u64::from(*self.chunk(offset) != [b'-']);
        let start = offset + usize::from(minus != 0);
        // From here on, the lowest bit is the number's first byte.
        let ends = self.ends >> (start % SEEN);
        let points = self.points >> (start % SEEN) & !ends & ends.wrapping_sub(1);
        let stops = ends | points;
        let length = ends.trailing_zeros() as usize;
        let whole = stops.trailing_zeros() as usize;
        let pointed = usize::from(points != 0);
        let decimals = length.wrapping_sub(whole).wrapping_sub(pointed);
        let first = self.digits(start);

        // Two points; no digit after the point, or before it; more than one digit where the first is 0; too large.
        faults |= points & points.wrapping_sub(1);
        faults |= points << 1 & ends;
        faults |= (stops | (u64::from(first.to_le_bytes()[0] == 0) & !(stops >> 1))) & 1;
        faults |= (most_whole as u64).wrapping_sub(whole as u64) >> 63;

        let mantissa = if length <= 8 {
            // The digits before the point stay, those after it move over it, all move to the end, and zeros come first.
            let before = u64::MAX >> (64usize.wrapping_sub(8 * whole) % 64);
            let digits = (first & before) | ((first >> 8) & !before);
            eight_digits(last(digits, length - pointed))
        } else {
            let mut mantissa = if whole <= 8 {
                eight_digits(last(first, whole))
            } else {
                let upper = eight_digits(last(first, whole - 8));
                upper.wrapping_mul(100_000_000).wrapping_add(eight_digits(self.digits(start + whole - 8)))
            };
            if pointed != 0 {
                let fraction = eight_digits(last(self.digits(start + whole + 1), decimals));
                mantissa = mantissa.wrapping_mul(POWERS[decimals % POWERS.len()]).wrapping_add(fraction);
                faults |= u64::from(decimals > MAX_DECIMALS)
                    | u64::from(whole.wrapping_add(decimals) > MAX_DIGITS)
                    | mantissa >> 53;
            }
            mantissa
        };
        let signed = (mantissa ^ minus.wrapping_neg()).wrapping_add(minus).cast_signed();
        #[expect(clippy::cast_precision_loss, reason = "below 2^53 in size, or there is a fault")]
        let value = signed as f64 / POWERS_OF_TEN[decimals % POWERS_OF_TEN.len()];
        Short { value, end: start + length, faults }
    }
}

/// The first `count` of eight digits, of at least one, as the last ones, zeros before them.
#[inline]
fn last(digits: u64, count: usize) -> u64 {
    digits << (64usize.wrapping_sub(8 * count) % 64)
}

/// The number that eight digits from 0 to 9 are, the first one in the lowest byte: pairs, then fours, then all.
#[inline]
fn eight_digits(digits: u64) -> u64 {
    const PAIRS: u64 = 0x0000_00ff_0000_00ff;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let odd = (pairs & PAIRS).wrapping_mul(100 + (1_000_000 << 32));
    let even = ((pairs >> 16) & PAIRS).wrapping_mul(1 + (10_000 << 32));
    odd.wrapping_add(even) >> 32
}

/// One bit for every byte that is neither a digit nor a point, and one for every point.
#[inline]
fn kinds(bytes: &[u8; SEEN]) -> (u64, u64) {
    let (mut numbers, mut points) = (0, 0);
    for (place, sixteen) in bytes.as_chunks::<16>().0.iter().enumerate() {
        let sixteen = u8x16::new(*sixteen);
        let digits = sixteen - u8x16::splat(b'0');
        let digit = digits.min(u8x16::splat(9)).simd_eq(digits);
        let point = sixteen.simd_eq(u8x16::splat(b'.'));
        numbers |= u64::from((digit | point).to_bitmask()) << (16 * place);
        points |= u64::from(point.to_bitmask()) << (16 * place);
    }
    (!numbers, points)
}

#[cfg(test)]
#[path = "decimal_tests.rs"]
mod tests;
