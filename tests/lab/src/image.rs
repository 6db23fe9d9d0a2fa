//! Bare Debian file systems, built once and kept outside the tree.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::command::{run, run_for};

/// What a rented server has before anybody touches it.
const PACKAGES: &str = "systemd,systemd-sysv,systemd-timesyncd,dbus,libpam-systemd,openssh-server,\
                        sudo,iproute2,procps,netbase,kmod";

/// What oceanid may install: downloaded into the image's apt cache, not installed, so that tests
/// do not depend on the network's speed.
const AT_HAND: &str = "curl ca-certificates iptables nftables conntrack ethtool socat ufw \
                       unattended-upgrades apt-listchanges needrestart fail2ban python3-systemd auditd \
                       debsums libpam-pwquality lynis";

/// Likewise, on the release of a host with a GPU: the engine that Triton runs in, and what reads keys.
const ENGINE: &str = "docker.io gpg";

/// Counted up when the way in which images are built changes.
const RECIPE: &str = "2";

/// A release of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Release {
    /// bookworm
    Debian12,
    /// trixie
    Debian13,
}

impl Release {
    /// Both releases.
    pub const ALL: [Self; 2] = [Self::Debian12, Self::Debian13];

    /// The suite's name in a Debian mirror.
    #[must_use]
    pub fn suite(self) -> &'static str {
        match self {
            Self::Debian12 => "bookworm",
            Self::Debian13 => "trixie",
        }
    }

    /// What oceanid may install on it. Debian 12's engine is too old to hand devices over by their names.
    fn at_hand(self) -> String {
        match self {
            Self::Debian12 => AT_HAND.to_owned(),
            Self::Debian13 => format!("{AT_HAND} {ENGINE}"),
        }
    }

    /// The image's root, never written to; built first when it is not there.
    pub fn image(self) -> Result<PathBuf> {
        let cache = cache()?;
        let options = apt_options()?;
        let mut key = Sha256::new();
        let at_hand = self.at_hand();
        for part in [RECIPE, self.suite(), PACKAGES, &at_hand, &options.join("\n")] {
            key.update(part);
            key.update([0]);
        }
        let key = hex::encode(key.finalize());
        let image = cache.join(format!("{}-{}", self.suite(), &key[..16]));
        let lock = File::create(cache.join(format!("{}.lock", self.suite())))?;
        let _lock = Flock::lock(lock, FlockArg::LockExclusive)
            .map_err(|(_, errno)| errno)
            .context("cannot lock the image cache")?;
        if !image.exists() {
            self.build(&image, &options)
                .with_context(|| format!("cannot build the {} image", self.suite()))?;
        }
        Ok(image)
    }

    fn build(self, image: &PathBuf, options: &[String]) -> Result<()> {
        let new = image.with_extension("new");
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        let mut arguments = vec![
            "--mode=root".to_owned(),
            "--variant=minbase".to_owned(),
            "--format=directory".to_owned(),
            format!("--include={PACKAGES}"),
            "--skip=cleanup/apt".to_owned(),
            "--customize-hook=rm -f \"$1\"/etc/ssh/ssh_host_*".to_owned(),
            "--customize-hook=rm -f \"$1\"/etc/machine-id \"$1\"/var/lib/dbus/machine-id"
                .to_owned(),
            "--customize-hook=chroot \"$1\" apt-get clean".to_owned(),
            format!(
                "--customize-hook=chroot \"$1\" apt-get install --yes --download-only {}",
                self.at_hand()
            ),
        ];
        arguments.extend(options.iter().map(|option| format!("--aptopt={option}")));
        arguments.push(self.suite().to_owned());
        arguments.push(new.display().to_string());
        run_for(Duration::from_mins(20), "mmdebstrap", &arguments)?;
        fs::rename(&new, image)?;
        Ok(())
    }
}

/// How this machine's apt reaches its mirror: proxies, and what they need.
fn apt_options() -> Result<Vec<String>> {
    let dump = run("apt-config", &["dump"])?;
    Ok(dump
        .lines()
        .filter(|line| {
            ["Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries"]
                .iter()
                .any(|key| line.starts_with(key))
                && !line.contains("\"\"")
        })
        .map(|line| line.trim_end_matches(';').to_owned())
        .collect())
}

/// The folder of all images.
fn cache() -> Result<PathBuf> {
    let path = std::env::var_os("OCEANID_LAB_CACHE").map_or_else(
        || {
            let base = std::env::var_os("XDG_CACHE_HOME").map_or_else(
                || PathBuf::from(std::env::var_os("HOME").unwrap_or("/root".into())).join(".cache"),
                PathBuf::from,
            );
            base.join("oceanid-lab")
        },
        PathBuf::from,
    );
    fs::create_dir_all(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
    Ok(path)
}
