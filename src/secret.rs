//! References to secrets, and the one way to resolve them.

use std::path::PathBuf;

/// Where a secret is found; the secret itself never stands in cluster.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// In this environment variable.
    Env(String),
    /// In this file, without its last newline.
    File(PathBuf),
    /// On the stdout of this command, without its last newline.
    Command(Vec<String>),
}
