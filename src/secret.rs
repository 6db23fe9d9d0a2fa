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

/// SHA-256 of plain bytes, hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a secret, hex.
#[must_use]
pub fn sha256_hex(secret: &secrecy::SecretString) -> String {
    use secrecy::ExposeSecret as _;
    sha256(secret.expose_secret().as_bytes())
}

/// The CA's hash in a full k3s token, `K10<hash>::<user>:<password>`; it is no secret.
#[must_use]
pub fn ca_hash(token: &secrecy::SecretString) -> Option<String> {
    use secrecy::ExposeSecret as _;
    let (head, _) = token.expose_secret().split_once("::")?;
    head.strip_prefix("K10").map(str::to_owned)
}

/// A secret's bytes, for the stdin of a script.
#[must_use]
pub fn bytes(secret: &secrecy::SecretString) -> &[u8] {
    use secrecy::ExposeSecret as _;
    secret.expose_secret().as_bytes()
}
