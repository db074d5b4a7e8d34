//! What a counter tells apart: the values of the label `outcome`.

/// What became of a received session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Stored.
    Accepted,
    /// Known already.
    Duplicate,
    /// Not taken.
    Refused,
}

/// What became of a call to a detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// Answered.
    Ok,
    /// May work later.
    Transient,
    /// Refused for its content.
    Permanent,
    /// Away for everybody.
    Unavailable,
    /// Answered something that does not belong to the question.
    Mismatch,
}

impl CallOutcome {
    pub(super) const ALL: [Self; 5] = [Self::Ok, Self::Transient, Self::Permanent, Self::Unavailable, Self::Mismatch];

    /// The label's value; also the reason of a retry.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Unavailable => "unavailable",
            Self::Mismatch => "mismatch",
        }
    }
}

/// What became of an attempt to tell a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The receiver took it.
    Delivered,
    /// It is tried again.
    Failed,
    /// It was tried for too long.
    GivenUp,
}

impl DeliveryOutcome {
    pub(super) const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::GivenUp];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }
}

/// What became of a key that somebody sent to log in, or of a request whose key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Logged in.
    Succeeded,
    /// Nobody's key.
    UnknownKey,
    /// A key that may not use the dashboard.
    WrongRole,
    /// Over the rate of log-ins of its address.
    Limited,
    /// A request with a key or cookie that is not known, or no more.
    RefusedKey,
    /// Not looked at: its address tried too many.
    Slowed,
}

impl Login {
    pub(super) const ALL: [Self; 6] =
        [Self::Succeeded, Self::UnknownKey, Self::WrongRole, Self::Limited, Self::RefusedKey, Self::Slowed];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::UnknownKey => "unknown_key",
            Self::WrongRole => "wrong_role",
            Self::Limited => "limited",
            Self::RefusedKey => "refused_key",
            Self::Slowed => "slowed",
        }
    }
}
