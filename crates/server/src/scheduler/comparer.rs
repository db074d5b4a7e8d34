//! Compares sessions whose verdicts came first: those that a busy node settled without, those that were scored at once,
//! and those that an earlier process left. The store remembers them until it is done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::kept_reaches::{Looked, off_thread};
use super::records;
use crate::domain::evidence::{Evidence, with_similar};
use crate::domain::id::Seq;
use crate::shutdown::Shutdown;
use crate::store::decisions::DecidedResult;
use crate::store::{Compared, FoundAlike, StoreResult, Uncompared};

/// Sessions compared in one go.
const PAGE_SIZE: u32 = 256;
/// Other nodes tell nobody what they leave to be compared: it is looked for this often.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long to wait after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Runs until a soft shutdown.
pub(super) async fn run(engine: Arc<Engine>, shutdown: Shutdown) {
    while !shutdown.is_soft() {
        let outcome = tokio::select! {
            biased;
            outcome = turn(&engine) => outcome,
            () = shutdown.soft() => return,
        };
        let pause = match outcome {
            Ok(compared) if compared > 0 => continue,
            Ok(_) => POLL_INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "sessions could not be compared; it is tried again");
                STORE_PAUSE
            }
        };
        tokio::select! {
            biased;
            () = engine.uncompared.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = shutdown.soft() => {}
        }
    }
}

/// Compares some sessions; how many.
async fn turn(engine: &Engine) -> StoreResult<usize> {
    let store = engine.parts.store.as_ref();
    let never = engine.settings.evidence == Evidence::Never;
    if !never {
        engine.reaches.follow(store).await?;
    }
    let now = engine.parts.clock.now();
    let waiting = store.uncompared(PAGE_SIZE, now).await?;
    let count = waiting.len();
    if count == 0 {
        return Ok(0);
    }
    let mut standings: HashMap<Seq, DecidedResult> = HashMap::with_capacity(count);
    let mut compared: Vec<Compared> = Vec::with_capacity(count);
    let mut waiting_records = Vec::with_capacity(count);
    for Uncompared { standing, record, only_sketch, .. } in waiting {
        compared.push(Compared { seq: standing.seq, matches: Vec::new(), found: None });
        waiting_records.push((standing.seq, standing.key.clone(), record, only_sketch));
        standings.insert(standing.seq, standing);
    }
    if never {
        return store.compared(compared, Vec::new(), now).await.map(|_| count);
    }
    let (members, only_kept) = off_thread(move || {
        let (mut members, mut only_kept) = (Vec::new(), Vec::new());
        for (seq, key, record, only_sketch) in waiting_records {
            let list = if only_sketch { &mut only_kept } else { &mut members };
            list.extend(records::decode(record).ok().and_then(|session| Looked::of(seq, &key, session)));
        }
        (members, only_kept)
    })
    .await?;
    engine.reaches.keep(store, only_kept).await?;
    let members = engine.reaches.keep(store, members).await?;
    let found = engine.reaches.look(store, members).await?;
    let places: HashMap<Seq, usize> = compared.iter().enumerate().map(|(place, one)| (one.seq, place)).collect();
    let (mut again, mut keys) = (Vec::new(), Vec::new());
    for found in found {
        again.extend(found.later);
        let (Some(place), Some(standing)) = (places.get(&found.seq), standings.get(&found.seq)) else { continue };
        let Some(basis) = standing.basis else { continue };
        let later = with_similar(basis, &found.alike);
        engine.parts.metrics.evidence(later.known_reasons);
        if later != basis {
            let thresholds = engine.parts.thresholds.of(&standing.key.deployment);
            let decided = later.decide(standing.kind, standing.score, &thresholds);
            compared[*place].found = Some(FoundAlike { basis: later, decided, thresholds });
            compared[*place].matches = found.matches;
            keys.push(standing.key.clone());
        }
    }
    let changed = store.compared(compared, again, now).await?;
    if changed > 0 {
        tracing::info!(sessions = changed, "decisions were revised: the sessions are like earlier ones");
        engine.parts.settled.notify(&keys);
    }
    Ok(count)
}
