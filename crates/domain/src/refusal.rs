//! Why a session was not accepted: which field, what is wrong with it and how to mend it.

use std::fmt;

/// Whose fault it is, in the terms a client can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The text is not the JSON we ask for: syntax, a wrong type, a missing or repeated field.
    Malformed,
    /// Well-formed, but a number, a length or an identifier is outside its bounds.
    OutOfBounds,
    /// Well-formed and within bounds, but times are in another unit than milliseconds.
    TimestampUnit,
}

/// Where in a session the fault lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldPath {
    /// The document as a whole.
    Body,
    /// A field of the session.
    Field(&'static str),
    /// An item of a list, such as `movements[17]`.
    Item(&'static str, usize),
    /// A field of an item, such as `movements[17].x`.
    ItemField(&'static str, usize, &'static str),
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("body"),
            Self::Field(name) => f.write_str(name),
            Self::Item(list, i) => write!(f, "{list}[{i}]"),
            Self::ItemField(list, i, name) => write!(f, "{list}[{i}].{name}"),
        }
    }
}

/// One refused session: the field's path and a sentence saying what to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} {message}")]
pub struct Refusal {
    /// What kind of fault it is.
    pub kind: RefusalKind,
    /// The field at fault.
    pub path: FieldPath,
    /// What is wrong, as a predicate: "must be a number".
    pub message: String,
}

impl Refusal {
    /// A syntax, type or presence fault at `path`.
    #[must_use]
    pub fn malformed(path: FieldPath, message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Malformed, path, message: message.into() }
    }

    /// A bounds fault at `path`.
    #[must_use]
    pub fn out_of_bounds(path: FieldPath, message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::OutOfBounds, path, message: message.into() }
    }

    /// A fault of the unit of time at `path`.
    #[must_use]
    pub fn timestamp_unit(path: FieldPath, message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::TimestampUnit, path, message: message.into() }
    }
}
