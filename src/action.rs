//! One thing that must be true on a host: how to look at it, and what makes it true.

use std::fmt;

use crate::remote::Output;
use crate::script::Script;

/// One thing that must be true on a host.
pub trait Action: fmt::Debug + Send + Sync {
    /// Names the thing: `file /etc/ssh/sshd_config.d/00-oceanid.conf`.
    fn subject(&self) -> String;
    /// Read-only questions about the thing's present state.
    fn probe(&self) -> Vec<Question>;
    /// The change that makes it true; `None` when it already is. One answer a question, in order.
    ///
    /// # Errors
    /// When the answers cannot be read, or when the host is in a state that must not be changed.
    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>>;
    /// What is worth knowing in a plan although it is left alone.
    fn notes(&self, _seen: &[Answer]) -> Vec<String> {
        Vec::new()
    }
}

/// A read-only question. All questions of one kind on one host share one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// What is at this path?
    File {
        /// The absolute path.
        path: String,
        /// Show the content when its SHA-256 (hex) is another than this. Never for a secret.
        unless: Option<String>,
    },
    /// In what state is this systemd unit?
    Unit(String),
    /// Which version of this package is installed?
    Package(String),
    /// What is the value of this kernel parameter?
    Sysctl(String),
    /// Anything else: a script that only reads.
    Script(String),
}

/// What the host said to one [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::File`].
    File(FileState),
    /// To [`Question::Unit`].
    Unit(UnitState),
    /// To [`Question::Package`]: the installed version.
    Package(Option<String>),
    /// To [`Question::Sysctl`]: the value, words separated by one space; `None` without the key.
    Sysctl(Option<String>),
    /// To [`Question::Script`].
    Script(Output),
}

/// What is at a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileState {
    /// What kind of thing it is.
    pub kind: FileKind,
    /// Permission bits, `0644`.
    pub mode: u32,
    /// `user:group`.
    pub owner: String,
    /// SHA-256 of the content, hex; empty unless it is a regular file.
    pub sha256: String,
    /// The content, where it was asked for, differs, is text, and is at most 64 KiB.
    pub content: Option<String>,
}

/// The kind of thing at a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileKind {
    /// Nothing is there.
    #[default]
    Absent,
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, a device, a socket.
    Other,
}

/// The state of a systemd unit, as `systemctl show` prints it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `Id`: the unit's own name, also when it is asked for by another.
    pub id: String,
    /// `LoadState`: `loaded`, `not-found`, `masked`.
    pub load: String,
    /// `ActiveState`: `active`, `activating`, `failed`, `inactive`.
    pub active: String,
    /// `SubState`: `running`, `auto-restart`, `dead`.
    pub sub: String,
    /// `UnitFileState`: `enabled`, `disabled`, `static`; empty without a file.
    pub enabled: String,
    /// `NeedDaemonReload`: the files changed since systemd read them.
    pub stale: bool,
    /// `NRestarts`: how often systemd restarted it by itself.
    pub restarts: u32,
    /// `ExecMainStartTimestamp`: when its process was started, seconds since 1970.
    pub started: Option<i64>,
}

/// What is printed, what is run, and what takes it back.
#[derive(Debug, Clone)]
pub struct Change {
    /// What changes, in a few words: `create, 1.2 KiB, 0600`.
    pub summary: String,
    /// Unified diff or other lines for `plan --diff`; never holds a secret.
    pub diff: Option<String>,
    /// What makes it true.
    pub apply: Script,
    /// What takes it back.
    pub undo: Undo,
}

/// How a change is taken back.
#[derive(Debug, Clone)]
pub enum Undo {
    /// Run this, after the undo of every later change.
    Run(Script),
    /// Run this once everything else is undone: a unit that must read its old files again.
    Last(Script),
    /// It stays. The plan says so.
    Never,
}
