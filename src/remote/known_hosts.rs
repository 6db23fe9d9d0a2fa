//! The `known_hosts` files: which keys a host may show, and how a new one is added.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::{HostPatterns, Marker};
use russh::keys::{HashAlg, PublicKey};
use sha1::Sha1;

use super::patterns;

/// A line of a `known_hosts` file that speaks of the host in question.
#[derive(Debug, Clone)]
pub struct Known {
    /// The key, or the key of an authority.
    pub key: PublicKey,
    /// `@revoked`, `@cert-authority` or nothing.
    pub marker: Option<Marker>,
    /// File and line, as in `~/.ssh/known_hosts:7`.
    pub place: String,
    /// The line names the host without its port, although the port is not 22.
    pub portless: bool,
}

/// What the files say about the key that a host shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the known one.
    Known,
    /// No line speaks of this host.
    Unknown,
    /// Another key is written there.
    Changed(String),
    /// The key is marked `@revoked` there.
    Revoked(String),
}

/// The name under which a host stands in `known_hosts`: `host`, or `[host]:port` off port 22.
#[must_use]
pub fn name(host: &str, port: u16) -> String {
    let host = host.to_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// Reads every line of `files` that speaks of `host`; files that do not exist are empty.
///
/// # Errors
/// When a file exists and cannot be read.
pub fn lookup(files: &[PathBuf], host: &str, port: u16) -> io::Result<Vec<Known>> {
    let (full, bare) = (name(host, port), host.to_lowercase());
    let mut found = Vec::new();
    for file in files {
        let text = match fs::read(file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for (number, line) in text.lines().enumerate() {
            let Some((marker, hosts, key)) = parse(line) else { continue };
            let exact = matches(&hosts, &full);
            if exact || matches(&hosts, &bare) {
                let place = format!("{}:{}", file.display(), number + 1);
                found.push(Known { key, marker, place, portless: !exact });
            }
        }
    }
    Ok(found)
}

/// Judges `key` by what [`lookup`] found.
#[must_use]
pub fn judge(known: &[Known], key: &PublicKey) -> Verdict {
    let same = |entry: &&Known| entry.key.key_data() == key.key_data();
    if let Some(entry) =
        known.iter().find(|entry| entry.marker == Some(Marker::Revoked) && same(entry))
    {
        return Verdict::Revoked(entry.place.clone());
    }
    let plain = || known.iter().filter(|entry| entry.marker.is_none());
    if plain().any(|entry| same(&entry)) {
        return Verdict::Known;
    }
    // A host that shows a key of another kind than the known one is not a new host: whoever
    // stands in the middle would do just that.
    let mut others = plain().filter(|entry| !entry.portless).collect::<Vec<_>>();
    others.sort_by_key(|entry| entry.key.algorithm() != key.algorithm());
    others.first().map_or(Verdict::Unknown, |entry| Verdict::Changed(entry.place.clone()))
}

/// Adds `key` for `host` to `file`, hashed when `hash` says so or when the file's lines are.
///
/// # Errors
/// When the file cannot be written.
pub fn append(file: &Path, host: &str, port: u16, key: &PublicKey, hash: Names) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut options = OpenOptions::new();
    let mut target = options.read(true).append(true).create(true).mode(0o600).open(file)?;
    let mut present = Vec::new();
    if target.metadata()?.is_file() {
        target.read_to_end(&mut present)?;
    }
    let hashed = hash == Names::Hashed
        || present.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"|1|"));
    let hosts = if hashed { hashed_name(&name(host, port))? } else { name(host, port) };
    let mut bare = PublicKey::new(key.key_data().clone(), "");
    bare.set_comment("");
    let key = bare.to_openssh().map_err(io::Error::other)?;
    let break_line = if present.last().is_some_and(|byte| *byte != b'\n') { "\n" } else { "" };
    // One write to a file opened for appending: two runs cannot tear each other's line.
    target.write_all(format!("{break_line}{hosts} {}\n", key.trim_end()).as_bytes())
}

/// How a host's name is written into `known_hosts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// As it is.
    Plain,
    /// As a salted hash.
    Hashed,
}

/// The SHA256 fingerprint of `key` with its algorithm, as OpenSSH prints it.
#[must_use]
pub fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

fn parse(line: &str) -> Option<(Option<Marker>, HostPatterns, PublicKey)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let mut words = line.split_ascii_whitespace();
    let mut first = words.next()?;
    let mut marker = None;
    if first.starts_with('@') {
        marker = Some(first.parse().ok()?);
        first = words.next()?;
    }
    let (algorithm, data) = (words.next()?, words.next()?);
    let key = PublicKey::from_openssh(&format!("{algorithm} {data}")).ok()?;
    Some((marker, first.parse().ok()?, key))
}

fn matches(hosts: &HostPatterns, host: &str) -> bool {
    match hosts {
        HostPatterns::Patterns(list) => {
            patterns::list_matches(list.iter().map(String::as_str), host)
        }
        HostPatterns::HashedName { salt, hash } => {
            digest(salt, host).is_some_and(|own| own == *hash)
        }
    }
}

fn digest(salt: &[u8], host: &str) -> Option<[u8; 20]> {
    let mut mac = Hmac::<Sha1>::new_from_slice(salt).ok()?;
    mac.update(host.as_bytes());
    Some(mac.finalize().into_bytes().into())
}

fn hashed_name(host: &str) -> io::Result<String> {
    let mut salt = [0; 20];
    getrandom::fill(&mut salt).map_err(io::Error::other)?;
    let hash = digest(&salt, host).ok_or_else(|| io::Error::other("cannot hash the name"))?;
    Ok(HostPatterns::HashedName { salt: salt.to_vec(), hash }.to_string())
}
