//! From the decision as it was scored to the decision as it stands: whether each change begins where the one before ended,
//! follows from what it names as its cause, and whether the last one leads to what stands.

use serde_json::Value;

use super::comparison::{Extent, Findings, Part};
use super::statement::{RevisionPart, Statement, VerdictWords};
use crate::domain::evidence::by_others;
use crate::domain::reason::Reason;
use crate::domain::result::{AsScored, Decided, Decision, DecisionInputs, NoPointer, Thresholds};

/// Everything that decisions are made from here.
struct Follower<'a> {
    words: &'a VerdictWords,
    scored: AsScored,
    /// What decisions may follow from: as scored and, once it was compared with others, with what was found.
    bases: Vec<DecisionInputs>,
    score: Option<f64>,
}

/// How the decision may stand after a change.
struct Standing {
    /// One of these, bit for bit.
    candidates: Vec<Decided>,
    /// A change was made from something that it does not state.
    is_open: bool,
}

/// Checks the decision as scored, the changes, and the decision as it stands; how far the first and the last were computed.
pub(super) fn check(statement: &Statement, words: &VerdictWords, findings: &mut Findings) -> (Extent, Extent) {
    let (Some(scored), Some(basis)) = (words.as_scored, words.basis) else {
        let whole = words.as_scored.is_none();
        findings.holds(whole, Part::Basis, "what the decision follows from is missing");
        chain_alone(statement, words, findings);
        return (Extent::NotRecomputable, Extent::NotRecomputable);
    };
    let score = statement.verdict.anomaly_score;
    let anew = scored.basis.decide(words.kind, score, &scored.thresholds);
    compare(Part::Decision, &scored.decided, &anew, findings);
    let follower = Follower { words, scored, bases: vec![scored.basis, basis], score };
    follower.compared(findings);
    let standing = follower.follow(&statement.revisions, findings);
    label(statement, words, findings);
    let stands = words.standing;
    let same = |one: &Decided| {
        one.decision == stands.decision
            && one.confidence.to_bits() == stands.confidence.to_bits()
            && one.reasons == stands.reasons
    };
    let all = follower.with_silent(&standing.candidates);
    if !standing.is_open && !all.iter().any(same) {
        match all.first() {
            Some(one) => compare(Part::Standing, &stands, one, findings),
            None => findings.add(Part::Standing, "it follows from none of the changes"),
        }
    }
    (Extent::Recomputed, if standing.is_open { Extent::NotRecomputable } else { Extent::Recomputed })
}

fn compare(part: Part, stated: &Decided, computed: &Decided, findings: &mut Findings) {
    findings.same(part, "the decision", &stated.decision.name(), &computed.decision.name());
    findings.same_bits(part, "its confidence", stated.confidence, computed.confidence);
    let codes = super::statement::codes;
    findings.same(part, "its reasons", &codes(stated.reasons), &codes(computed.reasons));
}

/// Where the thresholds were not kept only the chain can be followed.
fn chain_alone(statement: &Statement, words: &VerdictWords, findings: &mut Findings) {
    let mut decision = None;
    for (place, revision) in (1..).zip(&statement.revisions) {
        decision = link(place, revision, decision, findings);
    }
    let ends = decision.is_none_or(|decision| decision == words.standing.decision);
    findings.holds(ends, Part::Revisions, "the last change does not lead to the decision that stands");
    label(statement, words, findings);
}

/// Whether a change begins where the one before ended; where it ends.
fn link(place: usize, revision: &RevisionPart, before: Option<Decision>, findings: &mut Findings) -> Option<Decision> {
    let (from, to) = (Decision::parse(&revision.from), Decision::parse(&revision.to));
    let named = from.is_some() && to.is_some() && from != to;
    findings.holds(named, Part::Revisions, format!("change {place} is none"));
    let joins = before.is_none() || from == before;
    let message = format!("change {place} begins at {}, where another decision stood", revision.from);
    findings.holds(joins, Part::Revisions, message);
    to
}

/// A label decides, whatever else is known.
fn label(statement: &Statement, words: &VerdictWords, findings: &mut Findings) {
    let Some(label) = &statement.label else { return };
    let decision = of_label(&label.label);
    findings.holds(decision.is_some(), Part::Label, "it is neither human nor bot");
    let message = format!("{} decides otherwise than what stands", label.label);
    findings.holds(decision.is_none_or(|decision| decision == words.standing.decision), Part::Label, message);
}

fn of_label(label: &str) -> Option<Decision> {
    match label {
        "human" => Some(Decision::Pass),
        "bot" => Some(Decision::Fail),
        _ => None,
    }
}

/// The thresholds that a change states. Versions before this one left out what becomes of a session without movement.
fn stated_thresholds(detail: &Value, basis: &DecisionInputs) -> Option<Thresholds> {
    let (pass, review) = (detail.get("pass")?.as_f64()?, detail.get("review")?.as_f64()?);
    let no_pointer = match detail.get("noPointer") {
        Some(word) => NoPointer::parse(word.as_str()?)?,
        None if basis.known_reasons.contains(Reason::NoPointer) => return None,
        None => NoPointer::default(),
    };
    Some(Thresholds { pass, review, no_pointer })
}

impl Follower<'_> {
    /// Whether what the decision follows from changed only by what was found later, and only then.
    fn compared(&self, findings: &mut Findings) {
        let [scored, now] = [self.bases[0], self.bases[1]];
        let Some(under) = self.words.compared_under else {
            findings.holds(scored == now, Part::Basis, "it changed since, and nothing was found since");
            return;
        };
        let fits = scored != now
            && by_others(now.known_reasons).contains(Reason::ReplayedMovement)
            && scored.known_reasons.union(by_others(now.known_reasons)) == now.known_reasons
            && (now.surely_replayed || !scored.surely_replayed)
            && under.pass < under.review;
        findings.holds(fits, Part::Basis, "it changed otherwise than by likeness to others");
    }

    fn decide(&self, basis: &DecisionInputs, thresholds: &Thresholds) -> Decided {
        basis.decide(self.words.kind, self.score, thresholds)
    }

    /// Where something was found that left the decision as it was, its reasons are those of then.
    fn with_silent(&self, candidates: &[Decided]) -> Vec<Decided> {
        let mut all = candidates.to_vec();
        if let Some(under) = &self.words.compared_under {
            let found = self.decide(&self.bases[1], under);
            let same = candidates.iter().filter(|one| one.decision == found.decision);
            all.extend(same.map(|one| Decided { reasons: found.reasons, ..*one }));
        }
        all
    }

    fn follow(&self, revisions: &[RevisionPart], findings: &mut Findings) -> Standing {
        let mut standing = Standing { candidates: vec![self.scored.decided], is_open: false };
        let mut decision = Some(self.scored.decided.decision);
        for (place, revision) in (1..).zip(revisions) {
            decision = link(place, revision, decision, findings);
            let Some(to) = decision else { continue };
            match self.after(revision, to, &standing) {
                Ok(next) => standing = next,
                Err(why) => findings.add(Part::Revisions, format!("change {place} {why}")),
            }
        }
        let ends = decision == Some(self.words.standing.decision);
        findings.holds(ends, Part::Revisions, "the changes do not lead to the decision that stands");
        standing
    }

    /// How the decision may stand after a change to `to`.
    fn after(&self, revision: &RevisionPart, to: Decision, before: &Standing) -> Result<Standing, &'static str> {
        let detail = &revision.detail;
        let unstated = || Standing { candidates: Vec::new(), is_open: true };
        let by = |bases: &[DecisionInputs]| {
            let decided = bases.iter().map(|basis| Some(self.decide(basis, &stated_thresholds(detail, basis)?)));
            decided.collect::<Option<Vec<_>>>()
        };
        let candidates = match revision.cause.as_str() {
            "thresholds" => by(&self.bases).ok_or("states no thresholds")?,
            "replay" => {
                if self.words.compared_under.is_none() && self.bases[0] == self.bases[1] {
                    return Err("names a replay that was not found");
                }
                match by(&self.bases[1..]) {
                    Some(decided) => decided,
                    None => return Ok(unstated()),
                }
            }
            "label" => match detail.get("label") {
                Some(Value::Null) => match by(&self.bases) {
                    Some(decided) => decided,
                    None => return Ok(unstated()),
                },
                said => {
                    let said = said.and_then(Value::as_str).and_then(of_label).ok_or("names no label")?;
                    let with = |one: &Decided| Decided { decision: said, confidence: 1.0, reasons: one.reasons };
                    if before.is_open {
                        return if said == to { Ok(unstated()) } else { Err("does not follow from its label") };
                    }
                    self.with_silent(&before.candidates).iter().map(with).collect()
                }
            },
            // No release made one, and what they followed from is not stated.
            "model" | "override" => return Ok(unstated()),
            _ => return Err("has an unknown cause"),
        };
        let candidates: Vec<Decided> = candidates.into_iter().filter(|one| one.decision == to).collect();
        if candidates.is_empty() {
            return Err("does not follow from what it states");
        }
        Ok(Standing { candidates, is_open: false })
    }
}
