//! What a client sees of the session parser: accepted values, refusals with their paths, and serde as the oracle.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::refusal::RefusalKind;

fn parse(text: &str) -> Result<Session, Refusal> {
    Session::parse(text.as_bytes(), &Bounds::default())
}

fn refused(text: &str) -> (RefusalKind, String) {
    let refusal = parse(text).expect_err(text);
    (refusal.kind, refusal.to_string())
}

#[test]
fn a_minimal_session_gets_the_defaults() {
    let session = parse(r#"{"sessionId":"a","movements":[{"x":1,"y":-0,"timestamp":3.5}]}"#).unwrap();
    assert_eq!(session.id.as_str(), "a");
    assert_eq!((session.game_type.as_str(), session.device_type.as_str()), ("unknown", "unknown"));
    assert_eq!((session.duration_ms, session.hits, session.misses, session.use_batch), (0.0, 0, 0, false));
    assert_eq!(session.movements.y[0].to_bits(), 0.0f64.to_bits(), "minus zero is zero");
    assert!(session.movements.trusted.is_empty());
}

#[test]
fn every_field_is_read_in_any_order_with_space_escapes_and_unknown_fields() {
    let text = r#" { "useBatch" : true, "x": {"deep":[1,{"a":null}]}, "clicks":[{"targetHit":true,"timestamp":9,"y":2,"x":1}],
        "hits":3.0, "misses":0, "durationMs":-5, "deviceType":"mou\u0073e", "gameType":"osu", "userId":null,
        "deploymentId":"shop", "movements":[{"y":2,"x":1,"timestamp":0,"pressure":0.5},
        {"isTrusted":false,"timestamp":1e1,"x":1.25,"y":2}], "sessionId":"s-1" } "#;
    let session = parse(text).unwrap();
    assert_eq!(session.device_type, "mouse");
    assert_eq!((session.hits, session.duration_ms, session.use_batch), (3, -5.0, true));
    assert_eq!(session.movements.t, [0.0, 10.0]);
    assert_eq!(session.movements.trusted, [None, Some(false)]);
    assert_eq!(session.clicks, [Click { x: 1.0, y: 2.0, t: 9.0, target_hit: true }]);
    assert_eq!((session.user_id, session.deployment_id.as_str()), (None, "shop"));
}

#[test]
fn a_visitor_without_a_pointer_has_a_session_too() {
    let text = "\u{feff}{\"token\":\"pc_x\",\"sessionId\":\"a\",\"movements\":[],\"context\":{\"keys\":7}}";
    let session = parse(text).unwrap();
    assert_eq!((session.movements.len(), session.token.as_deref()), (0, Some("pc_x")));
    assert_eq!(crate::heuristic::reservations(&session), [crate::reason::Reason::NoPointer].into_iter().collect());
    let mut extractor = crate::features::Extractor::default();
    for set in crate::features::FeatureSet::ALL {
        let mut row = Vec::new();
        extractor.extract(set, &session, &mut row);
        assert!(row.iter().all(|value| value.is_finite()), "{set:?}: {row:?}");
    }
    assert!(crate::sketch::Movement::of(&session).is_none());
}

#[test]
fn faults_name_the_field_and_the_kind() {
    use RefusalKind::{Malformed, OutOfBounds};
    let cases = [
        ("", Malformed, "body is not valid JSON"),
        ("[]", Malformed, "body must be a session object, not a list"),
        ("{", Malformed, "body is not valid JSON"),
        ("not json", Malformed, "body is not valid JSON: unexpected character at byte 0"),
        ("truth", Malformed, "body is not valid JSON: unexpected character at byte 0"),
        ("null", Malformed, "body must be a session object, not null"),
        (r#"{"movements":[{"x":1,"y":1,"timestamp":1}]}"#, Malformed, "sessionId is missing"),
        (r#"{"sessionId":"","movements":[{"x":1,"y":1,"timestamp":1}]}"#, Malformed, "sessionId is empty"),
        (r#"{"sessionId":null,"movements":[{"x":1,"y":1,"timestamp":1}]}"#, Malformed, "sessionId is missing"),
        (r#"{"sessionId":7}"#, Malformed, "sessionId must be a string, not a number"),
        (r#"{"sessionId":"a"}"#, Malformed, "movements is missing"),
        (r#"{"sessionId":"a","movements":[],"context":7}"#, Malformed, "context must be an object of counts"),
        (r#"{"sessionId":"a","movements":[],"token":7}"#, Malformed, "token must be a string, not a number"),
        (r#"{"sessionId":"a","movements":{}}"#, Malformed, "movements must be a list, not an object"),
        (r#"{"sessionId":"a","movements":[7]}"#, Malformed, "movements[0] must be an object"),
        (r#"{"sessionId":"a","movements":[{"x":1,"y":1}]}"#, Malformed, "movements[0].timestamp is missing"),
        (r#"{"sessionId":"a","movements":[{"y":1,"timestamp":1}]}"#, Malformed, "movements[0].x is missing"),
        (r#"{"sessionId":"a","movements":[{"x":"1"}]}"#, Malformed, "movements[0].x must be a number, not a string"),
        (r#"{"sessionId":"a","movements":[{"x":null}]}"#, Malformed, "movements[0].x must be a number, not null"),
        (r#"{"sessionId":"a","movements":[{"x":NaN}]}"#, Malformed, "body is not valid JSON"),
        (r#"{"sessionId":"a","movements":[{"x":1,"x":2}]}"#, Malformed, "movements[0].x is given twice"),
        (r#"{"sessionId":"a","sessionId":"b"}"#, Malformed, "sessionId is given twice"),
        (r#"{"sessionId":"a/b"}"#, OutOfBounds, "sessionId must be 1 to 256 bytes"),
        (r#"{"sessionId":".."}"#, OutOfBounds, "sessionId must be"),
        (
            r#"{"sessionId":"a","movements":[{"x":0,"y":0,"timestamp":0},{"x":1e308}]}"#,
            OutOfBounds,
            "movements[1].x must be finite",
        ),
        (r#"{"sessionId":"a","movements":[{"x":1e999}]}"#, OutOfBounds, "movements[0].x must be finite"),
        (
            r#"{"sessionId":"a","movements":[{"timestamp":-1.1e15}]}"#,
            OutOfBounds,
            "movements[0].timestamp must be finite",
        ),
        (r#"{"sessionId":"a","durationMs":1e16}"#, OutOfBounds, "durationMs must be finite"),
        (r#"{"sessionId":"a","hits":-1}"#, OutOfBounds, "hits must be a whole number"),
        (r#"{"sessionId":"a","hits":1.5}"#, OutOfBounds, "hits must be a whole number"),
        (r#"{"sessionId":"a","misses":1e9}"#, OutOfBounds, "misses must be a whole number"),
        (r#"{"sessionId":"a","useBatch":1}"#, Malformed, "useBatch must be true or false, not a number"),
        (
            r#"{"sessionId":"a","clicks":[{"x":1,"y":1,"timestamp":0,"targetHit":1}]}"#,
            Malformed,
            "clicks[0].targetHit must be",
        ),
    ];
    for (text, kind, start) in cases {
        let (found, message) = refused(text);
        assert_eq!(found, kind, "{text}: {message}");
        assert!(message.starts_with(start), "{text}: {message}");
    }
    assert_eq!(refused(&format!(r#"{{"sessionId":"a","gameType":"{}"}}"#, "g".repeat(257))).0, OutOfBounds);
    assert!(Session::parse(b"{\"sessionId\":\"\xff\"}", &Bounds::default()).unwrap_err().message.contains("UTF-8"));
}

#[test]
fn lists_end_at_their_bound() {
    let bounds = Bounds { movements: 2, clicks: 1 };
    let point = r#"{"x":1,"y":1,"timestamp":1}"#;
    let text = |movements: usize, clicks: usize| {
        let list = |n: usize| vec![point; n].join(",");
        format!(r#"{{"sessionId":"a","movements":[{}],"clicks":[{}]}}"#, list(movements), list(clicks))
    };
    assert!(Session::parse(text(2, 1).as_bytes(), &bounds).is_ok());
    let refusal = Session::parse(text(1, 2).as_bytes(), &bounds).unwrap_err();
    assert_eq!((refusal.kind, refusal.path), (RefusalKind::OutOfBounds, FieldPath::Field("clicks")));
}

proptest! {
    #[test]
    fn of_more_movements_than_are_kept_an_even_selection_stays(most in 1usize..40, sent in 0usize..400, trusted in 0usize..400) {
        let points = (0..sent).map(|n| {
            let said = if n == trusted { r#","isTrusted":false"# } else { "" };
            format!(r#"{{"x":{n},"y":-{n},"timestamp":{n}{said}}}"#)
        });
        let list = points.collect::<Vec<_>>().join(",");
        let bounds = Bounds { movements: most, clicks: 0 };
        let text = format!(r#"{{"sessionId":"a","movements":[{list}]}}"#);
        let session = Session::parse(text.as_bytes(), &bounds).unwrap();
        let kept = session.movements.len();
        prop_assert_eq!(kept + session.thinned, sent);
        prop_assert!(kept <= most && (sent <= most) == (session.thinned == 0));
        // At least half of what may be kept, in even steps from the first on.
        prop_assert!(sent <= most || 2 * kept >= most);
        let step = if kept > 1 { session.movements.t[1] } else { 1.0 };
        let expected: Vec<f64> = (0..kept).map(|n| n as f64 * step).collect();
        prop_assert_eq!(&session.movements.t, &expected);
        prop_assert_eq!(&session.movements.x, &expected);
        let said = expected.iter().any(|t| *t as usize == trusted);
        let column: Vec<Option<bool>> = expected.iter().map(|t| (*t as usize == trusted).then_some(false)).collect();
        prop_assert_eq!(session.movements.trusted, if said { column } else { Vec::new() });
    }
}

/// Sets the value at `pointer` to `last`, which is taken, and to `beyond`, which is refused as out of bounds.
fn holds(pointer: &str, last: impl Into<Value>, beyond: impl Into<Value>) {
    let (last, beyond) = (last.into(), beyond.into());
    let point = json!({"x": 1, "y": 1, "timestamp": 1});
    let mut session = json!({"sessionId": "a", "userId": "", "deploymentId": "", "gameType": "", "deviceType": "",
        "durationMs": 0, "movements": [point], "clicks": [point], "hits": 0, "misses": 0});
    let mut with = |value: &Value| {
        value.clone_into(session.pointer_mut(pointer).unwrap());
        parse(&session.to_string())
    };
    let shown = |value: &Value| value.to_string().chars().take(40).collect::<String>();
    assert!(with(&last).is_ok(), "{pointer} {}", shown(&last));
    let refused = with(&beyond).expect_err(pointer);
    assert_eq!(refused.kind, RefusalKind::OutOfBounds, "{pointer} {}", shown(&beyond));
}

#[test]
fn every_bound_holds_to_its_last_value() {
    for (field, bound) in [("x", 1e7_f64), ("y", 1e7), ("timestamp", 1e15)] {
        for list in ["movements", "clicks"] {
            let pointer = format!("/{list}/0/{field}");
            holds(&pointer, json!(bound), json!(bound.next_up()));
            holds(&pointer, json!(-bound), json!(-bound.next_up()));
        }
    }
    holds("/durationMs", json!(1e15), json!(1e15_f64.next_up()));
    holds("/durationMs", json!(-1e15), json!(-1e15_f64.next_up()));
    for field in ["/hits", "/misses"] {
        holds(field, json!(1_000_000), json!(1_000_001));
        holds(field, json!(0), json!(-1));
    }
    for field in ["/userId", "/deploymentId", "/gameType", "/deviceType"] {
        holds(field, json!("x".repeat(256)), json!("x".repeat(257)));
        holds(field, json!("é".repeat(128)), json!("é".repeat(129)));
    }
    holds("/sessionId", json!("x".repeat(256)), json!("x".repeat(257)));
    for beyond in [".", "..", "a/b", " a", "a ", "a\u{0}"] {
        holds("/sessionId", json!("..."), json!(beyond));
    }
    let point = json!({"x": 1, "y": 1, "timestamp": 1});
    holds("/clicks", json!(vec![&point; 2_000]), json!(vec![&point; 2_001]));
    let session = |movements: usize| json!({"sessionId": "a", "movements": vec![&point; movements]}).to_string();
    assert_eq!(parse(&session(20_000)).unwrap().thinned, 0);
    assert_eq!(parse(&session(20_001)).unwrap().thinned, 10_000);
}

#[test]
fn what_is_skipped_may_nest_to_its_bound_wherever_it_stands() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (depth, taken) in [(65, true), (66, false), (200_000, false)] {
        let nested = nested(depth);
        for text in [
            format!(r#"{{"sessionId":"a","movements":[{{"x":1,"y":1,"timestamp":1}}],"other":{nested}}}"#),
            format!(r#"{{"sessionId":"a","movements":[{{"x":1,"y":1,"timestamp":1,"other":{nested}}}]}}"#),
        ] {
            assert_eq!(parse(&text).is_ok(), taken, "{depth}");
        }
    }
}

/// The same wire shape by serde, as an independent reading.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Oracle {
    session_id: String,
    movements: Vec<OraclePoint>,
    #[serde(default)]
    duration_ms: f64,
}

#[derive(serde::Deserialize)]
struct OraclePoint {
    x: f64,
    y: f64,
    timestamp: f64,
}

fn arbitrary_number() -> impl Strategy<Value = String> {
    prop_oneof![
        (-2000i32..2000).prop_map(|v| v.to_string()),
        (-2000.0..2000.0f64).prop_map(|v| format!("{v:.1}")),
        (-1e7..1e7f64).prop_map(|v| format!("{v}")),
        (-1e7..1e7f64).prop_map(|v| format!("{v:e}")),
    ]
}

proptest! {
    #[test]
    fn values_equal_those_that_serde_reads(
        points in proptest::collection::vec((arbitrary_number(), arbitrary_number(), arbitrary_number()), 1..40),
        duration in arbitrary_number(),
    ) {
        let list: Vec<_> = points.iter().map(|(x, y, t)| format!(r#"{{"x":{x},"y":{y},"timestamp":{t}}}"#)).collect();
        let text = format!(r#"{{"sessionId":"p","durationMs":{duration},"movements":[{}]}}"#, list.join(","));
        let oracle: Oracle = serde_json::from_str(&text).unwrap();
        let session = match parse(&text) {
            // Times at random may look like those of another unit.
            Err(refusal) if refusal.kind == RefusalKind::TimestampUnit => return Ok(()),
            parsed => parsed.unwrap(),
        };
        prop_assert_eq!(session.id.as_str(), oracle.session_id);
        prop_assert_eq!(session.duration_ms, oracle.duration_ms);
        prop_assert_eq!(session.movements.x, oracle.movements.iter().map(|p| p.x).collect::<Vec<_>>());
        prop_assert_eq!(session.movements.y, oracle.movements.iter().map(|p| p.y).collect::<Vec<_>>());
        prop_assert_eq!(session.movements.t, oracle.movements.iter().map(|p| p.timestamp).collect::<Vec<_>>());
    }

    #[test]
    fn mutated_sessions_never_panic_and_agree_with_serde_on_syntax(
        cuts in proptest::collection::vec((0usize..300, any::<u8>()), 1..6),
    ) {
        let mut body = br#"{"sessionId":"s-1","gameType":"osu","durationMs":9000,"movements":[{"x":1,"y":2,"timestamp":0},{"x":1.5,"y":2e0,"timestamp":16}],"clicks":[{"x":1,"y":2,"timestamp":0,"targetHit":true}],"hits":1,"misses":2,"useBatch":true}"#.to_vec();
        for (at, byte) in cuts {
            let at = at % body.len();
            if byte < 64 { body.remove(at); } else { body[at] = byte; }
        }
        if Session::parse(&body, &Bounds::default()).is_ok() {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
        }
    }
}
