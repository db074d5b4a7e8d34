//! What was found wrong: each stated value beside the one that was computed, compared bit for bit.

use std::fmt::{Debug, Display};

/// The part of the evidence that a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The document as such.
    Form,
    /// Who signed, or what.
    Signature,
    /// The record and its digests.
    Record,
    /// What the session is said to be.
    Session,
    /// The features.
    Features,
    /// The fixed rules.
    Rules,
    /// The model that is named.
    Model,
    /// The score and what it is.
    Score,
    /// What the decision follows from.
    Basis,
    /// The decision as it was scored.
    Decision,
    /// The changes since.
    Revisions,
    /// The decision as it stands.
    Standing,
    /// What somebody said.
    Label,
    /// Sessions with the same movement.
    Matches,
}

impl Part {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Signature => "signature",
            Self::Record => "record",
            Self::Session => "session",
            Self::Features => "features",
            Self::Rules => "rules",
            Self::Model => "model",
            Self::Score => "score",
            Self::Basis => "basis",
            Self::Decision => "decision",
            Self::Revisions => "revisions",
            Self::Standing => "standing",
            Self::Label => "label",
            Self::Matches => "matches",
        }
    }
}

/// How far a part of a verdict could be computed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Bit for bit.
    Recomputed,
    /// A remote service said it: it is taken as stated.
    AsStated,
    /// What it followed from was not kept, or is not at hand.
    NotRecomputable,
}

impl Extent {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Recomputed => "recomputed",
            Self::AsStated => "as_stated",
            Self::NotRecomputable => "not_recomputable",
        }
    }
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub part: Part,
    /// What, as a sentence for people.
    pub message: String,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, part: Part, message: impl Into<String>) {
        self.0.push(Finding { part, message: message.into() });
    }

    /// Adds a finding where `holds` is false.
    pub(super) fn holds(&mut self, holds: bool, part: Part, message: impl Into<String>) {
        if !holds {
            self.add(part, message);
        }
    }

    /// Compares two values that are equal or not.
    pub(super) fn same<T: PartialEq + Debug>(&mut self, part: Part, what: impl Display, stated: &T, computed: &T) {
        if stated != computed {
            self.add(part, format!("{what} is stated as {stated:?} and computed as {computed:?}"));
        }
    }

    /// Compares two numbers bit for bit.
    pub(super) fn same_bits(
        &mut self,
        part: Part,
        what: impl Display,
        stated: impl Into<Option<f64>>,
        computed: impl Into<Option<f64>>,
    ) {
        let (stated, computed) = (stated.into(), computed.into());
        if stated.map(f64::to_bits) != computed.map(f64::to_bits) {
            let told = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |value| format!("{value:?}"));
            self.add(part, format!("{what} is stated as {} and computed as {}", told(stated), told(computed)));
        }
    }
}
