//! The session that a detector scored last: where it refuses others, whether it still takes this one tells sessions at fault
//! from a detector at fault. It is read from the store, so that every node has one, after a restart too, and nobody who was
//! erased is sent anywhere.

use super::records::{Records, Wanted};
use crate::detector::{Detector, Row};
use crate::domain::features::FeatureSet;
use crate::store::{Lookup, ResultQuery, Store, StoreError, StoreResult};

/// Results looked at for one of the detector.
const WINDOW: u32 = 1_000;

/// What the detector makes of the session that it scored last.
pub(super) enum Testimony {
    /// There is no such session.
    Missing,
    /// It takes it: those that it refuses are at fault.
    Taken,
    /// It refuses it now: the detector is at fault.
    Refused,
    /// It could not be asked.
    Silent,
}

/// The row of the session of a deployment that `detector` scored last; `None` where there is none, or the model needs its
/// telemetry and that is gone.
pub(super) async fn find(store: &dyn Store, detector: &dyn Detector, deployment: &str) -> StoreResult<Option<Row>> {
    let query = ResultQuery {
        source: Some(detector.source()),
        deployment: Some(deployment.to_owned()),
        limit: 1,
        window: Some(WINDOW),
        ..ResultQuery::default()
    };
    let Some(newest) = store.results(query).await?.rows.into_iter().next() else { return Ok(None) };
    if newest.result.verdict.fallback {
        return Ok(None);
    }
    let Lookup::Found(session) = store.session(newest.key.clone()).await? else {
        return Err(StoreError::Unavailable("the session that was scored last is gone".to_owned()));
    };
    let (seq, set) = (session.seq, detector.feature_set());
    let features = if set == FeatureSet::V1 {
        Some(session.features.values().to_vec())
    } else {
        let wanted = Wanted { seq, key: newest.key, row: Some(set), shadow_row: None, movement: false };
        Records::read(store, vec![wanted]).await?.features(seq).map(<[f64]>::to_vec)
    };
    Ok(features.map(|features| Row {
        id: seq,
        deployment: session.key.deployment,
        game_type: session.game_type,
        device_type: session.device_type,
        features,
    }))
}
