//! Every kind of tampering is refused: with the signature left as it was, and signed anew with another key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::tests::{compared, embedded, exported, key, process, recorded};
use crate::domain::session::Session;
use crate::domain::{hex, record};
use crate::evidence_bundle::statement::{ScoredPart, Statement};
use crate::evidence_bundle::{EvidenceKey, Models, Part, PublicKey, SignedEvidence, verify};
use crate::http::testing::TestApp;

type Change = fn(&mut Statement);

/// Evidence of two sessions: one found to be like others after its verdict, and labelled; one that thresholds revised twice.
struct Cases {
    matched: SignedEvidence,
    revised: SignedEvidence,
    key: PublicKey,
    models: Models,
}

fn flip(value: &mut f64) {
    *value = f64::from_bits(value.to_bits() ^ 1);
}

fn swap(decision: &mut String) {
    *decision = if decision == "pass" { "fail" } else { "pass" }.to_owned();
}

/// Another record, with digests that fit.
fn recording(statement: &mut Statement, change: fn(&mut Session)) {
    let mut session = record::decode(&STANDARD.decode(&statement.record.base64).unwrap()).unwrap();
    change(&mut session);
    let mut bytes = Vec::new();
    record::encode(&session, &mut Vec::new(), &mut bytes);
    statement.record.base64 = STANDARD.encode(&bytes);
    statement.record.sha256 = hex::encode(&<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    statement.record.digest = statement.record.sha256[..32].to_owned();
}

fn scored(statement: &mut Statement) -> &mut ScoredPart {
    statement.verdict.as_scored.as_mut().unwrap()
}

/// Each kind, what it does to the statement, and the part in which recomputation finds it however it is signed.
const COMPUTED: [(&str, Part, Change); 34] = [
    ("a point moved, digests made anew", Part::Features, |s| recording(s, |r| r.movements.x[40] += 3.0)),
    ("a time changed, digests made anew", Part::Features, |s| recording(s, |r| r.movements.t[41] += 1.0)),
    ("another game, digests made anew", Part::Session, |s| recording(s, |r| r.game_type.push('x'))),
    ("a user taken out, digests made anew", Part::Session, |s| recording(s, |r| r.user_id = None)),
    ("a point at infinity, digests made anew", Part::Record, |s| recording(s, |r| r.movements.x[40] = f64::INFINITY)),
    ("the record cut short", Part::Record, |s| s.record.base64.truncate(s.record.base64.len() - 8)),
    ("the record's digest", Part::Record, |s| s.record.digest = "0".repeat(32)),
    ("the record's SHA-256", Part::Record, |s| s.record.sha256 = "0".repeat(64)),
    ("the last bit of a feature", Part::Features, |s| flip(&mut s.features.values[7])),
    ("a feature dropped", Part::Features, |s| s.features.values.truncate(9)),
    ("another feature set", Part::Features, |s| s.features.set = "v2".to_owned()),
    ("the rules' score", Part::Rules, |s| s.rules.score += 0.5),
    ("a rule added", Part::Rules, |s| s.rules.reasons.insert(0, "path_too_straight".to_owned())),
    ("a ruling forged", Part::Basis, |s| s.rules.ruling = Some("allowed".to_owned())),
    ("the model's version", Part::Model, |s| s.verdict.model_version = "0".repeat(12)),
    ("the model's name", Part::Model, |s| s.verdict.model_id.push('x')),
    ("the last bit of the score", Part::Score, |s| flip(s.verdict.anomaly_score.as_mut().unwrap())),
    ("the last bit of the raw score", Part::Score, |s| flip(s.verdict.raw_score.as_mut().unwrap())),
    ("whether the score is extrapolated", Part::Score, |s| s.verdict.extrapolated = !s.verdict.extrapolated),
    ("the calibration class", Part::Score, |s| s.verdict.class.push('x')),
    ("the last bit of the score that decides", Part::Score, |s| {
        flip(scored(s).basis.supported_score.as_mut().unwrap());
    }),
    ("the source", Part::Features, |s| s.verdict.source = "woodwide".to_owned()),
    ("the decision as scored", Part::Decision, |s| swap(&mut scored(s).decided.decision)),
    ("the last bit of the confidence as scored", Part::Decision, |s| flip(&mut scored(s).decided.confidence)),
    ("the thresholds as scored", Part::Decision, |s| {
        let scored = scored(s);
        let failed = scored.decided.decision == "fail";
        (scored.thresholds.pass, scored.thresholds.review) = if failed { (5.5, 5.75) } else { (0.0, 0.125) };
    }),
    ("a reason added to those known", Part::Basis, |s| {
        scored(s).basis.known_reasons.insert(0, "path_too_straight".to_owned());
    }),
    ("a reason of unknown name", Part::Form, |s| s.verdict.standing.reasons.push("nothing".to_owned())),
    ("the decision that stands", Part::Revisions, |s| swap(&mut s.verdict.standing.decision)),
    ("the last bit of the confidence that stands", Part::Standing, |s| flip(&mut s.verdict.standing.confidence)),
    ("a reason added to those that stand", Part::Standing, |s| {
        s.verdict.standing.reasons.insert(0, "path_too_straight".to_owned());
    }),
    ("a change dropped", Part::Revisions, |s| drop(s.revisions.remove(0))),
    ("a change added", Part::Revisions, |s| s.revisions.push(s.revisions[0].clone())),
    ("the cause of a change", Part::Revisions, |s| s.revisions[0].cause = "nobody".to_owned()),
    ("where a change leads", Part::Revisions, |s| swap(&mut s.revisions[0].to)),
];

/// The same of what only one of the sessions has.
const OF_THE_MATCHED: [(&str, Part, Change); 6] = [
    ("that it is like others taken out", Part::Matches, |s| {
        let basis = s.verdict.basis.as_mut().unwrap();
        basis.known_reasons.retain(|code| code != "replayed_movement" && code != "campaign");
        basis.surely_replayed = false;
    }),
    ("that it is like others known from the first", Part::Decision, |s| {
        s.verdict.as_scored.as_mut().unwrap().basis = s.verdict.basis.clone().unwrap();
    }),
    ("the thresholds of the comparison taken out", Part::Basis, |s| s.verdict.compared_under = None),
    ("more matches than there can be", Part::Matches, |s| s.matches = vec![s.record.digest.clone(); 6]),
    ("the label forged", Part::Label, |s| s.label.as_mut().unwrap().label = "bot".to_owned()),
    ("the label of a change", Part::Revisions, |s| s.revisions.last_mut().unwrap().detail = json!({"label": "bot"})),
];

const OF_THE_REVISED: [(&str, Part, Change); 3] = [
    ("the thresholds of a change", Part::Revisions, |s| {
        s.revisions[1].detail = json!({"pass": 5.0, "review": 5.5, "noPointer": "review"});
    }),
    ("a match made up", Part::Matches, |s| s.matches.push("0".repeat(32))),
    ("a change made one by a label", Part::Revisions, |s| s.revisions[0].cause = "label".to_owned()),
];

/// What follows from nothing: the signature alone stands for it.
const ATTESTED: [(&str, Change); 9] = [
    ("the session", |s| s.session.id.push('x')),
    ("the deployment", |s| s.session.deployment.push('x')),
    ("the user", |s| s.session.user = Some("0".repeat(32))),
    ("when it was scored", |s| s.verdict.scored_at.replace_range(0..4, "2031")),
    ("when it was accepted", |s| s.session.accepted_at.replace_range(0..4, "2031")),
    ("a match removed", |s| drop(s.matches.pop())),
    ("the order of matches", |s| s.matches.reverse()),
    ("a match replaced", |s| s.matches[0] = "0".repeat(32)),
    ("a note", |s| s.label.as_mut().unwrap().note.push('x')),
];

async fn score(app: &TestApp, n: usize, at_once: bool) {
    let mut one = recorded(n);
    one["deploymentId"] = "".into();
    one["useBatch"] = (!at_once).into();
    // Copies that differ, so that they have digests of their own.
    one["hits"] = n.into();
    let reply = app.post("/api/v1/score", &one).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    process(app).await;
    compared(app).await;
}

async fn cases() -> Cases {
    let app = embedded().await;
    for n in [3, 4, 9] {
        score(&app, n, n == 9).await;
    }
    let apply = async |pass: f64, review: f64| {
        let thresholds = json!({"pass": pass, "review": review});
        assert_eq!(app.post("/api/v1/thresholds", &thresholds).await.status, 200);
    };
    apply(5.75, 5.875).await;
    score(&app, 5, true).await;
    let human = json!({"label": "human", "note": "known to the desk"});
    assert_eq!(app.post("/api/v1/sessions/s-5/label", &human).await.status, 200);
    apply(0.0, 0.125).await;
    let of = async |n| serde_json::from_str::<SignedEvidence>(&exported(&app, n).await).unwrap();
    let (matched, revised) = (of(5).await, of(9).await);
    let causes = |signed| statement(signed).revisions.into_iter().map(|one| one.cause).collect::<Vec<_>>();
    assert_eq!(
        (causes(&matched), causes(&revised)),
        (vec!["replay".to_owned(), "label".to_owned()], vec!["thresholds".to_owned(); 2])
    );
    assert_eq!(statement(&matched).matches.len(), 2);
    Cases { matched, revised, key: key(&app).await, models: Models::with_bundled([]).unwrap() }
}

fn statement(signed: &SignedEvidence) -> Statement {
    serde_json::from_str(&signed.payload).unwrap()
}

fn text(signed: &SignedEvidence) -> String {
    serde_json::to_string(signed).unwrap()
}

impl Cases {
    fn parts(&self, text: &str, pinned: bool) -> Vec<Part> {
        let checked = verify(text, pinned.then_some(&self.key), &self.models);
        checked.findings.iter().map(|finding| finding.part).collect()
    }

    /// Refuses a change as it is, and signed anew: by the key where it is named and, where it is found in a `part`, always.
    #[track_caller]
    fn refuses(&self, name: &str, whole: &SignedEvidence, part: Option<Part>, change: Change) {
        let mut changed = statement(whole);
        change(&mut changed);
        let payload = changed.text().unwrap();
        assert_ne!(payload, whole.payload, "{name} changes nothing");
        let as_it_was = SignedEvidence { payload: payload.clone(), ..whole.clone() };
        for pinned in [false, true] {
            assert!(self.parts(&text(&as_it_was), pinned).contains(&Part::Signature), "{name}, {pinned}");
        }
        let anew = text(&EvidenceKey::new(None, &[99; 32]).sign(payload));
        assert!(self.parts(&anew, true).contains(&Part::Signature), "{name}, signed anew");
        let found = self.parts(&anew, false);
        match part {
            Some(part) => assert!(found.contains(&part), "{name}, signed anew: {found:?}"),
            None => assert_eq!(found, [], "{name} follows from something after all"),
        }
    }
}

#[tokio::test]
async fn every_kind_of_tampering_with_what_is_stated_is_refused() {
    let cases = cases().await;
    for whole in [&cases.matched, &cases.revised] {
        assert_eq!(cases.parts(&text(whole), true), []);
        for (name, part, change) in COMPUTED {
            cases.refuses(name, whole, Some(part), change);
        }
    }
    for (name, part, change) in OF_THE_MATCHED {
        cases.refuses(name, &cases.matched, Some(part), change);
    }
    for (name, part, change) in OF_THE_REVISED {
        cases.refuses(name, &cases.revised, Some(part), change);
    }
    for (name, change) in ATTESTED {
        cases.refuses(name, &cases.matched, None, change);
    }
}

#[tokio::test]
async fn every_kind_of_tampering_with_the_document_is_refused() {
    let cases = cases().await;
    let whole = text(&cases.matched);
    let payload = &cases.matched.payload;
    let signature = |change: fn(&mut SignedEvidence)| {
        let mut changed = cases.matched.clone();
        change(&mut changed);
        text(&changed)
    };
    let another = EvidenceKey::new(None, &[99; 32]);
    let mut swapped = cases.matched.clone();
    swapped.signature.public_key = another.public().to_string();
    let mut transplanted = cases.matched.clone();
    transplanted.signature = cases.revised.signature.clone();
    // Written by hand: `again` signs a payload that says the same in another way.
    let again = |payload: String| text(&another.sign(payload));
    let kinds: [(&str, Part, String); 16] = [
        (
            "a bit of the signature",
            Part::Signature,
            signature(|s| {
                let last = if s.signature.value.ends_with('0') { "1" } else { "0" };
                s.signature.value.replace_range(127.., last);
            }),
        ),
        ("the signature in capitals", Part::Signature, signature(|s| s.signature.value.make_ascii_uppercase())),
        ("no signature", Part::Signature, signature(|s| s.signature.value.clear())),
        ("another algorithm", Part::Signature, signature(|s| s.signature.algorithm = "none".to_owned())),
        ("the key swapped", Part::Signature, text(&swapped)),
        ("the signature of another document", Part::Signature, text(&transplanted)),
        ("another format", Part::Form, signature(|s| s.format.push('x'))),
        ("a later format", Part::Form, signature(|s| s.format_version += 1)),
        ("a file cut short", Part::Form, whole[..whole.len() / 2].to_owned()),
        ("a member twice", Part::Form, whole.replacen("{\"format\"", "{\"format\":\"x\",\"format\"", 1)),
        ("a member more", Part::Form, whole.replacen("{\"format\"", "{\"more\":1,\"format\"", 1)),
        ("a member less", Part::Form, whole.replacen("\"formatVersion\":1,", "", 1)),
        (
            "a member of the payload twice, signed anew",
            Part::Form,
            again(payload.replacen("{\"format\"", "{\"program\":\"x\",\"format\"", 1)),
        ),
        (
            "a member more in the payload, signed anew",
            Part::Form,
            again(payload.replacen("{\"format\"", "{\"more\":1,\"format\"", 1)),
        ),
        ("a blank in the payload, signed anew", Part::Form, again(payload.replacen("{\"format\"", "{ \"format\"", 1))),
        (
            "a detail twice, signed anew",
            Part::Form,
            again(payload.replacen("\"detail\":{", "\"detail\":{\"label\":\"bot\",", 1)),
        ),
    ];
    for (name, part, changed) in &kinds {
        assert_ne!(*changed, whole, "{name} changes nothing");
        for pinned in [false, true] {
            let found = cases.parts(changed, pinned);
            assert!(found.contains(part), "{name}: {found:?}");
        }
    }
    let same = text(&another.sign(payload.clone()));
    assert_eq!(cases.parts(&same, false), [], "without the key anybody may have signed");
    assert_eq!(cases.parts(&same, true), [Part::Signature]);
}

#[tokio::test]
async fn not_one_bit_of_the_document_can_be_changed() {
    let cases = cases().await;
    let whole = text(&cases.revised).into_bytes();
    for place in (0..whole.len()).step_by(61) {
        for bit in [1, 32] {
            let mut changed = whole.clone();
            changed[place] ^= bit;
            let changed = String::from_utf8(changed).unwrap();
            assert_ne!(cases.parts(&changed, true), [], "at {place}: {}", &changed[place.saturating_sub(20)..=place]);
        }
    }
}
