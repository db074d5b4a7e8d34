//! Reading what Woodwide answers, in every shape that was seen: the one place that is tolerant.
//!
//! Ids are nested or flat, tables come as columns, rows or CSV text, wrapped in `data` or bare. Tolerance ends at the
//! scores: each row sent has exactly one answer, by its index, and a score is a number, or nothing is believed.

use serde_json::Value;

use super::failure::Failure;
use playproof_domain::pairing::pair;

/// What was said about every row sent, in the order sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scores {
    /// The service's own cut.
    pub(super) flags: Vec<bool>,
    /// Larger is odder; `None` where the service only flags.
    pub(super) scores: Option<Vec<f64>>,
}

/// No model scores so high; infinity and such sentinels do.
const BEYOND: f64 = 1e100;

/// The id of `thing`: its own `id`, or nested, or under its own name.
pub(super) fn id_of(value: &Value, thing: &str) -> Option<String> {
    let nested = value.get(thing).and_then(|inner| inner.get("id"));
    let own = value.get(format!("{thing}_id"));
    [value.get("id"), nested, own].into_iter().flatten().find_map(text)
}

/// The id of the version of `thing`, flat or nested.
pub(super) fn version_of(value: &Value, thing: &str) -> Option<String> {
    let nested = value.get(thing).and_then(|inner| inner.get("version_id"));
    let own = value.get(format!("{thing}_version_id"));
    let current = value.get("current_version").and_then(|inner| inner.get("version_id").or_else(|| inner.get("id")));
    [value.get("version_id"), nested, own, current].into_iter().flatten().find_map(text)
}

/// A text or number as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The items of a list: under `items` or bare.
pub(super) fn items(value: &Value) -> &[Value] {
    let list = value.get("items").unwrap_or(value);
    list.as_array().map_or(&[], Vec::as_slice)
}

/// Reads the answer about `rows` rows; an empty one is "not ready".
pub(super) fn scores(bytes: &[u8], rows: usize) -> Result<Scores, Failure> {
    let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    match body.first() {
        None => Err(Failure::NotReady("an empty answer".to_owned())),
        Some(b'{' | b'[') => from_json(&json(body)?, rows),
        Some(b'<') => Err(Failure::Protocol("the answer is a web page".to_owned())),
        Some(_) => from_csv(body, rows),
    }
}

/// JSON as some writers leave it: `NaN` and infinities become null, which is no score.
fn json(body: &[u8]) -> Result<Value, Failure> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let unreadable = || Failure::Protocol("the answer is no JSON, or it was cut short".to_owned());
    let text = std::str::from_utf8(body).map_err(|_| unreadable())?;
    let mended = text.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null");
    serde_json::from_str(&mended).map_err(|_| unreadable())
}

fn from_json(value: &Value, rows: usize) -> Result<Scores, Failure> {
    let table = value.get("data").unwrap_or(value);
    if let Value::String(csv) = table {
        return scores(csv.as_bytes(), rows);
    }
    if let Some(anomalous) = table.get("anomalous_ids") {
        let Some(list) = anomalous.as_array() else {
            return Err(Failure::Protocol("anomalous_ids is no list".to_owned()));
        };
        return flags_only(list, rows);
    }
    if let Some(list) = table.as_array() {
        let entries = list
            .iter()
            .map(|row| entry(row.get("id").or(row.get("row_index")), row.get("is_anomaly"), row.get("anomaly_score")));
        return paired(entries.collect::<Result<_, _>>()?, rows);
    }
    let column = |names: &[&str]| names.iter().find_map(|name| table.get(*name)).and_then(Value::as_array);
    let (Some(ids), Some(scores)) = (column(&["id", "row_index"]), column(&["anomaly_score"])) else {
        return Err(Failure::Protocol("the answer has no columns id and anomaly_score".to_owned()));
    };
    let flags = column(&["is_anomaly"]);
    if ids.len() != scores.len() || flags.is_some_and(|flags| flags.len() != ids.len()) {
        return Err(Failure::Protocol("the answer's columns differ in length".to_owned()));
    }
    let entries = ids.iter().zip(scores).enumerate();
    let entries = entries.map(|(i, (id, score))| entry(Some(id), flags.and_then(|f| f.get(i)), Some(score)));
    paired(entries.collect::<Result<_, _>>()?, rows)
}

/// The named rows are flagged, the others are not. A name twice or out of range betrays a mix-up.
fn flags_only(anomalous: &[Value], rows: usize) -> Result<Scores, Failure> {
    let mut flags = vec![false; rows];
    for id in anomalous {
        let place = index(Some(id))?;
        let Some(flag) = flags.get_mut(place) else {
            return Err(Failure::Protocol(format!("the answer names the row {place}, which was not sent")));
        };
        if std::mem::replace(flag, true) {
            return Err(Failure::Protocol(format!("the answer names the row {place} twice")));
        }
    }
    Ok(Scores { flags, scores: None })
}

fn from_csv(body: &[u8], rows: usize) -> Result<Scores, Failure> {
    let broken = |_| Failure::Protocol("the answer is no CSV table".to_owned());
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(body);
    let header = reader.headers().map_err(broken)?.clone();
    let place = |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
    let (Some(id), Some(score)) = (place("id").or_else(|| place("row_index")), place("anomaly_score")) else {
        return Err(Failure::Protocol("the answer has no columns id and anomaly_score".to_owned()));
    };
    let flag = place("is_anomaly");
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(broken)?;
        let value = |place: usize| record.get(place).map(|text| Value::String(text.to_owned()));
        let flag = flag.and_then(value);
        entries.push(entry(value(id).as_ref(), flag.as_ref(), value(score).as_ref())?);
    }
    paired(entries, rows)
}

/// Index, flag and score of one row.
fn entry(id: Option<&Value>, flag: Option<&Value>, score: Option<&Value>) -> Result<(usize, (bool, f64)), Failure> {
    let place = index(id)?;
    let number = match score {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let score = number.filter(|v| v.abs() < BEYOND);
    let score = score.ok_or_else(|| Failure::Protocol(format!("the score of row {place} is no number")))?;
    let flag = match flag {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => matches!(text.trim().to_ascii_lowercase().as_str(), "true" | "t" | "1"),
        _ => false,
    };
    Ok((place, (flag, score)))
}

/// A row's index as a number or a text.
fn index(id: Option<&Value>) -> Result<usize, Failure> {
    let number = match id {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let index = number.and_then(|number| usize::try_from(number).ok());
    index.ok_or_else(|| Failure::Protocol("a row of the answer has no index".to_owned()))
}

fn paired(entries: Vec<(usize, (bool, f64))>, rows: usize) -> Result<Scores, Failure> {
    let asked: Vec<usize> = (0..rows).collect();
    let in_order = pair(&asked, entries).map_err(|e| Failure::Protocol(e.to_string()))?;
    let (flags, scores) = in_order.into_iter().unzip();
    Ok(Scores { flags, scores: Some(scores) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Scores {
        Scores { flags: vec![false, true, false], scores: Some(vec![0.25, 0.9, 0.125]) }
    }

    #[test]
    fn every_shape_of_the_same_answer_reads_alike() {
        let shapes = [
            r#"{"job_id":"j","data":{"id":[0,1,2],"is_anomaly":[false,true,false],"anomaly_score":[0.25,0.9,0.125]}}"#,
            r#"{"id":["2","0","1"],"is_anomaly":["False","0","True"],"anomaly_score":["0.125","0.25","0.9"]}"#,
            r#"{"data":[{"id":1,"is_anomaly":1,"anomaly_score":0.9},{"id":0,"is_anomaly":0,"anomaly_score":0.25},{"id":2,"anomaly_score":0.125}]}"#,
            r#"[{"row_index":0,"anomaly_score":0.25},{"row_index":1,"is_anomaly":true,"anomaly_score":0.9},{"row_index":2,"anomaly_score":0.125}]"#,
            r#"{"data":"id,is_anomaly,anomaly_score\n0,false,0.25\n1,T,0.9\n2,f,0.125\n"}"#,
            "\u{feff}\"id\",\"is_anomaly\",\"anomaly_score\"\r\n\"0\",\"False\",\"0.25\"\r\n\"1\",\"True\",\"0.9\"\r\n\"2\",\"0\",\"0.125\"\r\n",
        ];
        for shape in shapes {
            assert_eq!(scores(shape.as_bytes(), 3), Ok(good()), "{shape}");
        }
    }

    #[test]
    fn flags_without_scores_are_flags_only() {
        let read = |text: &str| scores(text.as_bytes(), 3);
        let flagged = Scores { flags: vec![false, true, true], scores: None };
        assert_eq!(read(r#"{"anomalous_ids":["1",2]}"#), Ok(flagged));
        assert_eq!(read(r#"{"data":{"anomalous_ids":[]}}"#), Ok(Scores { flags: vec![false; 3], scores: None }));
        for wrong in [r#"{"anomalous_ids":["3"]}"#, r#"{"anomalous_ids":[1,1]}"#, r#"{"anomalous_ids":["x"]}"#] {
            assert!(matches!(read(wrong), Err(Failure::Protocol(_))), "{wrong}");
        }
    }

    #[test]
    fn an_empty_answer_is_not_ready_and_never_means_no_anomalies() {
        for empty in ["", "  \r\n", "\u{feff}"] {
            assert!(matches!(scores(empty.as_bytes(), 3), Err(Failure::NotReady(_))));
        }
    }

    #[test]
    fn an_answer_about_other_rows_or_without_numbers_is_refused_as_a_whole() {
        let wrong = [
            r#"{"id":[0,1],"is_anomaly":[false,true],"anomaly_score":[0.25,0.9]}"#,
            r#"{"id":[0,1,1],"is_anomaly":[false,true,false],"anomaly_score":[0.25,0.9,0.1]}"#,
            r#"{"id":[0,1,3],"is_anomaly":[false,true,false],"anomaly_score":[0.25,0.9,0.1]}"#,
            r#"{"id":[0,1,2],"is_anomaly":[false,true,false],"anomaly_score":[0.25,0.9]}"#,
            r#"{"id":[0,1,2],"is_anomaly":[false,true,false],"anomaly_score":[0.25,null,0.1]}"#,
            r#"{"id":[0,1,2],"is_anomaly":[false,true,false],"anomaly_score":[0.25,NaN,0.1]}"#,
            r#"{"id":[0,1,2],"is_anomaly":[false,true,false],"anomaly_score":[0.25,Infinity,0.1]}"#,
            r#"{"id":[0,1,2],"is_anomaly":[false,true],"anomaly_score":[0.25,1.0,0.1]}"#,
            r#"{"id":[0,1,2],"is_anom"#,
            "<html><body>It works</body></html>",
            "id,anomaly_score\n0,0.5\n1,nan\n2,0.5\n",
            "{}",
            "[]",
            "id\n",
        ];
        for text in wrong {
            assert!(matches!(scores(text.as_bytes(), 3), Err(Failure::Protocol(_))), "{text}");
        }
    }

    #[test]
    fn ids_are_found_flat_and_nested() {
        let read = |text: &str| {
            let value: Value = serde_json::from_str(text).unwrap();
            (id_of(&value, "dataset"), version_of(&value, "dataset"))
        };
        let both = (Some("d".to_owned()), Some("v".to_owned()));
        assert_eq!(read(r#"{"id":"d","version_id":"v","job_id":"j"}"#), both);
        assert_eq!(read(r#"{"dataset":{"id":"d","version_id":"v"},"job_id":"j"}"#), both);
        assert_eq!(read(r#"{"dataset_id":"d","dataset_version_id":"v"}"#), both);
        assert_eq!(read(r#"{"id":7}"#), (Some("7".to_owned()), None));
    }
}
