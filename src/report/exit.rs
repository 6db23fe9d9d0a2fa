//! What the process's exit status says about a run.

use std::process::ExitCode;

use crate::config::Invalid;
use crate::engine::{Interrupted, PutBack};
use crate::guard::{TakenBack, Unconfirmed};
use crate::remote::RemoteError;

/// What the process's exit status says about a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// At least one host failed.
    Failed = 1,
    /// Changes are pending.
    Pending = 2,
    /// Every host that failed was unreachable or refused us.
    Refused = 3,
    /// cluster.toml is wrong.
    Configuration = 4,
    /// A step was taken back: by the guard of a host, or since a unit that ran did not come up with it.
    RolledBack = 5,
    /// The command line is wrong.
    Usage = 64,
    /// The operator stopped the run.
    Interrupted = 130,
}

impl Exit {
    /// Every status, in order.
    pub const ALL: &[Self] = &[
        Self::Done,
        Self::Failed,
        Self::Pending,
        Self::Refused,
        Self::Configuration,
        Self::RolledBack,
        Self::Usage,
        Self::Interrupted,
    ];

    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for `--help`.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or nothing to do",
            Self::Failed => "failed",
            Self::Pending => "changes are pending (plan --detailed-exitcode, verify)",
            Self::Refused => "unreachable or refused by a host (keys, host key, sudo)",
            Self::Configuration => "cluster.toml is wrong",
            Self::RolledBack => "a step was taken back: it locked us out, or k3s did not come up",
            Self::Usage => "wrong usage",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The status of a run in which hosts failed with `errors`: [`Exit::Done`] without any.
pub fn exit_code<'a>(errors: impl IntoIterator<Item = &'a anyhow::Error>) -> Exit {
    let mut exit = Exit::Done;
    for error in errors {
        if error.downcast_ref::<Interrupted>().is_some() {
            return Exit::Interrupted;
        }
        if error.is::<Invalid>() {
            return Exit::Configuration;
        }
        let refused = error.is::<Unconfirmed>()
            || error.downcast_ref::<RemoteError>().is_some_and(is_refusal);
        exit = match (exit, refused) {
            _ if error.is::<TakenBack>() || error.is::<PutBack>() => Exit::RolledBack,
            (Exit::RolledBack, _) => Exit::RolledBack,
            (Exit::Done | Exit::Refused, true) => Exit::Refused,
            _ => Exit::Failed,
        };
    }
    exit
}

/// Whether the host let us do nothing at all; a connection that broke later is another matter.
fn is_refusal(error: &RemoteError) -> bool {
    match error {
        RemoteError::Jump(error) => is_refusal(error),
        RemoteError::Unreachable { .. }
        | RemoteError::Silent { .. }
        | RemoteError::Unusable { .. }
        | RemoteError::Authentication { .. }
        | RemoteError::HostKeyUnknown { .. }
        | RemoteError::HostKeyChanged { .. }
        | RemoteError::HostKeyRevoked { .. }
        | RemoteError::Privilege { .. } => true,
        RemoteError::Deadline { .. } | RemoteError::Lost { .. } | RemoteError::Local(_) => false,
    }
}
