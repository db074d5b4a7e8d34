//! Lists of points, movements and clicks: each point read in full, or by the shape of the one before it.

use super::decimal::Kinds;
use super::json::Kind;
use super::refusal::{FieldPath, Refusal};
use super::session::{MAX_COORDINATE, MAX_TIME_MS, Read, Reader, once, syntax, wrong_type};
use super::shape::{NUMBERS, Point, Shape};

const POINT_FIELDS: [&str; 5] = ["x", "y", "timestamp", "isTrusted", "targetHit"];
const POINT_REQUIRED: u32 = 0b111;
/// How many more points may be read in full than by shape before shapes are no longer looked for.
const PATIENCE: usize = 16;

impl Point {
    #[inline]
    pub(crate) fn is_within_bounds(&self) -> bool {
        let [x, y] = [self.x, self.y].map(|value| value.abs() <= MAX_COORDINATE);
        x & y & (self.t.abs() <= MAX_TIME_MS)
    }
}

impl Reader<'_> {
    /// Gives every item of a list of points to `take`; how many there are.
    pub(crate) fn points(
        &mut self,
        list: &'static str,
        kind: Kind,
        limit: usize,
        mut take: impl FnMut(usize, Point),
    ) -> Read<usize> {
        if kind != Kind::Array {
            return Err(wrong_type(FieldPath::Field(list), "a list", kind));
        }
        self.scan.expect(b'[').map_err(syntax)?;
        let (mut index, mut in_full) = (0, 0);
        let (mut before, mut kinds) = (None, Kinds::default());
        let mut more = !self.scan.eat(b']');
        while more {
            if index == limit {
                let message = format!("must hold at most {limit} items; split the session");
                return Err(Refusal::out_of_bounds(FieldPath::Field(list), message));
            }
            let mut numbers = [(0, 0); NUMBERS];
            let point = self.point(list, index, &mut numbers)?;
            in_full += 1;
            // The comma before a point is part of its shape, so the first one has none.
            let start = before.filter(|_| self.by_shape && 2 * in_full < index + PATIENCE);
            let place = start.map(|start| start..self.scan.position());
            let shape = place.and_then(|place| Shape::of(self.scan.bytes(), place, numbers, point));
            let mut next = Some(point);
            while let Some(point) = next {
                take(index, point);
                index += 1;
                next =
                    shape.as_ref().filter(|_| index < limit).and_then(|shape| shape.next(&mut self.scan, &mut kinds));
            }
            before = Some(self.scan.position());
            more = self.scan.more(b']').map_err(syntax)?;
        }
        Ok(index)
    }

    /// The point that comes next; where its numbers start and end is left in `numbers`.
    pub(crate) fn point(
        &mut self,
        list: &'static str,
        index: usize,
        numbers: &mut [(usize, usize); NUMBERS],
    ) -> Read<Point> {
        if !self.scan.eat(b'{') {
            let kind = self.scan.peek_kind().map_err(syntax)?;
            return Err(wrong_type(FieldPath::Item(list, index), "an object {x, y, timestamp}", kind));
        }
        let mut point = Point::default();
        let mut seen = 0;
        let mut more = !self.scan.eat(b'}');
        while more {
            match self.point_field()? {
                Some(field) => {
                    let path = FieldPath::ItemField(list, index, POINT_FIELDS[field]);
                    once(&mut seen, field, path)?;
                    let kind = self.scan.peek_kind().map_err(syntax)?;
                    let start = self.scan.position();
                    self.point_value(field, path, kind, &mut point, &mut seen)?;
                    if let Some(number) = numbers.get_mut(field) {
                        *number = (start, self.scan.position());
                    }
                }
                None => self.scan.skip_value().map_err(syntax)?,
            }
            more = self.scan.more(b'}').map_err(syntax)?;
        }
        if seen & POINT_REQUIRED != POINT_REQUIRED {
            let missing = (seen & POINT_REQUIRED).trailing_ones() as usize;
            let path = FieldPath::ItemField(list, index, POINT_FIELDS[missing]);
            return Err(Refusal::malformed(path, "is missing; send a number"));
        }
        Ok(point)
    }

    /// The index in [`POINT_FIELDS`] of the field name that comes next, its colon consumed; `None` for an unknown one.
    #[inline]
    fn point_field(&mut self) -> Read<Option<usize>> {
        // The spellings that every real client sends, matched without the general string reader.
        for (field, spelling) in [b"\"x\":".as_slice(), b"\"y\":", b"\"timestamp\":"].into_iter().enumerate() {
            if self.scan.eat_exact(spelling) {
                return Ok(Some(field));
            }
        }
        let name = self.scan.string().map_err(syntax)?;
        self.scan.expect(b':').map_err(syntax)?;
        Ok(POINT_FIELDS.iter().position(|f| *f == name))
    }

    #[inline]
    fn point_value(
        &mut self,
        field: usize,
        path: FieldPath,
        kind: Kind,
        point: &mut Point,
        seen: &mut u32,
    ) -> Read<()> {
        match field {
            0 => point.x = self.bounded(path, kind, MAX_COORDINATE)?,
            1 => point.y = self.bounded(path, kind, MAX_COORDINATE)?,
            2 => point.t = self.bounded(path, kind, MAX_TIME_MS)?,
            _ if kind == Kind::Null => {
                self.scan.null().map_err(syntax)?;
                *seen &= !(1 << field);
            }
            3 => point.trusted = Some(self.boolean(path, kind)?),
            _ => point.target_hit = self.boolean(path, kind)?,
        }
        Ok(())
    }
}
