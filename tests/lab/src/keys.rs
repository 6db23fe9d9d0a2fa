//! The lab's own SSH keys and the HOME that a client of the lab uses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::run;

/// A HOME with a key and a `known_hosts`.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The HOME.
    pub home: PathBuf,
}

impl Keys {
    /// Makes a HOME at `home` with a fresh ed25519 key.
    pub fn create(home: PathBuf) -> Result<Self> {
        let ssh = home.join(".ssh");
        fs::create_dir_all(&ssh)?;
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o700))?;
        let key = ssh.join("id_ed25519").display().to_string();
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", &key])?;
        Ok(Self { home })
    }

    /// The private key's path.
    pub fn private(&self) -> PathBuf {
        self.home.join(".ssh/id_ed25519")
    }

    /// The public key's line.
    pub fn public(&self) -> Result<String> {
        read(&self.home.join(".ssh/id_ed25519.pub"))
    }

    /// The path of the `known_hosts` with every host of the lab.
    pub fn known_hosts(&self) -> PathBuf {
        self.home.join(".ssh/known_hosts")
    }
}

/// Reads a text file, naming it when that fails.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}
