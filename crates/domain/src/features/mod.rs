//! Feature sets: from a session to a fixed row of numbers. ADD A SET: one module here and one variant below.
//!
//! A set, once published, never changes: models name the set they were trained on, and stored rows name it too.

pub mod v1;

pub mod v2;

pub mod v3;

use super::reason::Reason;
use super::session::Session;
use super::timeline;

/// The feature sets that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FeatureSet {
    /// The 28 numeric columns that the original service computed; see [`v1`].
    V1,
    /// How the pointer moved on a common clock, whatever recorded it; see [`v2`].
    V2,
    /// v2 with absolute time and size; see [`v3`].
    V3,
}

impl FeatureSet {
    /// Every set, oldest first.
    pub const ALL: [Self; 3] = [Self::V1, Self::V2, Self::V3];

    /// The name used in files, flags and the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3 => "v3",
        }
    }

    /// The set called `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// The column that counts what a row's motion was computed from, and the least of it: rows with less carry zeros
    /// in place of motion and can't be judged by it.
    #[must_use]
    pub fn evidence(self) -> (usize, f64) {
        match self {
            Self::V1 => (1, 10.0),
            Self::V2 | Self::V3 => (0, 16.0),
        }
    }

    /// The trait of the movement that a column describes.
    #[must_use]
    pub fn describes(self, column: usize) -> Reason {
        match self {
            Self::V1 => v1::describes(column),
            Self::V2 => v2::describes(column),
            Self::V3 => v3::describes(column),
        }
    }

    /// The columns that describe the recorder and not the movement.
    pub fn recorder(self) -> impl Iterator<Item = usize> {
        (0..self.columns().len()).filter(move |column| match self {
            Self::V1 => false,
            Self::V2 => v2::is_recorder(*column),
            Self::V3 => v3::is_recorder(*column),
        })
    }

    /// Whether a column says more of the task and of the recorder's clock than of the hand: whether people click on the
    /// way, or how often a game turns them back.
    #[must_use]
    pub fn is_task(self, column: usize) -> bool {
        self == Self::V3 && v3::is_task(column)
    }

    /// Columns that tell one kind of recording from another: the recorder's, and how much of the time there is movement.
    pub fn recording(self) -> impl Iterator<Item = usize> {
        let also: &[&str] = match self {
            Self::V1 => &[],
            Self::V2 => &["restShare"],
            Self::V3 => &["restShare", "movementShare"],
        };
        let named = move |column: &usize| also.contains(&self.columns()[*column]);
        self.recorder().chain((0..self.columns().len()).filter(named))
    }

    /// The numeric columns in order; `sessionId`, `gameType` and `deviceType` stand before them in every export.
    #[must_use]
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::V1 => &v1::COLUMNS,
            Self::V2 => &v2::COLUMNS,
            Self::V3 => &v3::COLUMNS,
        }
    }
}

/// Computes feature rows, reusing its buffers from session to session.
#[derive(Debug, Default)]
pub struct Extractor {
    v1: v1::Workspace,
    v2_rows: v2::Workspace,
    v3_rows: v3::Workspace,
}

impl Extractor {
    /// The row of `set` for `session`, written over `row`. Every value is finite. All sets but v1, which is the original
    /// service's, see the session with steps of its clock undone; see [`timeline`].
    pub fn extract(&mut self, set: FeatureSet, session: &Session, row: &mut Vec<f64>) {
        row.clear();
        match set {
            FeatureSet::V1 => row.extend_from_slice(&self.v1(session).values()),
            FeatureSet::V2 => self.v2_rows.extract(&timeline::without_steps(session), row),
            FeatureSet::V3 => self.v3_rows.extract(&timeline::without_steps(session), row),
        }
    }

    /// What the heuristic's rules look at, as [`Extractor::v1`] gives it.
    pub fn rule_inputs(&mut self, session: &Session) -> v1::RuleInputs {
        self.v1.rule_inputs(session)
    }

    /// Feature set v1 by name.
    pub fn v1(&mut self, session: &Session) -> v1::Features {
        self.v1.extract(session)
    }
}
