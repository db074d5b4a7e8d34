//! What a batch needs to go on from the scores that its sessions got when they were accepted.
//!
//! A first verdict goes without the traits of the movement: to find them costs more than the score. The batch finds them
//! from the values that the trees asked for, which are kept in memory for the sessions of late, or else from the row.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::{EXPLAINED, InService};
use playproof_domain::calibration::Calibrated;
use playproof_domain::features::FeatureSet;
use playproof_domain::id::Seq;
use playproof_domain::reason::Reasons;
use playproof_domain::result::ModelIdentity;

/// Most sessions whose values are kept: some three megabytes.
const MAX_KEPT: usize = 8192;

/// The values that the trees asked for, of sessions that wait for their batch.
#[derive(Debug, Default)]
pub(super) struct RecentRows(Mutex<Values>);

#[derive(Debug, Default)]
struct Values {
    of: HashMap<Seq, Box<[f32]>>,
    /// In order of arrival; some are taken already.
    arrived: VecDeque<Seq>,
}

impl RecentRows {
    /// Keeps the values of a session, and forgets the oldest where there is no place.
    pub(super) fn keep(&self, session: Seq, asked: Box<[f32]>) {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if values.arrived.len() >= MAX_KEPT
            && let Some(oldest) = values.arrived.pop_front()
        {
            values.of.remove(&oldest);
        }
        values.arrived.push_back(session);
        values.of.insert(session, asked);
    }

    fn take(&self, session: Seq) -> Option<Box<[f32]>> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = values.of.remove(&session);
        if values.of.is_empty() {
            values.arrived.clear();
        }
        asked
    }
}

/// The models in service and the sessions that they scored of late.
#[derive(Clone, Debug)]
pub struct Kept(pub(super) InService);

/// The traits of a session's movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traits {
    /// They are these.
    Known(Reasons),
    /// They follow from the session's row, see [`Kept::traits`].
    FromRow,
}

impl Kept {
    /// Whether a score that `model` gave a deployment's session is the one that would be given now.
    #[must_use]
    pub fn stands_by(&self, deployment: &str, model: &ModelIdentity) -> bool {
        self.0.of(deployment).model.identity == *model
    }

    /// The features that [`Kept::traits`] wants.
    #[must_use]
    pub fn feature_set(&self) -> FeatureSet {
        self.0.general.model.feature_set()
    }

    /// The traits that a deployment's session of this score shows, as far as they can be told without its row. Asked once
    /// of each.
    #[must_use]
    pub fn recall(&self, deployment: &str, session: Seq, calibrated: &Calibrated) -> Traits {
        let of = self.0.of(deployment);
        let asked = of.lately.take(session);
        match asked {
            _ if calibrated.score <= EXPLAINED => Traits::Known(Reasons::default()),
            Some(asked) => Traits::Known(of.model.traits_of(&asked)),
            None => Traits::FromRow,
        }
    }

    /// The traits of a row of a deployment's session that has this score.
    #[must_use]
    pub fn traits(&self, deployment: &str, features: &[f64], calibrated: &Calibrated) -> Reasons {
        self.0.of(deployment).model.traits(features, calibrated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_a_session_are_given_once_and_the_oldest_are_forgotten() {
        let lately = RecentRows::default();
        let most = i64::try_from(MAX_KEPT).unwrap();
        for n in 0..most + 2 {
            lately.keep(Seq(n), [1.0].into());
        }
        assert_eq!((lately.take(Seq(0)), lately.take(Seq(1))), (None, None));
        assert!(lately.take(Seq(2)).is_some() && lately.take(Seq(2)).is_none());
        for n in 3..most + 2 {
            assert!(lately.take(Seq(n)).is_some(), "{n}");
        }
        assert!(lately.0.lock().unwrap().arrived.is_empty());
    }
}
