//! The embedded store under load: intake by 64 submitters at once, and claiming and settling batches of 50, in a store
//! that already holds sessions. Costs should not depend on how many.
//!
//! `cargo bench --bench store` runs sizes 1e3 and 1e5; `cargo bench --bench store -- 1000000` runs the largest one alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use playproof_batch::domain::batch::Trigger;
use playproof_batch::domain::features::v1;
use playproof_batch::domain::heuristic::Heuristic;
use playproof_batch::domain::id::{LeaseToken, SessionId, SessionKey};
use playproof_batch::domain::reason::Reasons;
use playproof_batch::domain::record::SessionDigest;
use playproof_batch::domain::result::{
    Decision, DecisionInputs, ModelIdentity, ScoreKind, Source, Thresholds, Verdict,
};
use playproof_batch::domain::time::{Now, Timestamp};
use playproof_batch::store::sqlite::{CapacityLimits, SqliteSettings, SqliteStore};
use playproof_batch::store::{
    BatchEnd, BatchOutcome, ClaimRequest, FirstVerdict, MemberOutcome, NewSession, Settlement, Store,
};

const SUBMITTERS: usize = 64;
const BATCH: u32 = 50;
/// Run by default; the last one only where its number is named on the command line.
const SIZES: [u64; 3] = [1_000, 100_000, 1_000_000];
const NOW: Now = Now { wall: Timestamp(1_700_000_000_000), monotonic: Duration::ZERO };

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A session of usual size; no two are alike.
fn session() -> Option<NewSession> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut record = vec![0; 2_400];
    for (i, chunk) in record.chunks_exact_mut(8).enumerate() {
        let mixed = (number ^ (i as u64) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        chunk.copy_from_slice(&mixed.to_le_bytes());
    }
    let heuristic = Heuristic { score: 0.5, reasons: Reasons::default() };
    let verdict = Verdict::heuristic(&heuristic, &Thresholds::default());
    Some(NewSession {
        key: SessionKey { deployment: "site".to_owned(), id: SessionId::parse(&format!("session-{number:016x}"))? },
        user_id: Some(format!("user-{}", number / 10)),
        game_type: "aim".to_owned(),
        device_type: "mouse".to_owned(),
        digest: SessionDigest::of(&record),
        record,
        features: v1::Features::from_values([0.5; 28]),
        reasons: heuristic.reasons,
        first: FirstVerdict { verdict, scored_at: NOW.wall, latency_ms: 0.2 },
        is_final: false,
        challenge: None,
    })
}

fn scored() -> MemberOutcome {
    MemberOutcome::Scored(Box::new(Verdict {
        decision: Decision::Pass,
        confidence: 0.9,
        anomaly_score: Some(0.4),
        raw_score: Some(12.5),
        kind: ScoreKind::Calibrated,
        extrapolated: false,
        source: Source::Embedded,
        model: ModelIdentity { id: "forest".to_owned(), version: "1".to_owned() },
        class: "pooled".to_owned(),
        reasons: Reasons::default(),
        fallback: false,
        basis: Some(DecisionInputs::default()),
        thresholds: Some(Thresholds::default()),
    }))
}

/// Submits `count` sessions, [`SUBMITTERS`] at a time.
async fn intake(store: &SqliteStore, count: u64) {
    let sessions = stream::iter((0..count).filter_map(|_| session()));
    let refused = sessions
        .map(|session| store.accept(session))
        .buffer_unordered(SUBMITTERS)
        .filter(|answer| std::future::ready(answer.is_err()))
        .count();
    assert_eq!(refused.await, 0, "the store refused sessions");
}

/// Claims one batch and scores it; how many sessions it had.
async fn batch(store: &SqliteStore) -> u64 {
    let request = ClaimRequest {
        trigger: Trigger::Full,
        max: BATCH,
        up_to: None,
        accepted_by: None,
        lease: Duration::from_secs(60),
        token: LeaseToken(NUMBER.fetch_add(1, Ordering::Relaxed)),
        owner: "bench".to_owned(),
        source: Source::Embedded,
    };
    let Ok(Some(claim)) = store.claim(request, NOW).await else { return 0 };
    let outcomes = claim.members.iter().map(|member| (member.seq, scored())).collect();
    let end = BatchEnd {
        outcome: BatchOutcome::Scored,
        attempts: 1,
        detector_ms: 1.0,
        error: None,
        agreement: None,
        false_discovery: None,
    };
    let settled =
        store.settle(claim.lease, Settlement { outcomes, end: Some(end), ..Settlement::default() }, NOW).await;
    settled.map_or(0, |settled| settled.processed)
}

/// A store of `size` sessions, half of them processed.
async fn filled(store: &SqliteStore, size: u64) {
    intake(store, size).await;
    let mut processed = 0;
    while processed < size / 2 {
        let done: u64 = join_all((0..2).map(|_| batch(store))).await.into_iter().sum();
        assert!(done > 0, "nothing was processed");
        processed += done;
    }
}

fn bench(criterion: &mut Criterion, size: u64) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    let folder = tempfile::tempdir()?;
    let room = CapacityLimits { queue_limit: u64::MAX, store_limit: None, min_free_disk: 0 };
    let settings = SqliteSettings { folder: folder.path().to_owned(), room, autostart: true };
    let store = SqliteStore::open(&settings, NOW.wall)?;
    runtime.block_on(filled(&store, size));

    let mut group = criterion.benchmark_group(format!("store/{size}"));
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    group.throughput(Throughput::Elements(1));
    group.bench_function("intake", |bencher| {
        bencher.iter_custom(|count| {
            let start = Instant::now();
            runtime.block_on(intake(&store, count));
            start.elapsed()
        });
    });
    group.throughput(Throughput::Elements(u64::from(BATCH)));
    group.bench_function("claim_and_settle", |bencher| {
        bencher.iter_custom(|count| {
            runtime.block_on(intake(&store, count * u64::from(BATCH)));
            let start = Instant::now();
            runtime.block_on(async {
                for _ in 0..count {
                    assert_eq!(batch(&store).await, u64::from(BATCH), "a full batch");
                }
            });
            start.elapsed()
        });
    });
    group.finish();
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked: Vec<String> = std::env::args().collect();
    let named = SIZES.into_iter().filter(|size| asked.contains(&size.to_string())).collect::<Vec<_>>();
    let sizes = if named.is_empty() { SIZES[..2].to_vec() } else { named };
    let mut criterion = Criterion::default().configure_from_args();
    for size in sizes {
        bench(&mut criterion, size)?;
    }
    criterion.final_summary();
    Ok(())
}
