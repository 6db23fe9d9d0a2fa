//! cloudflared's hashes: its releases carry no list of sums, so they are taken from the programs.

use std::collections::BTreeMap;

use super::downloads::{Downloads, Progress};
use super::{Release, cache};
use crate::cluster::Cloudflared;
use crate::facts::Arch;

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
        let from = &downloads.sources().cloudflared;
        // 32-bit ARM with a floating-point unit, as Debian's own architecture `armhf`.
        let name = if *arch == Arch::Arm { "armhf" } else { arch.name() };
        let url = format!("{from}/{}/cloudflared-linux-{name}", wanted.version);
        let sum = cache::take(downloads, &url, progress).await?;
        sha256.insert(arch.name().to_owned(), sum);
    }
    Ok(Release { version: wanted.version.clone(), sha256, ..Release::default() })
}
