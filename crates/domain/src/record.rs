//! The compact record: a whole session in some 2.4 KB instead of 21 KB of JSON, losslessly, and its digest.
//!
//! A column of decimals is stored as the differences of scaled integers in variable-length bytes; a column that does
//! not fit (more than six decimals, or too large) is stored as raw `f64`. Reading a record gives back the very bits.
//! The record leaves out `sessionId`, `deploymentId` (the store's key) and `useBatch` (a wish, not content), so its
//! digest is what "the same session" means.

use sha2::{Digest as _, Sha256};

use super::session::{Click, MAX_COORDINATE, MAX_HITS, MAX_STRING, MAX_TIME_MS, Movements, Session};

/// First byte of every record; a later format gets another number and both are read.
const FORMAT: u8 = 1;
/// Most decimals a scaled column may have.
const MAX_DECIMALS: usize = 6;
/// Scale byte of a column stored as raw `f64`.
const RAW: u8 = 0xff;
const SCALES: [f64; MAX_DECIMALS + 1] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];
/// Most movements or clicks that any setting lets a session have.
const MAX_POINTS: usize = 1_000_000;
/// Largest scaled integer: differences of two of them still fit an `i64` and each is exact in an `f64`.
const MAX_SCALED: u64 = 1 << 53;

/// 128 bits that stand for a session's content: SHA-256 of its record, cut in half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionDigest(pub [u8; 16]);

impl SessionDigest {
    /// The digest of an encoded record.
    #[must_use]
    pub fn of(record: &[u8]) -> Self {
        let full = Sha256::digest(record);
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        Self(half)
    }
}

/// A record that cannot be read: it was damaged, or written by a later version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the telemetry record is damaged or of a later format")]
pub struct DamagedRecord;

/// Appends the compact record of `session` to `out`; `integers` is a buffer to work in.
pub fn encode(session: &Session, integers: &mut Vec<i64>, out: &mut Vec<u8>) {
    out.push(FORMAT);
    put_string(out, &session.game_type);
    put_string(out, &session.device_type);
    match &session.user_id {
        Some(user) => {
            out.push(1);
            put_string(out, user);
        }
        None => out.push(0),
    }
    out.extend_from_slice(&session.duration_ms.to_bits().to_le_bytes());
    put_varint(out, u64::from(session.hits));
    put_varint(out, u64::from(session.misses));

    let moves = &session.movements;
    put_varint(out, moves.len() as u64);
    put_column(out, integers, moves.t.iter().copied());
    put_column(out, integers, moves.x.iter().copied());
    put_column(out, integers, moves.y.iter().copied());
    put_varint(out, moves.trusted.len() as u64);
    out.extend(moves.trusted.iter().map(|t| t.map_or(2, u8::from)));

    put_varint(out, session.clicks.len() as u64);
    put_column(out, integers, session.clicks.iter().map(|c| c.t));
    put_column(out, integers, session.clicks.iter().map(|c| c.x));
    put_column(out, integers, session.clicks.iter().map(|c| c.y));
    out.extend(session.clicks.iter().map(|c| u8::from(c.target_hit)));
}

/// Reads a record back. `id`, `deployment_id` and `use_batch` keep their defaults: they are not in the record.
///
/// # Errors
/// [`DamagedRecord`] when the bytes are not a record of this format; never panics and never allocates more than the
/// record's own length justifies.
pub fn decode(record: &[u8]) -> Result<Session, DamagedRecord> {
    let mut cursor = Cursor(record);
    if cursor.byte()? != FORMAT {
        return Err(DamagedRecord);
    }
    let game_type = cursor.string()?;
    let device_type = cursor.string()?;
    let user_id = match cursor.byte()? {
        0 => None,
        1 => Some(cursor.string()?),
        _ => return Err(DamagedRecord),
    };
    let duration_ms = cursor.float()?;
    let hits = u32::try_from(cursor.varint()?).map_err(|_| DamagedRecord)?;
    let misses = u32::try_from(cursor.varint()?).map_err(|_| DamagedRecord)?;

    let count = cursor.count(3)?;
    let t = cursor.column(count)?;
    let x = cursor.column(count)?;
    let y = cursor.column(count)?;
    let said = cursor.count(1)?;
    if said != 0 && said != count {
        return Err(DamagedRecord);
    }
    let mut trusted = Vec::with_capacity(said);
    for _ in 0..said {
        trusted.push(match cursor.byte()? {
            0 => Some(false),
            1 => Some(true),
            2 => None,
            _ => return Err(DamagedRecord),
        });
    }

    let count = cursor.count(3)?;
    let (ct, cx, cy) = (cursor.column(count)?, cursor.column(count)?, cursor.column(count)?);
    let mut clicks = Vec::with_capacity(count);
    for i in 0..count {
        clicks.push(Click { x: cx[i], y: cy[i], t: ct[i], target_hit: cursor.byte()? != 0 });
    }
    if !cursor.0.is_empty() {
        return Err(DamagedRecord);
    }
    Ok(Session {
        user_id,
        game_type,
        device_type,
        duration_ms,
        movements: Movements { x, y, t, trusted },
        clicks,
        hits,
        misses,
        ..Session::default()
    })
}

/// Whether every value of a session lies where [`Session::parse`] lets it, and it has no more of them than any setting
/// allows. That of a record which a store kept does; that of a record from elsewhere may not, and nothing is to be computed
/// from it then.
#[must_use]
pub fn is_within_bounds(session: &Session) -> bool {
    let within = |values: &[f64], limit: f64| values.iter().all(|value| value.abs() <= limit);
    let Session { movements, clicks, .. } = session;
    let at_clicks = |click: &Click| within(&[click.x, click.y], MAX_COORDINATE) && within(&[click.t], MAX_TIME_MS);
    let texts = [Some(&session.game_type), Some(&session.device_type), session.user_id.as_ref()];
    movements.len().max(clicks.len()) <= MAX_POINTS
        && within(&movements.x, MAX_COORDINATE)
        && within(&movements.y, MAX_COORDINATE)
        && within(&movements.t, MAX_TIME_MS)
        && clicks.iter().all(at_clicks)
        && within(&[session.duration_ms], MAX_TIME_MS)
        && f64::from(session.hits.max(session.misses)) <= MAX_HITS
        && texts.into_iter().flatten().all(|text| text.len() <= MAX_STRING)
}

#[inline]
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// `value` as an integer of `10^-decimals`, when that integer gives `value` back bit for bit.
#[inline]
fn scaled(value: f64, decimals: usize) -> Option<i64> {
    let scale = SCALES[decimals];
    let product = value * scale;
    // Half is added by sign and the cast cuts off: a rounding without a call. Where it rounds the wrong way the check
    // below says so.
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and then the check fails")]
    let integer = (product + 0.5f64.copysign(product)) as i64;
    // A correctly rounded quotient of exact operands is the decimal's own value, so equality means no loss.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53 by the check")]
    let same = integer.unsigned_abs() < MAX_SCALED && (integer as f64 / scale).to_bits() == value.to_bits();
    same.then_some(integer)
}

/// The fewest decimals that hold every value of the column, which is left in `integers`; `None` when too few do.
fn scale_column(values: &(impl Iterator<Item = f64> + Clone), integers: &mut Vec<i64>) -> Option<usize> {
    for decimals in 0..=MAX_DECIMALS {
        integers.clear();
        integers.extend(values.clone().map_while(|value| scaled(value, decimals)));
        if integers.len() == values.clone().count() {
            return Some(decimals);
        }
    }
    None
}

fn put_column(out: &mut Vec<u8>, integers: &mut Vec<i64>, values: impl Iterator<Item = f64> + Clone) {
    let Some(decimals) = scale_column(&values, integers) else {
        out.push(RAW);
        for value in values {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        return;
    };
    #[expect(clippy::cast_possible_truncation, reason = "at most MAX_DECIMALS")]
    out.push(decimals as u8);
    let mut last = 0;
    for integer in integers {
        let delta = *integer - last;
        last = *integer;
        put_varint(out, ((delta << 1) ^ (delta >> 63)).cast_unsigned());
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], DamagedRecord> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(DamagedRecord)?;
        self.0 = tail;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, DamagedRecord> {
        Ok(self.take(1)?[0])
    }

    fn float(&mut self) -> Result<f64, DamagedRecord> {
        let bytes = self.take(8)?.try_into().map_err(|_| DamagedRecord)?;
        Ok(f64::from_bits(u64::from_le_bytes(bytes)))
    }

    fn varint(&mut self) -> Result<u64, DamagedRecord> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DamagedRecord)
    }

    /// A number of items that take at least `least` bytes each, so that a damaged count cannot allocate.
    fn count(&mut self, least: usize) -> Result<usize, DamagedRecord> {
        let count = usize::try_from(self.varint()?).map_err(|_| DamagedRecord)?;
        if count > self.0.len() / least {
            return Err(DamagedRecord);
        }
        Ok(count)
    }

    fn string(&mut self) -> Result<String, DamagedRecord> {
        let length = self.count(1)?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DamagedRecord)
    }

    fn column(&mut self, count: usize) -> Result<Vec<f64>, DamagedRecord> {
        let scale = self.byte()?;
        let mut values = Vec::with_capacity(count);
        if scale == RAW {
            for _ in 0..count {
                values.push(self.float()?);
            }
            return Ok(values);
        }
        let divisor = *SCALES.get(usize::from(scale)).ok_or(DamagedRecord)?;
        let mut last = 0i64;
        for _ in 0..count {
            let zigzag = self.varint()?;
            let delta = (zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed());
            last = last.wrapping_add(delta);
            #[expect(clippy::cast_precision_loss, reason = "the encoder writes integers below 2^53 only")]
            values.push(last as f64 / divisor);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::Bounds;

    fn coordinate() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-3000i32..3000).prop_map(f64::from),
            (-30_000i32..30_000).prop_map(|v| f64::from(v) / 10.0),
            (-1e7..1e7f64),
            Just(0.1 + 0.2),
            Just(5e-324),
        ]
    }

    proptest! {
        #[test]
        fn a_record_gives_the_session_back_bit_for_bit(
            points in proptest::collection::vec((coordinate(), coordinate(), -1e15..1e15f64, any::<Option<bool>>()), 1..50),
            clicks in proptest::collection::vec((coordinate(), coordinate(), coordinate(), any::<bool>()), 0..8),
            user in any::<Option<String>>(), duration in -1e15..1e15f64, hits in 0..1_000_000u32,
        ) {
            let session = Session {
                user_id: user, game_type: "osu".into(), device_type: "mouse".into(), duration_ms: duration, hits, misses: 7,
                movements: Movements {
                    x: points.iter().map(|p| p.0).collect(), y: points.iter().map(|p| p.1).collect(),
                    t: points.iter().map(|p| p.2).collect(), trusted: points.iter().map(|p| p.3).collect(),
                },
                clicks: clicks.iter().map(|c| Click { x: c.0, y: c.1, t: c.2, target_hit: c.3 }).collect(),
                ..Session::default()
            };
            let mut record = Vec::new();
            encode(&session, &mut Vec::new(), &mut record);
            prop_assert_eq!(decode(&record).unwrap(), session);
        }

        #[test]
        fn damaged_records_are_refused_not_believed(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn what_no_session_may_hold_is_told_from_what_one_may() {
        let fine = crate::testing::wandering(3, 4);
        assert!(is_within_bounds(&fine) && is_within_bounds(&Session::default()));
        let changes: [fn(&mut Session); 8] = [
            |s| s.movements.x[3] = f64::NAN,
            |s| s.movements.y[3] = -2e7,
            |s| s.movements.t[3] = f64::INFINITY,
            |s| s.duration_ms = 2e15,
            |s| s.hits = 2_000_000,
            |s| s.user_id = Some("u".repeat(257)),
            |s| s.clicks = vec![Click { t: 1e16, ..Click::default() }],
            |s| s.movements.x.resize(MAX_POINTS + 1, 0.0),
        ];
        for change in changes {
            let mut changed = fine.clone();
            change(&mut changed);
            assert!(!is_within_bounds(&changed), "{:?}", changed.duration_ms);
        }
    }

    #[test]
    fn the_digest_ignores_spelling_and_the_wish_for_a_batch_but_no_content() {
        let digest = |text: &str| {
            let mut record = Vec::new();
            encode(&Session::parse(text.as_bytes(), &Bounds::default()).unwrap(), &mut Vec::new(), &mut record);
            SessionDigest::of(&record)
        };
        let base = digest(r#"{"sessionId":"a","movements":[{"x":1,"y":2,"timestamp":0}],"hits":1}"#);
        let same = [
            r#"{"hits":1.0,"useBatch":true,"movements":[{"timestamp":0,"y":2.0,"x":1e0}],"sessionId":"a"}"#,
            r#"{"sessionId":"a","movements":[{"x":1,"y":2,"timestamp":-0}],"hits":1,"durationMs":0,"other":[]}"#,
        ];
        for text in same {
            assert_eq!(digest(text), base, "{text}");
        }
        let different = [
            r#"{"sessionId":"a","movements":[{"x":1,"y":2,"timestamp":0}],"hits":2}"#,
            r#"{"sessionId":"a","movements":[{"x":1,"y":2.000000001,"timestamp":0}],"hits":1}"#,
            r#"{"sessionId":"a","movements":[{"x":1,"y":2,"timestamp":0,"isTrusted":true}],"hits":1}"#,
            r#"{"sessionId":"a","movements":[{"x":1,"y":2,"timestamp":0}],"hits":1,"userId":"u"}"#,
        ];
        for text in different {
            assert_ne!(digest(text), base, "{text}");
        }
    }
}
