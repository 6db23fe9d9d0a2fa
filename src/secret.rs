//! References to secrets, and the one way to resolve them.
#![expect(clippy::disallowed_methods, reason = "the one module that may look at a secret")]

mod endpoint;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::endpoint::{Endpoint, Place};

/// Where a secret is found; the secret itself never stands in cluster.toml.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-secret" = true))]
pub enum SecretRef {
    /// In this environment variable.
    Env(String),
    /// In this file, without its last newline.
    File(PathBuf),
    /// On the stdout of this command, without its last newline.
    Command(Vec<String>),
}

impl SecretRef {
    /// Fetches the secret: one line, without its newline.
    ///
    /// # Errors
    /// When it cannot be had, is empty, or is not one line of text. No error holds any of it.
    pub fn resolve(&self) -> anyhow::Result<SecretString> {
        let bytes = match self {
            Self::Env(name) => variable(name)?,
            Self::File(path) => file(path)?,
            Self::Command(words) => output(words)?,
        };
        one_line(&bytes).with_context(|| format!("the secret in {self} cannot be used"))
    }
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(name) => write!(formatter, "the environment variable `{name}`"),
            Self::File(path) => write!(formatter, "the file `{}`", path.display()),
            // Arguments may tell more than an error should.
            Self::Command(words) => {
                write!(formatter, "the output of `{}`", words.first().map_or("", String::as_str))
            }
        }
    }
}

/// A secret that is fetched once for a whole run.
#[derive(Debug, Clone)]
pub struct Secret {
    reference: Option<SecretRef>,
    value: Arc<OnceLock<SecretString>>,
}

impl From<SecretRef> for Secret {
    fn from(reference: SecretRef) -> Self {
        Self { reference: Some(reference), value: Arc::default() }
    }
}

impl Secret {
    /// One that comes from elsewhere in the course of a run: see [`Self::fill`].
    #[must_use]
    pub fn pending() -> Self {
        Self { reference: None, value: Arc::default() }
    }

    /// Brings a pending one; who was first stays.
    pub fn fill(&self, value: SecretString) {
        self.value.get_or_init(|| value);
    }

    /// Whether it comes from elsewhere in the course of a run.
    #[must_use]
    pub fn is_brought(&self) -> bool {
        self.reference.is_none()
    }

    /// Fetches it unless that was done before; a pending one may come later.
    ///
    /// # Errors
    /// As [`SecretRef::resolve`].
    pub fn fetch(&self) -> anyhow::Result<()> {
        if let (None, Some(reference)) = (self.value.get(), &self.reference) {
            self.fill(reference.resolve()?);
        }
        Ok(())
    }

    /// The secret, once it was fetched.
    #[must_use]
    pub fn known(&self) -> Option<SecretString> {
        self.value.get().cloned()
    }
}

/// A new secret: 32 random bytes, as base64.
///
/// # Errors
/// When this machine has no random bytes.
pub fn random() -> anyhow::Result<SecretString> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut bytes[..]).ok().context("this machine has no random bytes")?;
    Ok(SecretString::from(STANDARD.encode(&bytes[..])))
}

/// `text` without a secret that it may hold.
#[must_use]
pub fn without(text: &str, secret: &SecretString) -> String {
    text.replace(secret.expose_secret(), "********")
}

/// SHA-256 of plain bytes, hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// SHA-256 of a secret, hex: by this its copy on a host is compared.
#[must_use]
pub fn sha256_hex(secret: &SecretString) -> String {
    sha256(secret.expose_secret().as_bytes())
}

/// The CA's hash in a full k3s token, `K10<hash>::<user>:<password>`; it is no secret.
#[must_use]
pub fn ca_hash(token: &SecretString) -> Option<String> {
    let (head, _) = token.expose_secret().split_once("::")?;
    head.strip_prefix("K10").map(str::to_owned)
}

/// Whether a full k3s token is for agents alone, `K10<hash>::node:<password>`.
#[must_use]
pub fn is_for_agents(token: &SecretString) -> bool {
    token.expose_secret().split_once("::").is_some_and(|(_, user)| user.starts_with("node:"))
}

/// `NAME=value` on a line of its own for each, for the one file that a service reads its variables from.
#[must_use]
pub fn assignments(values: &[(&str, SecretString)]) -> SecretString {
    // Room for all of it from the start: growing would leave copies behind.
    let room =
        values.iter().map(|(name, value)| name.len() + value.expose_secret().len() + 2).sum();
    let mut text = String::with_capacity(room);
    for (name, value) in values {
        for part in [name, "=", value.expose_secret(), "\n"] {
            text.push_str(part);
        }
    }
    SecretString::from(text)
}

/// The bytes of a secret, for the stdin of a process and for nothing else.
#[must_use]
pub fn bytes(secret: &SecretString) -> &[u8] {
    secret.expose_secret().as_bytes()
}

/// The text of a secret, for the one file or stream that was asked to hold it.
#[must_use]
pub fn text(secret: &SecretString) -> &str {
    secret.expose_secret()
}

/// `plain`, and after it a secret that is base64: a certificate and its key, as TLS takes them.
///
/// # Errors
/// When it is not base64.
pub fn decoded_after(plain: &[u8], secret: &SecretString) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let key = STANDARD.decode(secret.expose_secret()).ok().context("the key is not base64")?;
    let key = Zeroizing::new(key);
    let mut joined = Zeroizing::new(Vec::with_capacity(plain.len() + 1 + key.len()));
    joined.extend_from_slice(plain);
    joined.push(b'\n');
    joined.extend_from_slice(&key);
    Ok(joined)
}

/// Options of curl and headers with secrets, as `curl --config -` reads them from stdin.
#[must_use]
pub fn curl_config(options: &str, headers: &[(&str, SecretString)]) -> SecretString {
    let mut text = Zeroizing::new(options.to_owned());
    for (name, value) in headers {
        let value = value.expose_secret();
        // Room for all of it from the start: growing would leave copies behind.
        let mut grown = Zeroizing::new(String::with_capacity(text.len() + 2 * value.len() + 64));
        grown.push_str(&text);
        grown.push_str("header = \"");
        grown.push_str(name);
        grown.push_str(": ");
        for c in value.chars() {
            if matches!(c, '"' | '\\') {
                grown.push('\\');
            }
            grown.push(c);
        }
        grown.push_str("\"\n");
        text = grown;
    }
    SecretString::from(text.as_str())
}

/// A secret line followed by a payload, as `sudo -S` and what it starts read them from stdin.
#[must_use]
pub fn line_before(secret: &SecretString, payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let line = bytes(secret);
    // Room for all of it from the start: growing would leave copies behind.
    let mut joined = Zeroizing::new(Vec::with_capacity(line.len() + 1 + payload.len()));
    joined.extend_from_slice(line);
    joined.push(b'\n');
    joined.extend_from_slice(payload);
    joined
}

fn variable(name: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    use std::os::unix::ffi::OsStringExt;
    match std::env::var_os(name) {
        Some(value) => Ok(Zeroizing::new(value.into_vec())),
        None => bail!("the environment variable `{name}` is not set"),
    }
}

fn file(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let path = match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    };
    let read = std::fs::read(&path);
    let bytes =
        read.with_context(|| format!("cannot read the secret file `{}`", path.display()))?;
    Ok(Zeroizing::new(bytes))
}

fn output(words: &[String]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let (program, arguments) = words.split_first().context("the command for a secret is empty")?;
    let run = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let Output { status, stdout, stderr } =
        run.with_context(|| format!("cannot run `{program}` for a secret"))?;
    let stdout = Zeroizing::new(stdout);
    if status.success() {
        return Ok(stdout);
    }
    let said = String::from_utf8_lossy(&stderr);
    let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let last = last.unwrap_or("it said nothing on stderr");
    bail!("`{program}` gave no secret: {status}: {last}")
}

fn one_line(bytes: &[u8]) -> anyhow::Result<SecretString> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    ensure!(!line.is_empty(), "it is empty");
    ensure!(!line.contains(&0), "it holds a NUL byte");
    ensure!(!line.contains(&b'\n'), "it has more than one line");
    // The error of `from_utf8` would be harmless, but a reader should not have to know that.
    let text = std::str::from_utf8(line).ok().context("it is not UTF-8 text")?;
    Ok(SecretString::from(text))
}
