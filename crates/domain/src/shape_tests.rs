//! Points read by shape against points read in full: the same sessions, records, digests and refusals, bit for bit.

use proptest::prelude::*;

use super::*;
use crate::record::{self, SessionDigest};

/// All there is to a session, or its refusal; two that show alike have the same bits.
fn outcome(body: &[u8], bounds: &Bounds, by_shape: bool) -> String {
    let mut session = Session::default();
    match session.read(body, bounds, by_shape) {
        Ok(()) => {
            let mut bytes = Vec::new();
            record::encode(&session, &mut Vec::new(), &mut bytes);
            format!("{session:?} {:?} {bytes:?}", SessionDigest::of(&bytes))
        }
        Err(refusal) => format!("{refusal:?}"),
    }
}

#[track_caller]
fn same(body: &[u8]) {
    for bounds in [Bounds::default(), Bounds { movements: 5, clicks: 3 }] {
        let found = outcome(body, &bounds, true);
        assert_eq!(found, outcome(body, &bounds, false), "{}", body.escape_ascii());
    }
}

/// What a client writes numbers like, and what no client should.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (-2_000i32..2_000).prop_map(|v| v.to_string()),
        6 => (-2_000.0..2_000.0f64).prop_map(|v| format!("{v:.1}")),
        6 => (0.0..2_000.0f64, 1usize..7).prop_map(|(v, decimals)| format!("{v:.decimals$}")),
        6 => (1_700_000_000_000u64..1_800_000_000_000).prop_map(|v| v.to_string()),
        2 => (1.7e12..1.8e12f64, 1usize..5).prop_map(|(v, decimals)| format!("{v:.decimals$}")),
        1 => (-1e7..1e7f64).prop_map(|v| format!("{v}")),
        1 => (-1e7..1e7f64).prop_map(|v| format!("{v:e}")),
        1 => "-?[0-9]{1,20}(\\.[0-9]{0,20})?([eE][+-]?[0-9]{0,2})?",
        1 => "[-.0-9]{0,4}",
        1 => prop::sample::select(vec!["-0", "-0.0", "00", "01", "1.", ".5", "1.2.3", "--1", "10000000", "10000000.1",
            "9999999.9999999", "1000000000000000", "1000000000000000.1", "999999999999999.9", "null", "\"1\"", "1e999",
            "9007199254740993", "12345678", "123456789", "1234567.8", "12345678.12345678", "0.12345678", "0.123456789"])
            .prop_map(str::to_owned),
    ]
}

/// Points of one list, each written alike: the order of the keys, white space and what else a point has.
fn list(numbers: &[(String, String, String)], style: (usize, usize, usize, usize), odd: Option<usize>) -> String {
    let [colon, comma, between] = [["", ""], [" ", " "], ["", " "], ["\n  ", "\t"]][style.0 % 4]
        .map(str::to_owned)
        .into_iter()
        .chain([["", " ", "\n", "\r\n    "][style.1 % 4].to_owned()])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let extra = [
        "",
        ",\"isTrusted\":true",
        ",\"isTrusted\":null",
        ",\"pressure\":0.5",
        ",\"targetHit\":false",
        ",\"isTrusted\" : false,\"type\":\"move é\"",
        ",\"isTrusted\":1",
        ",\"x\":1",
    ][style.2 % 8];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let points = numbers.iter().enumerate().map(|(at, (x, y, t))| {
        let mut fields =
            [format!("\"x\":{colon}{x}"), format!("\"y\":{colon}{y}"), format!("\"timestamp\":{colon}{t}")];
        if odd == Some(at) {
            fields[style.3 % 3] =
                ["\"x\" :1", "\"other\":[1]", "\"\\u0078\":2", "\"y\":2,\"isTrusted\":true"][at % 4].to_owned();
        }
        let fields = orders[style.3 % 6].map(|field| fields[field].as_str());
        format!("{{{}{extra}}}", fields.join(&format!(",{comma}")))
    });
    points.collect::<Vec<_>>().join(&format!(",{between}"))
}

fn document() -> impl Strategy<Value = String> {
    let numbers = proptest::collection::vec((number(), number(), number()), 0..40);
    // Mostly of one kind, so that many points are read by shape.
    let typical = (0usize..5, proptest::collection::vec((0i32..20_000, 0i32..20_000, 0u32..100), 0..40)).prop_map(
        |(decimals, steps)| {
            let mut time = [0.0, 1_712_345_678_901.0][decimals % 2];
            let written = |value: i32| format!("{:.decimals$}", f64::from(value - 2_000) / 10.0);
            let points = steps.into_iter().map(|(x, y, step)| {
                time += f64::from(step) / 10.0;
                (written(x), written(y), format!("{time:.1}"))
            });
            points.collect::<Vec<_>>()
        },
    );
    let numbers = prop_oneof![1 => numbers, 3 => typical];
    let style = || (0usize..4, 0usize..4, 0usize..8, 0usize..6);
    (numbers, style(), style(), proptest::option::of(0usize..40), 0usize..60).prop_map(
        |(numbers, one, two, odd, pad)| {
            let (moves, clicks) = (list(&numbers, one, odd), list(&numbers[..numbers.len() / 3], two, None));
            let pad = "p".repeat(pad);
            format!(r#"{{"sessionId":"s","movements":[{moves}],"clicks":[{clicks}],"other":"{pad}","hits":1}}"#)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_document_gives_the_same_by_shape_and_in_full(text in document()) {
        same(text.as_bytes());
    }

    #[test]
    fn a_damaged_document_gives_the_same_by_shape_and_in_full(
        text in document(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..4),
    ) {
        let mut body = text.into_bytes();
        for (at, byte, what) in changes {
            if body.is_empty() {
                break;
            }
            let at = at.index(body.len());
            match what {
                0 => body[at] = byte,
                1 => body.insert(at, b"0123456789.-+eE\",:{}[] "[usize::from(byte) % 23]),
                2 => drop(body.remove(at)),
                _ => body.truncate(at + 1),
            }
        }
        same(&body);
    }
}

#[test]
fn what_a_browser_sends_changed_at_random_gives_the_same_by_shape_and_in_full() {
    let point = |n: i32| {
        format!(r#"{{"x":{},"y":{}.25,"timestamp":{}}}"#, 100 + n, 300 - 70 * n, 1_712_345_678_901 + i64::from(n))
    };
    let points = |n: i32| (0..n).map(point).collect::<Vec<_>>().join(",");
    let plain = format!(r#"{{"sessionId":"s","movements":[{}],"clicks":[{}]}}"#, points(30), points(4)).into_bytes();
    let mut state = 7u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..20_000 {
        let mut body = plain.clone();
        for _ in 0..=draw(2) {
            let at = draw(body.len());
            let byte = b"0123456789.-+eE\",:{}[] \x80"[draw(24)];
            match draw(4) {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                2 => drop(body.remove(at)),
                _ => {
                    let (from, to) = (draw(body.len()), at);
                    let piece = body[from.min(to)..from.max(to)].to_vec();
                    let at = draw(body.len());
                    body.splice(at..at, piece);
                }
            }
        }
        same(&body);
    }
}

#[test]
fn most_points_are_read_by_shape_whatever_their_form() {
    for (point, extra) in
        [("{\"x\":1,\"y\":2.5,\"timestamp\":3}", ""), ("{\"timestamp\": 1712345678901, \"x\": -0, \"y\": 0.25}", " ")]
    {
        let list = vec![point; 40].join(&format!(",{extra}"));
        let text = format!("[{list}] {}", " ".repeat(96));
        let mut scan = Scanner::new(&text);
        assert!(scan.eat(b'['));
        let mut reader = Reader { scan, by_shape: true, bounds: &Bounds::default(), seen: 0 };
        let mut numbers = Default::default();
        reader.point("movements", 0, &mut numbers).unwrap();
        let start = reader.scan.position();
        assert!(reader.scan.more(b']').unwrap());
        let said = reader.point("movements", 1, &mut numbers).unwrap();
        let place = start..reader.scan.position();
        let shape = crate::shape::Shape::of(text.as_bytes(), place, numbers, said).unwrap();
        let mut kinds = crate::decimal::Kinds::default();
        let read = std::iter::from_fn(|| shape.next(&mut reader.scan, &mut kinds)).count();
        assert_eq!(read, 38, "{point}");
    }
}
