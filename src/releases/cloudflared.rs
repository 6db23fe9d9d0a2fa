//! cloudflared's hashes: its releases carry no list of sums, so they are taken from the programs.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::downloads::{Downloads, Progress};
use super::{Release, Releases, Wanted, cache};
use crate::cluster::{Cloudflared, Cluster, Sources};
use crate::facts::Arch;

impl Releases {
    /// Locks cloudflared for those of `arches` that it is not locked for yet, and says whether any was missing.
    ///
    /// # Errors
    /// When a program is not to be had.
    pub async fn resolve_cloudflared(
        &mut self,
        cluster: &Cluster,
        arches: &[Arch],
        progress: &Progress<'_>,
    ) -> anyhow::Result<bool> {
        let old = self.cloudflared.as_ref();
        let locked = |arch: &Arch| {
            old.is_some_and(|old| {
                old.version == cluster.cloudflared.version && old.sha256.contains_key(arch.name())
            })
        };
        if arches.iter().all(locked) {
            return Ok(false);
        }
        let downloads = Downloads::new(&cluster.sources);
        let release = lock(&downloads, &cluster.cloudflared, old, arches, progress).await?;
        self.cloudflared = Some(release);
        Ok(true)
    }

    /// The URL and the SHA-256 of cloudflared for `arch`.
    ///
    /// # Errors
    /// When the hash was never resolved.
    pub fn cloudflared(&self, sources: &Sources, arch: Arch) -> anyhow::Result<Wanted> {
        let sum = self.cloudflared.as_ref().and_then(|release| {
            Some((release.version.as_str(), release.sha256.get(arch.name())?.clone()))
        });
        let (version, sha256) = sum.with_context(|| {
            format!(
                "oceanid.lock has no sha256 of cloudflared for {}\nhint: `oceanid lock` writes it",
                arch.name()
            )
        })?;
        Ok(Wanted { url: url(sources, version, arch), sha256 })
    }
}

fn url(sources: &Sources, version: &str, arch: Arch) -> String {
    // 32-bit ARM with a floating-point unit, as Debian's own architecture `armhf`.
    let name = if arch == Arch::Arm { "armhf" } else { arch.name() };
    format!("{}/{version}/cloudflared-linux-{name}", sources.cloudflared)
}

/// Locks cloudflared for `arches`; a hash that is locked for this version stays.
///
/// # Errors
/// When a program is not to be had.
pub async fn lock(
    downloads: &Downloads,
    wanted: &Cloudflared,
    old: Option<&Release>,
    arches: &[Arch],
    progress: &Progress<'_>,
) -> anyhow::Result<Release> {
    let known = old.filter(|old| old.version == wanted.version);
    let mut sha256: BTreeMap<String, String> =
        known.map(|known| known.sha256.clone()).unwrap_or_default();
    for arch in arches.iter().filter(|arch| !sha256.contains_key(arch.name())).collect::<Vec<_>>() {
        let url = url(downloads.sources(), &wanted.version, *arch);
        let sum = cache::take(downloads, &url, progress).await?;
        sha256.insert(arch.name().to_owned(), sum);
    }
    Ok(Release { version: wanted.version.clone(), sha256, ..Release::default() })
}
