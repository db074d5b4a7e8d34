//! The telemetry of a batch's members: read from the store once, decoded once, and made what whoever asks needs of it.

use std::collections::HashMap;

use super::kept_reaches::{Looked, off_thread};
use crate::detector::Row;
use crate::domain::features::{Extractor, FeatureSet};
use crate::domain::id::{Seq, SessionKey};
use crate::domain::record;
use crate::domain::session::Session;
use crate::store::{Member, Store, StoreResult};

/// What is needed of one member's telemetry.
pub(super) struct Wanted {
    pub(super) seq: Seq,
    pub(super) key: SessionKey,
    /// The feature set that the detector wants its row in, where it is still to be asked.
    pub(super) row: Option<FeatureSet>,
    /// The same for the shadow.
    pub(super) shadow_row: Option<FeatureSet>,
    /// Whether it is compared with other sessions.
    pub(super) movement: bool,
}

/// A feature row, or why there is none.
pub(super) type Features = Result<Vec<f64>, String>;

/// What the members' telemetry says.
#[derive(Default)]
pub(super) struct Records {
    rows: HashMap<Seq, Features>,
    shadow_rows: HashMap<Seq, Features>,
    movements: Vec<Looked>,
}

impl Records {
    /// Reads and decodes what is wanted. Feature set v1 is kept with the session and needs no telemetry.
    pub(super) async fn read(store: &dyn Store, mut wanted: Vec<Wanted>) -> StoreResult<Self> {
        let needs = |set: Option<FeatureSet>| set.is_some_and(|set| set != FeatureSet::V1);
        wanted.retain(|one| needs(one.row) || needs(one.shadow_row) || one.movement);
        if wanted.is_empty() {
            return Ok(Self::default());
        }
        let records = store.telemetry(wanted.iter().map(|one| one.seq).collect()).await?;
        off_thread(move || {
            let (mut read, mut extractor) = (Self::default(), Extractor::default());
            for (wanted, record) in wanted.into_iter().zip(records) {
                read.add(wanted, record, &mut extractor);
            }
            read
        })
        .await
    }

    fn add(&mut self, wanted: Wanted, record: Option<Vec<u8>>, extractor: &mut Extractor) {
        let Wanted { seq, key, row, shadow_row, movement } = wanted;
        let session = decode(record);
        for (set, rows) in [(row, &mut self.rows), (shadow_row, &mut self.shadow_rows)] {
            let Some(set) = set.filter(|set| *set != FeatureSet::V1) else { continue };
            let features = session.as_ref().map_err(Clone::clone).map(|session| {
                let mut features = Vec::new();
                extractor.extract(set, session, &mut features);
                features
            });
            rows.insert(seq, features);
        }
        if let (true, Ok(session)) = (movement, session) {
            self.movements.extend(Looked::of(seq, &key, session));
        }
    }

    /// The rows that the detector wants of `members`, and those without one, with the reason.
    pub(super) fn rows(&mut self, set: FeatureSet, members: &[&Member]) -> (Vec<Row>, Vec<(Seq, String)>) {
        rows(set, members, &mut self.rows)
    }

    /// The rows that the shadow wants of `members`; those without one are left out.
    pub(super) fn shadow_rows(&mut self, set: FeatureSet, members: &[&Member]) -> Vec<Row> {
        rows(set, members, &mut self.shadow_rows).0
    }

    /// The features of a member whose score stands and whose row was wanted.
    pub(super) fn features(&self, seq: Seq) -> Option<&[f64]> {
        self.rows.get(&seq).and_then(|features| features.as_deref().ok())
    }

    /// The members that can be compared, in order of arrival.
    pub(super) fn into_movements(mut self) -> Vec<Looked> {
        self.movements.sort_by_key(|member| member.seq.0);
        self.movements
    }
}

fn rows(set: FeatureSet, members: &[&Member], features: &mut HashMap<Seq, Features>) -> (Vec<Row>, Vec<(Seq, String)>) {
    let (mut rows, mut without) = (Vec::with_capacity(members.len()), Vec::new());
    for member in members {
        let features = match (set, features.remove(&member.seq)) {
            (FeatureSet::V1, _) => Ok(member.features.values().to_vec()),
            (_, Some(features)) => features,
            (_, None) => Err(GONE.to_owned()),
        };
        match features {
            Ok(features) => rows.push(Row {
                id: member.seq,
                deployment: member.key.deployment.clone(),
                game_type: member.game_type.clone(),
                device_type: member.device_type.clone(),
                features,
            }),
            Err(error) => without.push((member.seq, error)),
        }
    }
    (rows, without)
}

/// Why a member has no row.
const GONE: &str = "its telemetry is gone, and the model needs it";

/// The session of a record, or why there is none.
pub(super) fn decode(record: Option<Vec<u8>>) -> Result<Session, String> {
    record::decode(&record.ok_or(GONE)?).map_err(|damaged| damaged.to_string())
}
