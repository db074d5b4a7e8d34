//! One session, one model: the same score to the last bit, whoever computes it and by whichever way it came.

use std::fmt::Write as _;

use playproof_batch::generator::{self, Family, Shape};
use serde_json::{Value, json};

use crate::clients::{bulk, finish, get, score};
use crate::process::{Place, Process, binary, on_both_stores};

/// Sessions as browsers send them: fractions of pixels and milliseconds, clicks, `isTrusted` here and there, odd numbers.
fn sessions() -> Vec<Value> {
    let awkward = [0.1 + 0.2, 1.0 / 3.0, 0.05, 1e-7, 123.456_789_012_3];
    (0..40_u8)
        .map(|n| {
            let family = Family::ALL[usize::from(n) % Family::ALL.len()];
            // Some with hardly any motion, which are judged another way.
            let movements = Some(if n % 10 == 9 { 4 } else { 300 });
            let session = generator::generate(family, u64::from(n), Shape { movements });
            let mut value: Value = serde_json::from_slice(&generator::to_json(&session, false)).unwrap();
            value["sessionId"] = format!("same-{n}").into();
            value["deviceType"] = ["mouse", "touch", "trackpad", "what"][usize::from(n) % 4].into();
            for (i, movement) in value["movements"].as_array_mut().unwrap().iter_mut().enumerate() {
                let shift = awkward[(i + usize::from(n)) % awkward.len()];
                match n % 3 {
                    0 => movement["x"] = (movement["x"].as_f64().unwrap() + shift).into(),
                    1 => movement["timestamp"] = (movement["timestamp"].as_f64().unwrap() + 0.1).into(),
                    _ if i % 2 == 0 => movement["isTrusted"] = true.into(),
                    _ => {}
                }
            }
            value
        })
        .collect()
}

/// What must not differ; numbers as text, in which each `f64` has a spelling of its own.
fn essence(result: &Value, reasons: &[&str]) -> String {
    let mut text = String::new();
    for field in
        ["anomalyScore", "rawScore", "isAnomaly", "decision", "confidence", "source", "modelId", "modelVersion"]
    {
        assert!(!result[field].is_null(), "{field} in {result}");
        // 6 and 6.0 are one number.
        match result[field].as_f64() {
            Some(number) => write!(text, "{field}={number} ").unwrap(),
            None => write!(text, "{field}={} ", result[field]).unwrap(),
        }
    }
    text + &reasons.join(";")
}

fn of_the_service(result: &Value) -> String {
    let reasons = result["reasons"].as_array().unwrap();
    essence(result, &reasons.iter().map(|reason| reason["code"].as_str().unwrap()).collect::<Vec<_>>())
}

/// The rows of the `score` command.
fn of_the_command(sessions: &[Value]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.ndjson"), folder.path().join("out.ndjson"));
    std::fs::write(&input, sessions.iter().map(|s| s.to_string() + "\n").collect::<String>()).unwrap();
    let run = binary(&[]).arg("score").arg(&input).arg("-o").arg(&output).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let rows = std::fs::read_to_string(output).unwrap();
    let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| essence(&row, &[row["reasons"].as_str().unwrap()])).collect()
}

async fn results(url: &str, deployment: &str, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    for n in 0..count {
        let path = format!("/api/v1/batch/result/same-{n}?deploymentId={deployment}");
        let answer = get(url, &path).await;
        assert_eq!(answer["status"], "processed", "{answer}");
        found.push(of_the_service(&answer["result"]));
    }
    found
}

on_both_stores!(command_answer_at_once_and_batch_give_one_score_and_a_restart_keeps_it);

async fn command_answer_at_once_and_batch_give_one_score_and_a_restart_keeps_it(place: Place) {
    let sessions = sessions();
    let expected = of_the_command(&sessions);
    let of = |deployment: &str| {
        let mut sessions = sessions.clone();
        for session in &mut sessions {
            session["deploymentId"] = json!(deployment);
        }
        sessions
    };

    // What other sessions are like is not part of a score.
    let alone = ("PLAYPROOF_BATCH_EVIDENCE", "never");
    let node = Process::on(&place.url, &[("PLAYPROOF_SCHEDULER_AUTOSTART", "false"), alone]);
    let client = playproof_batch::tls::http_client().build().unwrap();
    for session in of("at-once") {
        assert_eq!(score(&client, &node.url, session.to_string()).await.unwrap().status(), 200);
    }
    let lines = of("batch").iter().map(|s| s.to_string() + "\n").collect();
    bulk(&node.url, "?report=refused", lines).await;
    // In another order and in other company.
    let lines = of("reversed").iter().rev().map(|s| s.to_string() + "\n").collect();
    bulk(&node.url, "?report=refused", lines).await;
    node.kill();

    // Those above have their score from the time they were accepted, and these get theirs with the batch.
    let node = Process::on(&place.url, &[("PLAYPROOF_BATCH_SIZE", "17"), ("PLAYPROOF_FIRST_VERDICT", "rules"), alone]);
    let lines = of("afresh").iter().map(|s| s.to_string() + "\n").collect();
    bulk(&node.url, "?report=refused", lines).await;
    finish(&node.url).await;
    for deployment in ["at-once", "batch", "reversed", "afresh"] {
        let found = results(&node.url, deployment, sessions.len()).await;
        for (n, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "{n} {deployment}");
        }
    }
}
