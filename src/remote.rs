//! A connected host: in production SSH or this machine, in tests a fake.

pub mod auth;
pub mod connector;
mod exchange;
mod handshake;
mod host_key;
mod keys;
pub mod known_hosts;
mod local;
mod passwords;
mod patterns;
mod payload;
mod privilege;
mod route;
mod ssh;
pub mod ssh_config;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;

pub use self::connector::{Connector, Environment, ShownKey, Waiting};
pub use self::local::Local;
pub use self::ssh::Connection;
use crate::script::Script;

/// Receives the progress lines that a script prints while it runs.
pub type Progress<'a> = dyn Fn(&str) + Send + Sync + 'a;

/// What a script left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// The exit status; 128 + n for a script that signal n ended.
    pub status: i32,
    /// Everything that it printed on stdout.
    pub stdout: String,
    /// Everything that it printed on stderr, progress lines left out.
    pub stderr: String,
}

/// A connected host.
pub trait Remote: Send + Sync {
    /// Runs `script` under `sh` as root, and hands progress lines over while it runs.
    fn run(
        &self,
        script: &Script,
        progress: &Progress<'_>,
    ) -> impl Future<Output = Result<Output, RemoteError>> + Send;

    /// Comes in anew by the same way, as the same user and with the same privilege; asks nobody.
    fn again(&self) -> impl Future<Output = Result<Self, RemoteError>> + Send
    where
        Self: Sized;
}

/// Whom to ask: a person at a terminal, or nobody.
pub trait Prompt: Send + Sync {
    /// The passphrase of the key at `key`; `None` when nobody answers.
    fn passphrase(&self, key: &Path) -> Option<SecretString>;
    /// The password with which `user` becomes root on `host`; `None` when nobody answers.
    fn sudo_password(&self, user: &str, host: &str) -> Option<SecretString>;
    /// Whether the key with this fingerprint is the one of the host at `address`.
    fn trust(&self, address: &str, fingerprint: &str) -> bool;
}

/// A host over SSH, or this machine.
pub enum AnyRemote {
    /// Over SSH.
    Ssh(Box<Connection>),
    /// This machine.
    Local(Local),
}

impl Remote for AnyRemote {
    async fn run(&self, script: &Script, progress: &Progress<'_>) -> Result<Output, RemoteError> {
        match self {
            Self::Ssh(connection) => connection.run(script, progress).await,
            Self::Local(local) => local.run(script, progress).await,
        }
    }

    async fn again(&self) -> Result<Self, RemoteError> {
        match self {
            Self::Ssh(connection) => Ok(Self::Ssh(Box::new(connection.reconnect().await?))),
            Self::Local(local) => Ok(Self::Local(*local)),
        }
    }
}

/// Why a host could not be reached, or why what was asked of it has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RemoteError {
    /// No connection within the deadline.
    #[error("cannot reach `{address}` within {} s", .waited.as_secs())]
    Unreachable {
        /// Host and port as tried.
        address: String,
        /// How long it was tried.
        waited: Duration,
        /// What the last try said.
        last: String,
    },
    /// The host answers, but accepts none of our keys.
    #[error("`{user}@{address}` accepts none of the offered keys")]
    Authentication {
        /// The user that we logged in as.
        user: String,
        /// Host and port.
        address: String,
        /// One line for each key that was offered or passed over, and why.
        tried: Vec<String>,
    },
    /// No known key for this host, and nobody to ask.
    #[error("the host key of `{address}` is not known")]
    HostKeyUnknown {
        /// Host and port.
        address: String,
        /// Algorithm and SHA256 fingerprint that the host showed.
        fingerprint: String,
    },
    /// The host shows another key than the known one.
    #[error("the host key of `{address}` has CHANGED")]
    HostKeyChanged {
        /// Host and port.
        address: String,
        /// Algorithm and SHA256 fingerprint that the host showed.
        fingerprint: String,
        /// Where the other key is written: file and line, or cluster.toml.
        known: String,
    },
    /// The host shows a key that is marked as revoked.
    #[error("the host key of `{address}` is REVOKED")]
    HostKeyRevoked {
        /// Host and port.
        address: String,
        /// Algorithm and SHA256 fingerprint that the host showed.
        fingerprint: String,
        /// File and line of the mark.
        known: String,
    },
    /// The host accepts the connection and then says nothing.
    #[error("`{address}` accepts the connection, but {missing} did not come within {} s", .waited.as_secs())]
    Silent {
        /// Host and port.
        address: String,
        /// What we waited for.
        missing: String,
        /// How long.
        waited: Duration,
    },
    /// What answers is no ssh server that we can use, or no login shell.
    #[error("`{address}` cannot be used: {reason}")]
    Unusable {
        /// Host and port.
        address: String,
        /// Why not.
        reason: String,
    },
    /// A hop before the host turned us away.
    #[error("on the way there: {0}")]
    Jump(Box<RemoteError>),
    /// We are in, but cannot become root.
    #[error("cannot become root on `{address}` as `{user}`")]
    Privilege {
        /// The user that we logged in as.
        user: String,
        /// Host and port.
        address: String,
        /// What sudo said.
        reason: String,
    },
    /// The script was still running at its deadline.
    #[error("still running after {} s", .limit.as_secs())]
    Deadline {
        /// The deadline.
        limit: Duration,
    },
    /// The connection broke while a script ran.
    #[error("the connection to `{address}` broke")]
    Lost {
        /// Host and port.
        address: String,
        /// What the transport said.
        reason: String,
    },
    /// A local cause: a key file that cannot be read, an agent that does not answer.
    #[error("{0}")]
    Local(String),
}

impl RemoteError {
    /// Host and port that it is about, where it is about one.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::Unreachable { address, .. }
            | Self::Authentication { address, .. }
            | Self::HostKeyUnknown { address, .. }
            | Self::HostKeyChanged { address, .. }
            | Self::HostKeyRevoked { address, .. }
            | Self::Silent { address, .. }
            | Self::Unusable { address, .. }
            | Self::Privilege { address, .. }
            | Self::Lost { address, .. } => Some(address),
            Self::Jump(error) => error.address(),
            Self::Deadline { .. } | Self::Local(_) => None,
        }
    }
}
