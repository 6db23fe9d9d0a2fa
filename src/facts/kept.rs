//! What a k3s server keeps its state in.

use serde::Serialize;

/// What a k3s server keeps its state in, by the files that are there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kept {
    /// Embedded etcd.
    pub etcd: bool,
    /// A file of sqlite.
    pub sqlite: bool,
    /// Secrets are encrypted.
    pub encrypted: bool,
}

/// The part of the script that asks; only for servers.
pub(super) const ASK: &str = r#"server=/var/lib/rancher/k3s/server
if [ -d "$server/db/etcd" ]; then say kept etcd; fi
if [ -e "$server/db/state.db" ]; then say kept sqlite; fi
if [ -e "$server/cred/encryption-config.json" ]; then say kept encrypted; fi
"#;

/// Reads what the script said.
pub(super) fn read(said: &[String]) -> Kept {
    let has = |word: &str| said.iter().any(|one| one == word);
    Kept { etcd: has("etcd"), sqlite: has("sqlite"), encrypted: has("encrypted") }
}
