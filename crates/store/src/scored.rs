//! What a result was when its session was scored, as both stores keep it: one value of bytes that nothing changes later.
//! The result's own columns tell how it stands.

use super::encoding::Numbered as _;
use super::{StoreError, StoreResult};
use playproof_domain::reason::Reasons;
use playproof_domain::result::{AsScored, Decided, Decision, DecisionInputs, NoPointer, Thresholds};

/// Of the bytes; another number is a form that this program does not know.
const FORM: u8 = 1;
/// Bytes of a whole value.
const WHOLE: usize = 44;

/// The bytes to keep of thresholds.
pub(super) fn thresholds_bytes(thresholds: &Thresholds) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(WHOLE);
    bytes.push(FORM);
    bytes.extend(thresholds.pass.to_bits().to_le_bytes());
    bytes.extend(thresholds.review.to_bits().to_le_bytes());
    bytes.push(u8::from(thresholds.no_pointer == NoPointer::Pass));
    bytes
}

/// The bytes to keep of a decision. What was compared with the thresholds has a column, as it never changes.
pub(super) fn bytes(scored: &AsScored) -> Vec<u8> {
    let AsScored { thresholds, basis, decided } = scored;
    let mut bytes = thresholds_bytes(thresholds);
    bytes.push(u8::try_from(decided.decision.number()).unwrap_or(u8::MAX));
    bytes.extend(decided.confidence.to_bits().to_le_bytes());
    bytes.extend(decided.reasons.bits().to_le_bytes());
    bytes.extend(basis.known_reasons.bits().to_le_bytes());
    bytes.push(u8::from(basis.surely_replayed));
    bytes
}

/// Thresholds from their bytes; `None` where none are kept, or in a form of a later version.
pub(super) fn thresholds(bytes: Option<&[u8]>) -> StoreResult<Option<Thresholds>> {
    let Some(bytes) = known(bytes) else { return Ok(None) };
    let mut rest = Rest(bytes);
    let thresholds = rest.thresholds()?;
    rest.end(thresholds).map(Some)
}

/// A decision from its bytes and the column beside them; `None` where none is kept, or in a form of a later version.
pub(super) fn read(bytes: Option<&[u8]>, supported_score: Option<f64>) -> StoreResult<Option<AsScored>> {
    let Some(bytes) = known(bytes) else { return Ok(None) };
    let mut rest = Rest(bytes);
    let thresholds = rest.thresholds()?;
    let decision = Decision::from_number(i64::from(rest.byte()?))?;
    let confidence = f64::from_bits(rest.word()?);
    let [reasons, known_reasons] = [rest.word()?, rest.word()?].map(|bits| Reasons::from_bits(bits.cast_signed()));
    let surely_replayed = rest.flag()?;
    let basis = DecisionInputs { supported_score, known_reasons, surely_replayed };
    let decided = Decided { decision, confidence, reasons };
    rest.end(AsScored { thresholds, basis, decided }).map(Some)
}

fn known(bytes: Option<&[u8]>) -> Option<&[u8]> {
    bytes.filter(|bytes| bytes.first().is_none_or(|form| *form <= FORM))
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn damaged() -> StoreError {
        StoreError::Corrupt("what a result was when it was scored".to_owned())
    }

    fn byte(&mut self) -> StoreResult<u8> {
        let (byte, rest) = self.0.split_first().ok_or_else(Self::damaged)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn flag(&mut self) -> StoreResult<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Self::damaged()),
        }
    }

    fn word(&mut self) -> StoreResult<u64> {
        let (word, rest) = self.0.split_first_chunk().ok_or_else(Self::damaged)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*word))
    }

    fn thresholds(&mut self) -> StoreResult<Thresholds> {
        if self.byte()? != FORM {
            return Err(Self::damaged());
        }
        let (pass, review) = (f64::from_bits(self.word()?), f64::from_bits(self.word()?));
        let no_pointer = if self.flag()? { NoPointer::Pass } else { NoPointer::Review };
        Ok(Thresholds { pass, review, no_pointer })
    }

    fn end<T>(self, whole: T) -> StoreResult<T> {
        if self.0.is_empty() { Ok(whole) } else { Err(Self::damaged()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored() -> AsScored {
        let thresholds = Thresholds { pass: 0.1 + 0.2, review: 1.0 / 3.0, no_pointer: NoPointer::Pass };
        let basis = DecisionInputs {
            supported_score: Some(-0.0),
            known_reasons: Reasons::from_bits(i64::MIN + 5),
            surely_replayed: true,
        };
        let decided = Decided { decision: Decision::Fail, confidence: 0.1 + 0.7, reasons: Reasons::from_bits(9) };
        AsScored { thresholds, basis, decided }
    }

    #[test]
    fn what_was_decided_comes_back_bit_for_bit() {
        let (scored, bytes) = (scored(), bytes(&scored()));
        assert_eq!(bytes.len(), WHOLE);
        let back = read(Some(&bytes), Some(-0.0)).unwrap().unwrap();
        assert_eq!(back, scored);
        assert_eq!(back.decided.confidence.to_bits(), scored.decided.confidence.to_bits());
        let under = thresholds_bytes(&scored.thresholds);
        assert_eq!((under.len(), thresholds(Some(&under)).unwrap()), (18, Some(scored.thresholds)));
        assert_eq!((read(None, None).unwrap(), thresholds(None).unwrap()), (None, None));
    }

    #[test]
    fn damaged_bytes_are_refused_and_a_later_form_is_not_known() {
        let bytes = bytes(&scored());
        for end in 0..bytes.len() {
            assert!(read(Some(&bytes[..end]), None).is_err(), "{end}");
        }
        assert!(read(Some(&[&bytes[..], &[0]].concat()), None).is_err());
        assert!(read(Some(&[&[0], &bytes[1..]].concat()), None).is_err());
        assert_eq!(read(Some(&[&[FORM + 1], &bytes[1..]].concat()), None).unwrap(), None);
    }
}
