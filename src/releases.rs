//! Which program exactly: versions and their SHA-256, kept in `oceanid.lock` beside cluster.toml.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::cluster::{Cluster, Sources};
use crate::facts::Arch;

/// How long the list of hashes may take to arrive.
const DEADLINE: Duration = Duration::from_secs(20);

/// The list of hashes of a release is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum NoSums {
    /// This machine cannot tell whom to trust.
    #[error("this machine's CA certificates cannot be read (package `ca-certificates`)")]
    NoAuthorities {
        /// Where the list should be.
        url: String,
        /// Why not.
        #[source]
        cause: reqwest::Error,
    },
    /// Nothing, or something broken, comes from there.
    #[error("cannot get `{url}`")]
    NotServed {
        /// Where the list should be.
        url: String,
        /// Why not.
        #[source]
        cause: reqwest::Error,
    },
    /// Something else comes from there: a proxy's page.
    #[error("`{url}` is not a list of sha256 sums with a line for `{file}`")]
    NotSums {
        /// Where the list should be.
        url: String,
        /// The program that it should name.
        file: &'static str,
    },
}

impl NoSums {
    /// Where the list should be.
    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Self::NoAuthorities { url, .. }
            | Self::NotServed { url, .. }
            | Self::NotSums { url, .. } => url,
        }
    }
}

/// The resolved versions and hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Releases {
    /// k3s.
    #[serde(default)]
    pub k3s: Release,
    /// Helm charts of the baseline.
    #[serde(default)]
    pub charts: crate::charts::Charts,
}

/// One program in one version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The exact version.
    #[serde(default)]
    pub version: String,
    /// SHA-256, hex, by architecture: `amd64`, `arm64`, `arm`.
    #[serde(default)]
    pub sha256: BTreeMap<String, String>,
}

impl Arch {
    /// As in `sha256sum-<arch>.txt`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Arm => "arm",
        }
    }

    /// The name of k3s' program; 32-bit ARM is called otherwise than in the list of hashes.
    const fn k3s_file(self) -> &'static str {
        match self {
            Self::Amd64 => "k3s",
            Self::Arm64 => "k3s-arm64",
            Self::Arm => "k3s-armhf",
        }
    }
}

impl Releases {
    /// Where the lock file of this cluster.toml is.
    #[must_use]
    pub fn path(config: &Path) -> PathBuf {
        config.with_file_name("oceanid.lock")
    }

    /// Reads the lock file; an absent one is empty.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                toml::from_str(&text).with_context(|| format!("cannot read `{}`", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        }
    }

    /// Writes the lock file, by rename.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let text = format!(
            "# Written by oceanid: exactly what is installed. Commit it beside cluster.toml.\n{}",
            toml::to_string(self)?
        );
        let new = path.with_extension("lock.new");
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, path))
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Asks for what is missing for `arches`, and says whether anything was.
    ///
    /// # Errors
    /// When the place of the releases does not answer or does not have the version.
    pub async fn resolve(&mut self, cluster: &Cluster, arches: &[Arch]) -> anyhow::Result<bool> {
        if self.k3s.version != cluster.k3s.version {
            self.k3s = Release { version: cluster.k3s.version.clone(), sha256: BTreeMap::new() };
        }
        let mut asked = false;
        for arch in arches {
            if !self.k3s.sha256.contains_key(arch.name()) {
                let sum = fetch_sum(&cluster.sources, &cluster.k3s.version, *arch).await?;
                self.k3s.sha256.insert(arch.name().to_owned(), sum);
                asked = true;
            }
        }
        Ok(asked)
    }

    /// The URL and the SHA-256 of k3s for `arch`.
    ///
    /// # Errors
    /// When the hash was never resolved.
    pub fn k3s(&self, sources: &Sources, arch: Arch) -> anyhow::Result<(String, String)> {
        let sum = self.k3s.sha256.get(arch.name()).with_context(|| {
            format!("oceanid.lock has no sha256 of k3s {} for {}", self.k3s.version, arch.name())
        })?;
        Ok((format!("{}/{}/{}", sources.k3s, self.k3s.version, arch.k3s_file()), sum.clone()))
    }
}

async fn fetch_sum(sources: &Sources, version: &str, arch: Arch) -> Result<String, NoSums> {
    let url = format!("{}/{version}/sha256sum-{}.txt", sources.k3s, arch.name());
    let client = match client() {
        Ok(client) => client,
        Err(cause) => return Err(NoSums::NoAuthorities { url, cause }),
    };
    let text = match get(&client, &url).await {
        Ok(text) => text,
        Err(cause) => return Err(NoSums::NotServed { url, cause: cause.without_url() }),
    };
    let file = arch.k3s_file();
    let sum = text.lines().find_map(|line| {
        let (sum, name) = line.split_once(char::is_whitespace)?;
        (name.trim() == file).then(|| sum.to_owned())
    });
    match sum {
        Some(sum) if sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(sum),
        _ => Err(NoSums::NotSums { url, file }),
    }
}

/// Gets `url` once, within [`DEADLINE`].
async fn get(client: &reqwest::Client, url: &str) -> Result<String, reqwest::Error> {
    client.get(url).send().await?.error_for_status()?.text().await
}

fn client() -> Result<reqwest::Client, reqwest::Error> {
    // A second installation changes nothing: it is the same provider.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .timeout(DEADLINE)
        .user_agent(concat!("oceanid/", env!("CARGO_PKG_VERSION")))
        .build()
}
