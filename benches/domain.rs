//! What a session costs: parsing, features, the compact record, scoring.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use playproof_batch::detector::embedded::Model;
use playproof_batch::domain::features::{Extractor, FeatureSet};
use playproof_batch::domain::record;
use playproof_batch::domain::result::Thresholds;
use playproof_batch::domain::session::{Bounds, Session};
use playproof_batch::domain::sketch::Movement;
use playproof_batch::generator::{Family, Shape, generate, to_json};
use playproof_batch::offline::score::Scorer;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

/// The usual session of a measurement.
const MOVEMENTS: Shape = Shape { movements: Some(449) };
const ROWS: u64 = 10_000;

fn parse(criterion: &mut Criterion) {
    let body = to_json(&generate(Family::WindMouse, 1, MOVEMENTS), true);
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(body.len() as u64));
    let (mut session, bounds) = (Session::default(), Bounds::default());
    group.bench_function("session of 449 movements", |bencher| {
        bencher.iter(|| session.parse_into(black_box(&body), &bounds));
    });
    group.finish();
}

fn features(criterion: &mut Criterion) {
    let session = generate(Family::WindMouse, 1, MOVEMENTS);
    let (mut extractor, mut row) = (Extractor::default(), Vec::new());
    for (name, set) in [("v1", FeatureSet::V1), ("v2", FeatureSet::V2)] {
        criterion.bench_function(&format!("features {name} of 449 movements"), |bencher| {
            bencher.iter(|| extractor.extract(set, black_box(&session), &mut row));
        });
    }
}

fn movement(criterion: &mut Criterion) {
    let session = generate(Family::WindMouse, 1, MOVEMENTS);
    criterion.bench_function("movement to be known by, of 449 movements", |bencher| {
        bencher.iter(|| Movement::of(black_box(&session)));
    });
}

fn encode(criterion: &mut Criterion) {
    let session = generate(Family::WindMouse, 1, MOVEMENTS);
    let (mut integers, mut record) = (Vec::new(), Vec::new());
    criterion.bench_function("compact record of 449 movements", |bencher| {
        bencher.iter(|| {
            record.clear();
            record::encode(black_box(&session), &mut integers, &mut record);
        });
    });
}

fn score(criterion: &mut Criterion) {
    let Ok(model) = Model::bundled() else {
        eprintln!("scoring is not measured: this build has no bundled model");
        return;
    };
    let mut extractor = Extractor::default();
    let sessions: Vec<Session> = (0..ROWS)
        .map(|seed| generate(Family::ALL[(seed % 4) as usize], seed, Shape { movements: Some(100) }))
        .collect();
    let rows: Vec<Vec<f64>> = sessions
        .iter()
        .map(|session| {
            let mut row = Vec::new();
            extractor.extract(model.feature_set(), session, &mut row);
            row
        })
        .collect();
    let mut group = criterion.benchmark_group("score");
    group.throughput(Throughput::Elements(ROWS)).sample_size(10);
    let raw = |row: &Vec<f64>| model.assess(row).raw;
    // Generated sessions are odd, so that all of the above are explained as well; most people's are not.
    group.bench_function("10,000 feature rows on one thread, unexplained", |bencher| {
        bencher.iter(|| rows.iter().map(|row| model.assess(row).calibrated.p).fold(0.0, f64::max));
    });
    group.bench_function("10,000 feature rows on one thread", |bencher| {
        bencher.iter(|| rows.iter().map(raw).fold(0.0, f64::max));
    });
    if let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(2).build() {
        group.bench_function("10,000 feature rows on two threads", |bencher| {
            bencher.iter(|| pool.install(|| rows.par_iter().map(raw).reduce(|| 0.0, f64::max)));
        });
    }
    group.bench_function("10,000 sessions of 100 movements to verdicts", |bencher| {
        bencher.iter_batched_ref(
            || Scorer::new(&model, Thresholds::default()),
            |scorer| sessions.iter().filter(|session| scorer.verdict(session).is_anomaly()).count(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, parse, features, movement, encode, score);
criterion_main!(benches);
