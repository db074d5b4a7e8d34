//! Evidence from a running node, checked by the `verify` command as somebody without the node would.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use playproof_batch::config::Generation;
use playproof_batch::detector::embedded::Model;
use playproof_batch::detector::embedded::file::Contents;
use serde_json::{Value, json};

use crate::clients::{Told, compared, fill, finish, get, id};
use crate::process::{Place, Process, binary, on_both_stores};
use crate::woodwide::rig::{KEY, Rig};

const SESSIONS: usize = 24;

async fn exported(node: &Process) -> Vec<Value> {
    let mut all = Vec::new();
    for n in 0..SESSIONS {
        let evidence = get(&node.url, &format!("/api/v1/sessions/{}/evidence", id(n))).await;
        assert!(evidence["payload"].is_string(), "{evidence}");
        all.push(evidence);
    }
    all
}

fn file(folder: &Path, name: &str, documents: &[Value]) -> PathBuf {
    let path = folder.join(name);
    let lines: Vec<String> = documents.iter().map(Value::to_string).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn verify(files: &[&Path], more: &[&str]) -> (i32, String, String) {
    told(binary(&[]).arg("verify").args(files).args(more).output().unwrap())
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

async fn apply(node: &Process, thresholds: Value) {
    let client = playproof_batch::tls::http_client().build().unwrap();
    let request = client.post(format!("{}/api/v1/thresholds", node.url)).json(&thresholds);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

async fn evidence_is_checked_by_whoever_has_the_program(place: Place) {
    let folder = tempfile::tempdir().unwrap();
    let node = Process::on(&place.url, &[]);
    fill(&node.url, &Told::default(), SESSIONS).await;
    finish(&node.url).await;
    compared(&node.url).await;
    let first = exported(&node).await;
    apply(&node, json!({"pass": 0.25, "review": 0.5})).await;
    let later = exported(&node).await;
    let key = get(&node.url, "/api/v1/evidence-key").await;
    let (key, fingerprint) = (key["publicKey"].as_str().unwrap(), key["fingerprint"].as_str().unwrap());
    drop(node);

    let before = file(folder.path(), "before.ndjson", &first);
    let after = file(folder.path(), "after.ndjson", &later);
    let (code, out, err) = verify(&[&before, &after], &["--public-key", key]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(out.matches(" holds: score recomputed with embedded ").count(), 2 * SESSIONS, "{out}");
    assert!(out.ends_with(&format!("{} documents checked, 0 refused\n", 2 * SESSIONS)), "{out}");

    // Nobody named a key: it says so, with the key that signed.
    let (code, _, err) = verify(&[&after], &["--quiet"]);
    assert_eq!(code, 0);
    assert!(err.contains("only integrity was checked") && err.contains(key) && err.contains(fingerprint), "{err}");
    let (code, out, _) = verify(&[&before], &["--quiet", "--public-key", &"0".repeat(64)]);
    assert_eq!((code, out.matches("does not hold: signature").count()), (1, SESSIONS), "{out}");

    // Indented, and from standard input.
    let indented = folder.path().join("indented.json");
    std::fs::write(&indented, serde_json::to_string_pretty(&later[0]).unwrap()).unwrap();
    assert_eq!(verify(&[&indented], &["--public-key", key]).0, 0);
    let mut command = binary(&[]);
    let child = command
        .args(["verify", "-", "--json", "--public-key", key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&std::fs::read(&after).unwrap()).unwrap();
    let (code, out, _) = told(child.wait_with_output().unwrap());
    assert_eq!((code, out.lines().count()), (0, SESSIONS));
    for (n, line) in out.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["sessionId"], &line["line"]), (&json!(id(n)), &json!(n + 1)));
        assert_eq!(
            (&line["holds"], &line["publicKeyPinned"], &line["findings"]),
            (&json!(true), &json!(true), &json!([]))
        );
        assert_eq!(
            (&line["score"], &line["decision"], &line["standing"]),
            (&json!("recomputed"), &json!("recomputed"), &json!("recomputed"))
        );
    }

    // One that was changed is named and spoils no other.
    let mut changed = later.clone();
    let payload = changed[3]["payload"].as_str().unwrap().replacen("\"decision\":\"", "\"decision\":\"x", 1);
    changed[3]["payload"] = payload.into();
    let (code, out, _) = verify(&[&file(folder.path(), "changed.ndjson", &changed)], &["--public-key", key]);
    assert_eq!((code, out.matches(" holds: ").count()), (1, SESSIONS - 1), "{out}");
    let named = out.lines().find(|line| line.contains("does not hold")).unwrap();
    assert!(named.contains(":4:") && named.contains(&id(3)) && named.contains("signature: "), "{named}");

    // A node that starts again signs with the same key.
    let again = Process::on(&place.url, &[]);
    assert_eq!(get(&again.url, "/api/v1/evidence-key").await["publicKey"], key);
    drop(again);
    let secret = [("PLAYPROOF_SECRET_KEY", "a-secret-key-of-the-operator-long-enough")];
    let other = Process::on(&place.url, &secret);
    let with_secret = get(&other.url, "/api/v1/evidence-key").await["publicKey"].clone();
    assert_ne!(with_secret, key, "it follows from the setting where there is one");
}

on_both_stores!(evidence_is_checked_by_whoever_has_the_program);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_of_another_model_is_checked_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let contents = Contents { provenance: "of this test".to_owned(), ..Model::bundled().unwrap().contents().clone() };
    let model = folder.path().join("other.model");
    std::fs::write(&model, contents.encode()).unwrap();
    let node = Process::start(folder.path(), &[("PLAYPROOF_MODEL", model.to_str().unwrap())]);
    fill(&node.url, &Told::default(), SESSIONS).await;
    finish(&node.url).await;
    let path = file(folder.path(), "evidence.ndjson", &exported(&node).await);
    let (code, out, _) = verify(&[&path], &[]);
    assert_eq!((code, out.matches("name its file with --model").count()), (1, SESSIONS), "{out}");
    let (code, out, _) = verify(&[&path], &["--model", model.to_str().unwrap()]);
    assert_eq!((code, out.matches(" holds: ").count()), (0, SESSIONS), "{out}");
}

#[test]
fn what_is_no_evidence_is_refused_with_the_mend() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty");
    std::fs::write(&path, "\n").unwrap();
    let (code, _, err) = verify(&[&path], &[]);
    assert!(code == 1 && err.contains("there is no evidence in what was named"), "{err}");
    std::fs::write(&path, "nonsense\n{\"format\":1}\n[]\n{\"payload\":").unwrap();
    let (code, out, _) = verify(&[&path], &[]);
    assert_eq!((code, out.matches("does not hold: form: this is no evidence").count()), (1, 4), "{out}");
    let (code, _, err) = verify(&[&path], &["--public-key", "abc"]);
    assert!(code == 1 && err.contains("64 hexadecimal digits"), "{err}");
    let (code, _, err) = verify(&[&folder.path().join("none")], &[]);
    assert!(code == 1 && err.contains("cannot open"), "{err}");
    assert_eq!(verify(&[], &[]).0, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_of_an_earlier_version_says_that_its_decision_cannot_be_recomputed() {
    let folder = tempfile::tempdir().unwrap();
    let node = Process::start(folder.path(), &[]);
    fill(&node.url, &Told::default(), SESSIONS).await;
    finish(&node.url).await;
    compared(&node.url).await;
    drop(node);
    // As a node wrote it that did not know the columns.
    let store = rusqlite::Connection::open(folder.path().join("playproof.sqlite")).unwrap();
    assert_eq!(store.execute("UPDATE results SET scored = NULL, compared = NULL", []).unwrap(), SESSIONS);
    drop(store);
    let node = Process::start(folder.path(), &[]);
    apply(&node, json!({"pass": 0.25, "review": 0.5})).await;
    let path = file(folder.path(), "evidence.ndjson", &exported(&node).await);
    let (code, out, _) = verify(&[&path], &[]);
    let told = " holds: score recomputed with embedded ";
    assert_eq!((code, out.matches(told).count()), (0, SESSIONS), "{out}");
    assert_eq!(
        out.matches("decision not recomputable: an earlier version kept no thresholds").count(),
        SESSIONS,
        "{out}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_woodwide_said_is_taken_as_stated_and_all_that_follows_is_recomputed() {
    for (generation, name, kind) in [(Generation::Ga, "ga", "calibrated"), (Generation::Beta, "beta", "flag")] {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::new(generation, woodwide_sim::Settings::default()).await;
        let url = rig.sim.url();
        let settings = [
            ("PLAYPROOF_DETECTOR", "woodwide"),
            ("WOODWIDE_API_KEY", KEY),
            ("WOODWIDE_BASE_URL", url.trim_end_matches('/')),
            ("WOODWIDE_API", name),
            ("ANOMALY_MODEL_ID", rig.model.as_str()),
        ];
        let node = Process::start(folder.path(), &settings);
        fill(&node.url, &Told::default(), SESSIONS).await;
        finish(&node.url).await;
        let documents = exported(&node).await;
        let stated = format!("\"scoreKind\":\"{kind}\"");
        let of_kind = |one: &Value| one["payload"].as_str().unwrap().contains(&stated);
        assert!(documents.iter().all(of_kind), "{name}: {}", documents[0]);
        let (code, out, _) = verify(&[&file(folder.path(), "evidence.ndjson", &documents)], &[]);
        let told = "gave it, all that follows recomputed, decision recomputed";
        assert_eq!((code, out.matches(told).count()), (0, SESSIONS), "{out}");
    }
}
