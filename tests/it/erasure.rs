//! Erasure with everything there can be of a session: labelled, decided anew, told to webhooks that heard it or did not,
//! matched with others, overridden, managed and logged. Of its identifier, user, path and features nothing is left.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use playproof_batch::generator::{self, Family, Shape};
use serde_json::{Value, json};

use crate::cluster;
use crate::process::{Place, Process, on_both_stores};

on_both_stores!(an_erased_session_leaves_nothing_behind, an_erased_user_leaves_nothing_behind);

const ID: &str = "erase-me-0123456789-session";
const USER: &str = "erase-me-0123456789-user";
const NOTE: &str = "erase-me-0123456789-note";

struct Asker {
    client: reqwest::Client,
    url: String,
}

impl Asker {
    async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.url));
        let answer = request.json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// What is kept of a session in bytes of its own.
fn kept(place: &Place) -> BTreeMap<&'static str, Vec<u8>> {
    let queries = [
        ("features", "SELECT features FROM sessions WHERE id = $ID"),
        ("digest", "SELECT digest FROM sessions WHERE id = $ID"),
        ("record", "SELECT record FROM telemetry WHERE $SEQ = (SELECT seq FROM sessions WHERE id = $ID)"),
    ];
    let quoted = format!("'{ID}'");
    let found = queries.into_iter().map(|(name, sql)| {
        let bytes = if let Some(folder) = place.url.strip_prefix("embedded:") {
            let file = Path::new(folder).join("playproof.sqlite");
            let connection = rusqlite::Connection::open(file).unwrap();
            let sql = sql.replace("$SEQ", "session").replace("$ID", &quoted);
            connection.query_row(&sql, [], |row| row.get::<_, Vec<u8>>(0)).unwrap()
        } else {
            let sql = sql.replace("$SEQ", "seq").replace("$ID", &quoted);
            let text = cluster::psql(&place.url, &sql);
            let digits = text.strip_prefix("\\x").unwrap().as_bytes().chunks(2);
            digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
        };
        assert!(bytes.len() > 8, "{name}");
        (name, bytes)
    });
    found.collect()
}

/// Everything in the schema of `url`, as its dump has it.
fn dump(url: &str) -> String {
    let (bare, schema) = url.split_once("options=-csearch_path%3D").unwrap();
    let bare = bare.trim_end_matches(['?', '&']);
    let output = Command::new(cluster::programs().join("pg_dump"))
        .args(["--schema", schema, "--inserts", "-d", bare])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Where something is found: in a file of the folder, in the dump of the database, or in the log.
fn traces(place: &Place, log: &Path, wanted: &BTreeMap<&'static str, Vec<u8>>) -> Vec<String> {
    let mut texts: Vec<(String, Vec<u8>)> = vec![("the log".to_owned(), std::fs::read(log).unwrap())];
    match place.url.strip_prefix("embedded:") {
        Some(folder) => {
            for file in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                texts.push((file.file_name().to_string_lossy().into_owned(), std::fs::read(file.path()).unwrap()));
            }
        }
        None => texts.push(("the dump".to_owned(), dump(&place.url).into_bytes())),
    }
    let mut found = Vec::new();
    for (name, bytes) in &texts {
        for (what, pattern) in wanted {
            // A dump has bytes as digits.
            let digits = hex(pattern).into_bytes();
            if [pattern, &digits].iter().any(|pattern| bytes.windows(pattern.len()).any(|window| window == *pattern)) {
                found.push(format!("{what} in {name}"));
            }
        }
    }
    found
}

async fn an_erased_session_leaves_nothing_behind(place: Place) {
    check(&place, &format!("/api/v1/sessions/{ID}")).await;
}

async fn an_erased_user_leaves_nothing_behind(place: Place) {
    check(&place, &format!("/api/v1/users/{USER}")).await;
}

async fn check(place: &Place, path: &str) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let settings = [("PLAYPROOF_SCHEDULER_AUTOSTART", "false"), ("PLAYPROOF_WEBHOOK_PRIVATE", "true")];
    let node = Process::logging_to(std::fs::File::create(&log).unwrap(), &place.url, &settings);
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    let asker = Asker { client, url: node.url.clone() };
    // One receiver is not there, so that deliveries wait.
    asker.ask("POST", "/api/v1/webhooks", json!({"url": "http://127.0.0.1:1/"})).await;
    let bot = generator::generate(Family::ALL[0], 7, Shape { movements: Some(300) });
    let session: Value = serde_json::from_slice(&generator::to_json(&bot, true)).unwrap();
    for id in ["other-1", "other-2", ID] {
        let mut session = session.clone();
        session["sessionId"] = id.into();
        session["userId"] = if id == ID { USER } else { id }.into();
        // The movement of all three is one; the rest of what is kept is each one's own.
        session["durationMs"] = (session["durationMs"].as_f64().unwrap() + if id == ID { 0.0 } else { 50.0 }).into();
        session["misses"] = u64::from(id != ID).into();
        asker.ask("POST", "/api/v1/score", session).await;
        asker.ask("POST", "/api/v1/batch/process", json!({})).await;
    }
    asker.ask("POST", "/api/v1/overrides", json!({"userId": USER, "action": "allow"})).await;
    let label = json!({"label": "human", "note": NOTE});
    asker.ask("POST", &format!("/api/v1/sessions/{ID}/label"), label).await;
    asker.ask("POST", "/api/v1/thresholds", json!({"pass": 0.2, "review": 0.4})).await;
    let matched = asker.ask("GET", "/api/v1/batch/result/other-2", json!({})).await;
    assert!(matched.to_string().contains("other-1"), "the sessions are alike");

    let mut wanted = kept(place);
    wanted.extend([("id", ID.into()), ("user", USER.into()), ("note", NOTE.into())]);
    let before = traces(place, &log, &wanted);
    for what in wanted.keys() {
        assert!(before.iter().any(|found| found.starts_with(what)), "the search finds no {what}: {before:?}");
    }
    let erased = asker.ask("DELETE", path, json!({})).await;
    assert_eq!(erased["erased"], 1, "{erased}");
    assert_eq!(traces(place, &log, &wanted), Vec::<String>::new());
    // And what comes after brings nothing back.
    asker.ask("DELETE", "/api/v1/thresholds", json!({})).await;
    for path in ["/api/v1/audit", "/api/v1/overrides", "/api/v1/labels", "/api/v1/batch/results", "/metrics"] {
        let answer = asker.client.get(format!("{}{path}", node.url)).send().await.unwrap().text().await.unwrap();
        assert!(!answer.contains("erase-me"), "{path}: {answer}");
    }
    assert!(node.terminate().0.success());
    assert_eq!(traces(place, &log, &wanted), Vec::<String>::new(), "after the end");
}
