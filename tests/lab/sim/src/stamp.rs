//! The version that this copy of the program claims to be.
//!
//! Whoever serves the program appends one line to the file: `k3s-version v1.36.2+k3s1`, or
//! `cloudflared-version 2026.8.3`. An ELF file does not mind what follows it, each version has a
//! hash of its own, and the copy says its version wherever it lands. The last such line counts.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// What a copy without a line of its own claims to be.
pub const DEFAULT: &str = "v1.36.3+k3s1";

/// A version of k3s.
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
}

impl Version {
    /// Reads the version of the running program.
    pub fn own() -> Self {
        Self { text: claimed("k3s-version ").unwrap_or_else(|| DEFAULT.to_owned()) }
    }

    /// Returns the version as k3s prints it: `v1.36.3+k3s1`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns eight hexadecimal digits that stand for the commit.
    pub fn commit(&self) -> String {
        let digest = Sha256::digest(self.text.as_bytes());
        format!("{digest:x}").chars().take(8).collect()
    }

    /// Returns the version of Go that `--version` names.
    pub fn go_version(&self) -> &'static str {
        if self.minor() < 34 { "go1.24.6" } else { "go1.26.2" }
    }

    /// Returns the Kubernetes minor version: 36 of `v1.36.3+k3s1`.
    pub fn minor(&self) -> u32 {
        self.text.split('.').nth(1).and_then(|part| part.parse().ok()).unwrap_or(36)
    }
}

/// Returns what the last line of the program's file that begins with `key` says.
pub fn claimed(key: &str) -> Option<String> {
    last_line(&trailer()?, key)
}

fn trailer() -> Option<Vec<u8>> {
    let mut file = File::open("/proc/self/exe").ok()?;
    file.seek(SeekFrom::End(-256)).ok()?;
    let mut tail = Vec::with_capacity(256);
    file.read_to_end(&mut tail).ok()?;
    Some(tail)
}

fn last_line(tail: &[u8], key: &str) -> Option<String> {
    let text = String::from_utf8_lossy(tail);
    let (_, version) = text.rsplit_once(key)?;
    Some(version.lines().next()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_the_file_is_the_version() {
        let tail = b"\0\x07junk\nk3s-version v1.35.1+k3s1\nk3s-version v1.36.2+k3s1\n";
        assert_eq!(last_line(tail, "k3s-version ").as_deref(), Some("v1.36.2+k3s1"));
        assert_eq!(last_line(b"no such line", "k3s-version "), None);
    }

    #[test]
    fn the_minor_version_is_read() {
        assert_eq!(Version { text: "v1.21.2+k3s1".to_owned() }.minor(), 21);
    }
}
