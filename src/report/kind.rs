//! The kinds of errors, and the words that `oceanid explain` knows them by.

use serde::Serialize;

/// What kind of error it is; the names are part of the JSON schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No connection within the deadline.
    Unreachable,
    /// A connection, and then nothing.
    Silent,
    /// What answers cannot be used.
    Unusable,
    /// None of our keys is accepted.
    Authentication,
    /// The host key is not known.
    HostKeyUnknown,
    /// The host key is another one than the known one.
    HostKeyChanged,
    /// The host key was withdrawn.
    HostKeyRevoked,
    /// We cannot become root.
    Privilege,
    /// A script ran into its deadline.
    Deadline,
    /// The connection broke.
    Lost,
    /// Something on this machine.
    Local,
    /// A change did not end well.
    ChangeFailed,
    /// A change ended well and yet is not true.
    NotHeld,
    /// Another run has the host.
    Held,
    /// The host's guard took a step back.
    TakenBack,
    /// A unit that ran did not come up, and has what it had before.
    PutBack,
    /// A unit that ran did not come up, and what it had before did not either.
    NotPutBack,
    /// Nobody gets in any more since a guarded step.
    Unconfirmed,
    /// The operator stopped the run.
    Interrupted,
    /// cluster.toml is wrong.
    Configuration,
    /// Anything else.
    #[default]
    Other,
}

impl Kind {
    /// Every kind that has a code.
    pub const ALL: &[Self] = &[
        Self::Unreachable,
        Self::Silent,
        Self::Unusable,
        Self::Authentication,
        Self::HostKeyUnknown,
        Self::HostKeyChanged,
        Self::HostKeyRevoked,
        Self::Privilege,
        Self::Deadline,
        Self::Lost,
        Self::Local,
        Self::ChangeFailed,
        Self::NotHeld,
        Self::Held,
        Self::TakenBack,
        Self::PutBack,
        Self::NotPutBack,
        Self::Unconfirmed,
        Self::Interrupted,
        Self::Configuration,
    ];

    /// What `oceanid explain` knows it by; nothing for what has no name of its own.
    #[must_use]
    pub fn code(self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable => "unreachable",
            Self::Silent => "silent",
            Self::Unusable => "unusable",
            Self::Authentication => "authentication",
            Self::HostKeyUnknown => "host-key-unknown",
            Self::HostKeyChanged => "host-key-changed",
            Self::HostKeyRevoked => "host-key-revoked",
            Self::Privilege => "privilege",
            Self::Deadline => "deadline",
            Self::Lost => "lost",
            Self::Local => "local",
            Self::ChangeFailed => "change-failed",
            Self::NotHeld => "not-held",
            Self::Held => "held",
            Self::TakenBack => "taken-back",
            Self::PutBack => "put-back",
            Self::NotPutBack => "not-put-back",
            Self::Unconfirmed => "unconfirmed",
            Self::Interrupted => "interrupted",
            Self::Configuration => "configuration",
            Self::Other => return None,
        })
    }
}
