//! The first verdict of a session as both stores keep it: decision, confidence and score in columns, and what else the
//! embedded model said in one value of bytes. A session that was scored at once has the rest in its result.

use super::{FirstScore, StoreError, StoreResult, StoredResult};
use playproof_domain::calibration::Calibrated;
use playproof_domain::heuristic;
use playproof_domain::reason::Reasons;
use playproof_domain::result::{Decision, DecisionInputs, ModelIdentity, ScoreKind, Source, Verdict};

/// Of the bytes; another number is a form that this program does not know.
const FORM: u8 = 1;

/// What [`by_model`] keeps of a verdict.
struct ByModel {
    /// Those that the verdict showed.
    reasons: Reasons,
    score: FirstScore,
}

/// The bytes to keep of the first verdict of a session that waits for its batch; `None` where the rules gave it.
pub(super) fn by_model(verdict: &Verdict) -> Option<Vec<u8>> {
    let (raw, score, basis) = (verdict.raw_score?, verdict.anomaly_score?, verdict.basis?);
    if (verdict.source, verdict.kind) != (Source::Embedded, ScoreKind::Calibrated) {
        return None;
    }
    let texts = [&verdict.model.id, &verdict.model.version, &verdict.class];
    let mut bytes = Vec::with_capacity(46 + texts.iter().map(|text| text.len()).sum::<usize>());
    bytes.extend([FORM, u8::from(verdict.extrapolated)]);
    let supported_score = basis.supported_score.unwrap_or(score);
    for number in [raw.to_bits(), supported_score.to_bits()] {
        bytes.extend(number.to_le_bytes());
    }
    for reasons in [verdict.reasons, basis.known_reasons] {
        bytes.extend(reasons.bits().to_le_bytes());
    }
    for text in texts {
        bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    Some(bytes)
}

/// What the embedded model said, from its bytes and the score in the column. `None` for a form of a later version too: the
/// session is then scored like one of which nothing is known.
pub(super) fn score(bytes: Option<&[u8]>, score: f64) -> StoreResult<Option<FirstScore>> {
    let bytes = bytes.filter(|bytes| bytes.first().is_none_or(|form| *form <= FORM));
    Ok(bytes.map(|bytes| read(bytes, score)).transpose()?.map(|said| said.score))
}

fn read(bytes: &[u8], score: f64) -> StoreResult<ByModel> {
    let damaged = || StoreError::Corrupt(format!("a first verdict of {} bytes", bytes.len()));
    let (head, mut rest) = bytes.split_at_checked(34).ok_or_else(damaged)?;
    if head[0] != FORM {
        return Err(StoreError::Corrupt(format!("a first verdict of form {}", head[0])));
    }
    let mut words = head[2..].chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
    let mut word = || words.next().unwrap_or_default();
    let (raw, supported_score) = (f64::from_bits(word()), f64::from_bits(word()));
    let [reasons, known_reasons] = [word(), word()].map(|bits| Reasons::from_bits(bits.cast_signed()));
    let mut text = || {
        let (length, after) = rest.split_first_chunk().ok_or_else(damaged)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (text, after) = after.split_at_checked(length).ok_or_else(damaged)?;
        rest = after;
        String::from_utf8(text.to_vec()).map_err(|_| damaged())
    };
    let model = ModelIdentity { id: text()?, version: text()? };
    let class = text()?;
    // Of a calibrated score, that is what the p-value was made into.
    let calibrated = Calibrated { p: 10f64.powf(-supported_score), score, supported_score, extrapolated: head[1] == 1 };
    Ok(ByModel { reasons, score: FirstScore { model, raw, calibrated, class, known_reasons } })
}

/// What the columns of a session say of its first verdict.
pub(super) struct Columns<'a> {
    pub(super) decision: Decision,
    pub(super) confidence: f64,
    pub(super) score: f64,
    pub(super) reasons: Reasons,
    pub(super) by_model: Option<&'a [u8]>,
}

impl Columns<'_> {
    /// The first verdict of a session that has this result, if any.
    pub(super) fn verdict(self, result: Option<&StoredResult>) -> StoreResult<Verdict> {
        let Self { decision, confidence, score, reasons, by_model } = self;
        if let Some(at_once) = result.filter(|result| result.batch.is_none()) {
            return Ok(Verdict { decision, confidence, reasons, ..at_once.verdict.clone() });
        }
        let rules = Verdict {
            decision,
            confidence,
            anomaly_score: Some(score),
            raw_score: None,
            kind: ScoreKind::Heuristic,
            extrapolated: false,
            source: Source::Heuristic,
            model: ModelIdentity { id: heuristic::MODEL_ID.to_owned(), version: heuristic::MODEL_VERSION.to_owned() },
            class: String::new(),
            reasons,
            fallback: false,
            basis: Some(DecisionInputs {
                supported_score: Some(score),
                known_reasons: reasons,
                surely_replayed: false,
            }),
            thresholds: None,
        };
        let Some(bytes) = by_model else { return Ok(rules) };
        let ByModel { reasons, score: said } = read(bytes, score)?;
        let basis = DecisionInputs {
            supported_score: Some(said.calibrated.supported_score),
            known_reasons: said.known_reasons,
            surely_replayed: false,
        };
        Ok(Verdict {
            raw_score: Some(said.raw),
            kind: ScoreKind::Calibrated,
            extrapolated: said.calibrated.extrapolated,
            source: Source::Embedded,
            model: said.model,
            class: said.class,
            reasons,
            basis: Some(basis),
            ..rules
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::verdict;

    fn columns<'a>(of: &Verdict, by_model: Option<&'a [u8]>) -> Columns<'a> {
        let (decision, confidence, score) = (of.decision, of.confidence, of.anomaly_score.unwrap());
        Columns { decision, confidence, score, reasons: Reasons::default(), by_model }
    }

    #[test]
    fn what_the_model_said_comes_back_bit_for_bit() {
        for raw in [-0.0, 0.1 + 0.2, 1.0 / 3.0, f64::MAX] {
            let first = verdict(Decision::Review, raw);
            let first = Verdict {
                thresholds: None,
                extrapolated: raw > 1.0,
                basis: Some(DecisionInputs { surely_replayed: false, ..first.basis.unwrap() }),
                ..first
            };
            let bytes = by_model(&first).unwrap();
            assert_eq!(columns(&first, Some(&bytes)).verdict(None).unwrap(), first);
            let said = score(Some(&bytes), first.anomaly_score.unwrap()).unwrap().unwrap();
            assert_eq!((&said.model, said.raw.to_bits(), &said.class), (&first.model, raw.to_bits(), &first.class));
            assert_eq!(said.known_reasons, first.basis.unwrap().known_reasons);
        }
    }

    #[test]
    fn damaged_bytes_are_refused_and_read_no_further_than_they_go() {
        let first = verdict(Decision::Pass, 2.0);
        let bytes = by_model(&first).unwrap();
        for end in 0..bytes.len() {
            assert!(score(Some(&bytes[..end]), 1.0).is_err(), "{end} of {} bytes", bytes.len());
        }
        let long = [&bytes[..34], &[0xff; 4]].concat();
        assert!(score(Some(&long), 1.0).is_err());
        assert!(score(Some(&[&[0], &bytes[1..]].concat()), 1.0).is_err());
        assert_eq!(score(None, 1.0).unwrap(), None);
    }

    #[test]
    fn a_form_of_a_later_version_is_no_score_and_no_verdict() {
        let first = verdict(Decision::Pass, 2.0);
        let later = [&[FORM + 1], &by_model(&first).unwrap()[1..]].concat();
        assert_eq!(score(Some(&later), 1.0).unwrap(), None, "the batch asks the model");
        assert!(columns(&first, Some(&later)).verdict(None).is_err(), "nothing is made up about what was answered");
    }

    #[test]
    fn a_verdict_of_the_rules_needs_no_bytes() {
        let rules = Verdict { source: Source::Heuristic, ..verdict(Decision::Pass, 2.0) };
        assert_eq!(by_model(&rules), None);
    }
}
