//! The best that a node could do on this machine: a bare route that scans a session, computes its statistics, encodes its
//! record, and answers when a log that holds the record is on the disk. No identifier is looked up, nothing is indexed,
//! nothing is counted.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use tokio::sync::oneshot;

use super::super::local_node::LocalNode;
use super::baseline;
use crate::detector::embedded::{EmbeddedDetector, Model};
use crate::domain::features::Extractor;
use crate::domain::heuristic::Heuristic;
use crate::domain::record::{self, SessionDigest};
use crate::domain::result::Thresholds;
use crate::domain::session::{Bounds, Session};

/// Most records of one sync.
const MAX_GROUP: usize = 256;
/// Bytes by which the log's file grows: a sync then has no new length to write down.
const PIECE: u64 = 256 << 20;

/// A record on its way to the disk.
struct Entry {
    digest: SessionDigest,
    record: Vec<u8>,
    synced: oneshot::Sender<bool>,
}

/// What a request needs.
#[derive(Clone)]
struct Route {
    log: Sender<Entry>,
    /// Gives the verdict too, where there is one.
    model: Option<EmbeddedDetector>,
}

/// The answer: the verdict and the statistics that it rests on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    session_id: &'a str,
    decision: &'static str,
    score: f64,
    mean_speed: f64,
    total_moves: f64,
}

/// Buffers of one thread.
#[derive(Default)]
struct Workspace {
    session: Session,
    extractor: Extractor,
    integers: Vec<i64>,
    row: Vec<f64>,
}

thread_local! {
    static WORKSPACE: RefCell<Workspace> = RefCell::default();
}

/// What the route makes of a body: the answer, and what the log keeps.
fn judged(model: Option<&EmbeddedDetector>, body: &[u8]) -> Option<(String, SessionDigest, Vec<u8>)> {
    WORKSPACE.with_borrow_mut(|Workspace { session, extractor, integers, row }| {
        session.parse_into(body, &Bounds::default()).ok()?;
        let (features, thresholds) = (extractor.v1(session), Thresholds::default());
        let heuristic = Heuristic::judge(&features);
        let verdict = match model {
            Some(model) => model.judge(session, heuristic.reasons, &thresholds, extractor, row)?.0,
            None => crate::domain::result::Verdict::heuristic(&heuristic, &thresholds),
        };
        let mut record = Vec::with_capacity(64 + 8 * session.movements.len());
        record::encode(session, integers, &mut record);
        let answer = Answer {
            session_id: session.id.as_str(),
            decision: verdict.decision.name(),
            score: verdict.anomaly_score.unwrap_or(0.0),
            mean_speed: features.avg_speed,
            total_moves: features.total_moves,
        };
        Some((serde_json::to_string(&answer).ok()?, SessionDigest::of(&record), record))
    })
}

async fn take(State(route): State<Route>, body: Bytes) -> (StatusCode, String) {
    let Some((answer, digest, record)) = judged(route.model.as_ref(), &body) else {
        return (StatusCode::BAD_REQUEST, "{\"error\":\"not a session\"}".to_owned());
    };
    let (synced, on_disk) = oneshot::channel();
    let sent = route.log.send(Entry { digest, record, synced });
    if sent.is_ok() && on_disk.await == Ok(true) {
        (StatusCode::OK, answer)
    } else {
        (StatusCode::INSUFFICIENT_STORAGE, "{\"error\":\"the log\"}".to_owned())
    }
}

/// The log's thread: whatever arrived during a sync is written and synced next.
fn keep(mut file: &File, entries: &Receiver<Entry>) {
    let (mut at, mut allocated) = (0, 0);
    let (mut bytes, mut waiting) = (Vec::new(), Vec::with_capacity(MAX_GROUP));
    while let Ok(first) = entries.recv() {
        bytes.clear();
        let more = std::iter::from_fn(|| entries.try_recv().ok());
        for Entry { digest, record, synced } in std::iter::once(first).chain(more).take(MAX_GROUP) {
            bytes.extend_from_slice(&digest.0);
            bytes.extend_from_slice(&u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(&record);
            waiting.push(synced);
        }
        at += bytes.len() as u64;
        if at > allocated {
            // A file system that cannot do it makes the syncs slower, no less.
            let _ =
                rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), allocated, PIECE + bytes.len() as u64);
            allocated += PIECE + bytes.len() as u64;
        }
        let written = file.write_all(&bytes).and_then(|()| file.sync_data()).is_ok();
        for synced in waiting.drain(..) {
            // A request that went away asks no more.
            let _ = synced.send(written);
        }
    }
}

/// Starts the route in this process, with its log in `folder`; `by_model`: the embedded model gives the verdict.
pub(super) fn start(folder: &Path, by_model: bool) -> anyhow::Result<LocalNode> {
    let path = folder.join("best.log");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path);
    let file = file.with_context(|| format!("cannot write {}", path.display()))?;
    let (log, entries) = channel();
    std::thread::Builder::new().name("log".to_owned()).spawn(move || keep(&file, &entries))?;
    let model = if by_model { Some(EmbeddedDetector::new(Arc::new(Model::bundled()?))) } else { None };
    baseline::serve(Router::new().route("/api/v1/score", post(take)).with_state(Route { log, model }))
}
