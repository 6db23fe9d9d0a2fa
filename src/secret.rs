//! References to secrets, and the one way to resolve them.

use std::path::PathBuf;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};

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

impl SecretRef {
    /// Stand-in until the real one is merged.
    pub fn resolve(&self) -> anyhow::Result<SecretString> {
        let text = match self {
            Self::Env(name) => std::env::var(name).with_context(|| format!("`{name}` is not set"))?,
            Self::File(path) => std::fs::read_to_string(path)?.trim_end_matches('\n').to_owned(),
            Self::Command(_) => anyhow::bail!("not yet"),
        };
        Ok(SecretString::from(text))
    }
}

/// The bytes of a secret.
#[must_use]
pub fn bytes(secret: &SecretString) -> &[u8] {
    secret.expose_secret().as_bytes()
}
