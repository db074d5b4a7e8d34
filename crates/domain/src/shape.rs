//! What repeats from point to point of a list: all but the numbers.
//!
//! A client writes every point alike, so after one point is read in full the bytes around the numbers of the next are
//! known. They are compared, not read. Where they are the same, so is what they mean: the grammar sees the same tokens,
//! with other numbers among them. At the first difference the point is read in full, from its start.

use std::ops::Range;

use super::decimal::{Kinds, SEEN, Window};
use super::json::Scanner;

/// The longest pieces that are compared, in words of eight bytes: those before a number and the last one.
const BEFORE: usize = 2;
const LAST: usize = 4;
/// A movement or a click.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) t: f64,
    pub(crate) trusted: Option<bool>,
    pub(crate) target_hit: bool,
}

/// How many of the fields are numbers, the first ones.
pub(crate) const NUMBERS: usize = 3;
/// The most digits before the point of a coordinate and of a time that are certainly within bounds.
const MAX_DIGITS: [usize; NUMBERS] = [7, 7, 15];

/// The bytes before, between or after the numbers of a point.
#[derive(Clone, Copy, Debug)]
struct Piece<const WORDS: usize> {
    words: [u64; WORDS],
    mask: [u64; WORDS],
    length: usize,
}

impl<const WORDS: usize> Piece<WORDS> {
    fn of(text: &[u8]) -> Option<Self> {
        let (mut words, mut mask) = ([[0; 8]; WORDS], [[0; 8]; WORDS]);
        words.as_flattened_mut().get_mut(..text.len())?.copy_from_slice(text);
        mask.as_flattened_mut()[..text.len()].fill(0xff);
        let [words, mask] = [words, mask].map(|words| words.map(u64::from_le_bytes));
        Some(Self { words, mask, length: text.len() })
    }

    /// Zeros if `bytes` start with this piece.
    #[inline]
    fn differs(&self, bytes: &[u8]) -> u64 {
        let found = bytes.as_chunks().0;
        let differ = |word: usize| (u64::from_le_bytes(found[word]) ^ self.words[word]) & self.mask[word];
        // Few pieces are longer than one word, and always the same ones.
        if self.length <= 8 { differ(0) } else { (0..WORDS).fold(0, |all, word| all | differ(word)) }
    }

    /// The place after this piece, if it stands at `at`; `None` near the end of the document as well.
    fn after(&self, bytes: &[u8], at: usize) -> Option<usize> {
        (self.differs(bytes.get(at..at + 8 * WORDS)?) == 0).then_some(at + self.length)
    }
}

/// A point as its list writes them, from the end of the point before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    before: [Piece<BEFORE>; NUMBERS],
    last: Piece<LAST>,
    /// Which of the numbers in order is x, y and the timestamp.
    places: [usize; NUMBERS],
    /// The most digits of the numbers in order.
    digits: [usize; NUMBERS],
    /// What the pieces say beside the numbers.
    said: Point,
}

impl Shape {
    /// The shape of a point that stands at `place`, the comma before it included, and whose x, y and timestamp start and
    /// end at `numbers`. `None` when its pieces are longer than what is compared.
    pub(crate) fn of(
        bytes: &[u8],
        place: Range<usize>,
        numbers: [(usize, usize); NUMBERS],
        said: Point,
    ) -> Option<Self> {
        let mut order = [0, 1, 2];
        order.sort_unstable_by_key(|field| numbers[*field]);
        let [first, second, third] = order.map(|field| numbers[field]);
        let mut places = [0; NUMBERS];
        for (place, field) in order.into_iter().enumerate() {
            places[field] = place;
        }
        Some(Self {
            before: [
                Piece::of(bytes.get(place.start..first.0)?)?,
                Piece::of(bytes.get(first.1..second.0)?)?,
                Piece::of(bytes.get(second.1..third.0)?)?,
            ],
            last: Piece::of(bytes.get(third.1..place.end)?)?,
            places,
            digits: order.map(|field| MAX_DIGITS[field]),
            said,
        })
    }

    /// The next point, read past, if it has this shape and its numbers are within bounds.
    #[expect(clippy::inline_always, reason = "what it returns would go through memory")]
    #[inline(always)]
    pub(crate) fn next(&self, scan: &mut Scanner<'_>, kinds: &mut Kinds) -> Option<Point> {
        let (point, after) = self.short(scan.bytes(), scan.position(), kinds).or_else(|| self.any(scan))?;
        scan.advance_to(after);
        Some(point)
    }

    /// The point at `at` if its numbers are short and certainly within bounds, and the place after it.
    #[expect(clippy::inline_always, reason = "what it returns would go through memory")]
    #[inline(always)]
    fn short(&self, bytes: &[u8], at: usize, kinds: &mut Kinds) -> Option<(Point, usize)> {
        let window = Window::at(bytes, at, kinds)?;
        let [before, second, third] = &self.before;
        let a = window.number(before.length, self.digits[0]);
        let b = window.number(a.end + second.length, self.digits[1]);
        let c = window.number(b.end + third.length, self.digits[2]);
        let pieces = [
            before.differs(window.chunk::<{ 8 * BEFORE }>(0)),
            second.differs(window.chunk::<{ 8 * BEFORE }>(a.end)),
            third.differs(window.chunk::<{ 8 * BEFORE }>(b.end)),
            self.last.differs(window.chunk::<{ 8 * LAST }>(c.end)),
        ];
        let differs = pieces[0] | pieces[1] | pieces[2] | pieces[3];
        let unseen = (a.end | b.end | c.end) / SEEN;
        let fine = (differs | a.faults | b.faults | c.faults | unseen as u64) == 0;
        fine.then_some((self.point([a.value, b.value, c.value, 0.0]), at + c.end + self.last.length))
    }

    /// The next point whatever its numbers are, if they are within bounds, and the place after it.
    #[cold]
    #[inline(never)]
    fn any(&self, scan: &Scanner<'_>) -> Option<(Point, usize)> {
        let (bytes, mut at) = (scan.bytes(), scan.position());
        let mut values = [0.0; NUMBERS + 1];
        for (piece, value) in self.before.iter().zip(&mut values) {
            at = piece.after(bytes, at)?;
            (*value, at) = scan.number_at(at)?;
        }
        at = self.last.after(bytes, at)?;
        let point = self.point(values);
        point.is_within_bounds().then_some((point, at))
    }

    #[inline]
    fn point(&self, values: [f64; NUMBERS + 1]) -> Point {
        let [x, y, t] = self.places.map(|place| values[place % values.len()]);
        Point { x, y, t, ..self.said }
    }
}
