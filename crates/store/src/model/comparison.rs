//! Sessions side by side: sketches, what is like what, and what is still to be compared.

use playproof_domain::id::Seq;
use playproof_domain::sketch::Sketch;
use playproof_domain::time::Timestamp;

/// A sketch to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSketch {
    /// Row id of the session.
    pub seq: Seq,
    /// The sketch.
    pub sketch: Sketch,
}

/// The sessions that a session is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matches {
    /// Row id of the session.
    pub seq: Seq,
    /// Other sessions with its movement or a part of it, the most alike first.
    pub others: Vec<Seq>,
}

/// A kept sketch.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Row id of its session.
    pub seq: Seq,
    /// Whose session it is; `None` where a page alone says so.
    pub user_id: Option<String>,
    /// Whether it came by a submit key alone.
    pub is_of_page: bool,
    /// Whether its own result names [`NAMED`](playproof_domain::evidence::NAMED) others: it is one more copy of them, and
    /// they stand for it.
    pub is_copy: bool,
    /// The sketch.
    pub sketch: Sketch,
}

/// A place in the order in which kept sketches became visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SketchCursor {
    /// The transaction that kept the last one, where the store counts transactions.
    pub transaction: u64,
    /// The session of the last one.
    pub seq: i64,
}

/// Sessions whose sketches became visible, and where to go on. After the last page sketches that were seen may come again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SketchPage {
    /// Row ids of the sessions.
    pub seqs: Vec<Seq>,
    /// Where the next page begins.
    pub next: SketchCursor,
    /// Whether there are more now.
    pub more: bool,
}

/// A session whose verdict stands and that is still to be compared with others.
#[derive(Clone, Debug, PartialEq)]
pub struct Uncompared {
    /// Its decision and what that follows from.
    pub standing: crate::decisions::DecidedResult,
    /// Whose session it is.
    pub user_id: Option<String>,
    /// Its compact record; `None` where it is gone.
    pub record: Option<Vec<u8>>,
    /// Whether its sketch alone is missing: it was compared by an earlier version.
    pub only_sketch: bool,
}

/// What comparing a settled session found.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The session.
    pub seq: Seq,
    /// Other sessions with its movement, the most alike first.
    pub matches: Vec<Seq>,
    /// What its decision follows from now; `None` where nothing was found.
    pub found: Option<FoundAlike>,
}

/// What a decision follows from once a settled session was found to be like others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FoundAlike {
    /// With the others.
    pub basis: playproof_domain::result::DecisionInputs,
    /// The new decision.
    pub decided: playproof_domain::result::Decided,
    /// The thresholds that made it.
    pub thresholds: playproof_domain::result::Thresholds,
}

/// How much is still to be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComparisonBacklog {
    /// Sessions.
    pub sessions: u64,
    /// When the one that waits longest got its verdict.
    pub oldest: Option<Timestamp>,
}
