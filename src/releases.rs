//! Which program exactly: versions and their SHA-256, kept in `oceanid.lock` beside cluster.toml.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::cluster::{Cluster, Sources};
use crate::facts::Arch;
pub use downloads::Downloads;

pub use cache::Wanted;
pub use moved::Moved;

pub mod cache;
mod channel;
mod cloudflared;
pub mod downloads;
mod moved;
mod registry;

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
        /// The file that it should name.
        file: String,
    },
    /// Something else comes from there than was locked.
    #[error("`{url}` gave something with sha256 {sum}\nwanted sha256 {wanted}; it is not kept")]
    NotWanted {
        /// Where it was taken from.
        url: String,
        /// What came.
        sum: String,
        /// What is locked.
        wanted: String,
    },
    /// What should turn a channel into a version does not.
    #[error("`{url}` does not lead to a version of k3s: {said}")]
    NoVersion {
        /// Where it was asked.
        url: String,
        /// What came instead.
        said: String,
    },
}

impl NoSums {
    /// Where the list should be.
    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Self::NoAuthorities { url, .. }
            | Self::NotServed { url, .. }
            | Self::NotSums { url, .. }
            | Self::NotWanted { url, .. }
            | Self::NoVersion { url, .. } => url,
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
    /// cloudflared, where a tunnel is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloudflared: Option<Release>,
    /// The digest of each container image that is run by its tag.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
}

/// One program in one version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Release {
    /// The exact version.
    #[serde(default)]
    pub version: String,
    /// The channel that it was resolved from; absent where cluster.toml names a version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// SHA-256, hex, by architecture: `amd64`, `arm64`, `arm`.
    #[serde(default)]
    pub sha256: BTreeMap<String, String>,
    /// Likewise, of the archive with its container images.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub air_gap: BTreeMap<String, String>,
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

    /// The name of the archive with k3s' container images.
    #[must_use]
    pub fn images_file(self) -> String {
        format!("k3s-airgap-images-{}.tar.zst", self.name())
    }

    /// Every architecture that k3s is released for.
    pub const ALL: [Self; 3] = [Self::Amd64, Self::Arm64, Self::Arm];
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
        let write = |new: &Path| {
            let mut file = std::fs::File::create(new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(new, path)
        };
        write(&new).with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Asks for what is missing for `arches`, and says whether anything was.
    ///
    /// # Errors
    /// When the place of the releases does not answer or does not have the version.
    pub async fn resolve(&mut self, cluster: &Cluster, arches: &[Arch]) -> anyhow::Result<bool> {
        let downloads = Downloads::new(&cluster.sources);
        if !self.k3s.is_for(&cluster.k3s.version) {
            self.k3s = channel::resolve(&downloads, &cluster.k3s.version).await?;
        }
        let mut asked = false;
        for arch in arches {
            if self.lacks(*arch, cluster.k3s.air_gap) {
                self.lock_k3s(&downloads, *arch).await?;
                asked = true;
            }
        }
        Ok(asked)
    }

    /// Asks for the digests of `images` that are missing, and says whether any was.
    ///
    /// # Errors
    /// When a container registry does not answer.
    pub async fn resolve_images(
        &mut self,
        sources: &Sources,
        images: &[&str],
    ) -> anyhow::Result<bool> {
        let downloads = Downloads::new(sources);
        let mut asked = false;
        for image in images.iter().copied() {
            if self.images.contains_key(image) {
                continue;
            }
            if let Some(digest) = registry::digest(&downloads, image).await? {
                self.images.insert(image.to_owned(), digest);
                asked = true;
            }
        }
        Ok(asked)
    }

    /// Asks for everything anew: for k3s whatever cluster.toml says of `arches` and of those that were
    /// locked, for cloudflared `beside`.
    ///
    /// # Errors
    /// As [`Self::resolve`], and when a container registry does not answer.
    pub async fn resolve_anew(
        &self,
        cluster: &Cluster,
        beside: &[Arch],
        progress: &downloads::Progress<'_>,
    ) -> anyhow::Result<Self> {
        let downloads = Downloads::new(&cluster.sources);
        let k3s = channel::resolve(&downloads, &cluster.k3s.version).await?;
        let mut new = self.clone();
        (new.k3s, new.cloudflared) = (k3s, None);
        new.images.clear();
        for arch in Arch::ALL {
            let known = self.k3s.sha256.contains_key(arch.name());
            match new.lock_k3s(&downloads, arch).await {
                // A mirror need not have what no host is.
                Err(NoSums::NotServed { .. }) if !known && arch != Arch::Amd64 => {}
                done => done?,
            }
        }
        if !cluster.tunnels.is_empty() {
            let old = self.cloudflared.as_ref();
            let wanted = cloudflared::lock(&downloads, &cluster.cloudflared, old, beside, progress);
            new.cloudflared = Some(wanted.await?);
        }
        new.resolve_images(&cluster.sources, &cluster.images()).await?;
        Ok(new)
    }

    /// The version of k3s that hosts are to have.
    ///
    /// # Errors
    /// When cluster.toml names a channel that was not resolved yet.
    pub fn version<'a>(&'a self, cluster: &'a Cluster) -> anyhow::Result<&'a str> {
        let written = &cluster.k3s.version;
        if self.k3s.is_for(written) {
            return Ok(&self.k3s.version);
        }
        if !crate::config::is_version(written) {
            anyhow::bail!(
                "no oceanid.lock says which version the channel `{written}` came to\n\
                 `oceanid lock` writes it"
            );
        }
        Ok(written)
    }

    fn lacks(&self, arch: Arch, air_gap: bool) -> bool {
        !self.k3s.sha256.contains_key(arch.name())
            || (air_gap && !self.k3s.air_gap.contains_key(arch.name()))
    }

    /// Locks what the release's list of sums says for `arch`.
    async fn lock_k3s(&mut self, downloads: &Downloads, arch: Arch) -> Result<(), NoSums> {
        let sources = downloads.sources();
        let url = format!("{}/{}/sha256sum-{}.txt", sources.k3s, self.k3s.version, arch.name());
        let text = downloads.text(&url).await?;
        let (file, images) = (arch.k3s_file(), arch.images_file());
        let Some(program) = sum(&text, file) else {
            return Err(NoSums::NotSums { url, file: file.to_owned() });
        };
        self.k3s.sha256.insert(arch.name().to_owned(), program);
        if let Some(archive) = sum(&text, &images) {
            self.k3s.air_gap.insert(arch.name().to_owned(), archive);
        }
        Ok(())
    }

    /// `image` by its digest, which oceanid.lock has where the name does not.
    ///
    /// # Errors
    /// When it was never resolved.
    pub fn image(&self, image: &str) -> anyhow::Result<String> {
        let (name, own) = match image.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (image, None),
        };
        let digest = own.or_else(|| self.images.get(image).map(String::as_str));
        let digest = digest.with_context(|| {
            format!("oceanid.lock has no digest of `{image}`\n`oceanid lock` writes it")
        })?;
        // A port of the registry is no tag.
        let repository = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        };
        Ok(format!("{repository}@{digest}"))
    }

    /// The URL and the SHA-256 of k3s for `arch`.
    ///
    /// # Errors
    /// When the hash was never resolved.
    pub fn k3s(&self, sources: &Sources, arch: Arch) -> anyhow::Result<Wanted> {
        self.wanted(sources, arch, arch.k3s_file(), &self.k3s.sha256)
    }

    /// The URL and the SHA-256 of the archive with k3s' container images for `arch`.
    ///
    /// # Errors
    /// When the release has none.
    pub fn k3s_images(&self, sources: &Sources, arch: Arch) -> anyhow::Result<Wanted> {
        self.wanted(sources, arch, &arch.images_file(), &self.k3s.air_gap)
    }

    /// Every file that a host may get.
    #[must_use]
    pub fn all_wanted(&self, sources: &Sources) -> Vec<Wanted> {
        let both = |arch| [self.k3s(sources, arch), self.k3s_images(sources, arch)];
        Arch::ALL.into_iter().flat_map(both).flatten().collect()
    }

    fn wanted(
        &self,
        sources: &Sources,
        arch: Arch,
        file: &str,
        sums: &BTreeMap<String, String>,
    ) -> anyhow::Result<Wanted> {
        let version = &self.k3s.version;
        let sum = sums.get(arch.name()).with_context(|| {
            format!("oceanid.lock has no sha256 of `{file}` of k3s {version} for {}", arch.name())
        })?;
        Ok(Wanted { url: format!("{}/{version}/{file}", sources.k3s), sha256: sum.clone() })
    }
}

impl Release {
    /// Whether it is what `written`, a version or a channel, was resolved to.
    fn is_for(&self, written: &str) -> bool {
        match &self.channel {
            Some(channel) => channel == written,
            None => self.version == written,
        }
    }
}

/// The hash of `file` in what `sha256sum` printed.
pub(crate) fn sum(text: &str, file: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let (sum, _) = lines.find(|(_, name)| name.trim() == file)?;
    let whole = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| sum.to_lowercase())
}
