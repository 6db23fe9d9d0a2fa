//! What was downloaded once, by its SHA-256, in the operator's own cache.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::NoSums;
use super::downloads::{Downloads, Progress};

/// A file that is to be had at a place, with exactly this content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub url: String,
    /// SHA-256 of its content, hex.
    pub sha256: String,
}

impl Wanted {
    /// Where its content is once [`Self::bring`] has brought it.
    #[must_use]
    pub fn cached(&self) -> PathBuf {
        folder().join(&self.sha256)
    }

    /// Downloads it unless it is there; what is there and is something else is replaced.
    ///
    /// # Errors
    /// When it is not to be had, or something else is served.
    pub async fn bring(
        &self,
        downloads: &Downloads,
        progress: &Progress<'_>,
    ) -> anyhow::Result<PathBuf> {
        let path = self.cached();
        if hash(path.clone()).await.is_some_and(|sum| sum == self.sha256) {
            return Ok(path);
        }
        let sum = land(downloads, &self.url, Some(&self.sha256), progress).await?;
        Ok(folder().join(sum))
    }
}

/// Downloads what is at `url` and keeps it; its SHA-256.
///
/// # Errors
/// When it is not to be had.
pub async fn take(
    downloads: &Downloads,
    url: &str,
    progress: &Progress<'_>,
) -> anyhow::Result<String> {
    land(downloads, url, None, progress).await
}

/// `$XDG_CACHE_HOME/oceanid`, else `~/.cache/oceanid`.
fn folder() -> PathBuf {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::home_dir().unwrap_or_else(|| PathBuf::from("/root")).join(".cache");
    named.filter(|path| path.is_absolute()).unwrap_or_else(home).join("oceanid")
}

async fn land(
    downloads: &Downloads,
    url: &str,
    wanted: Option<&str>,
    progress: &Progress<'_>,
) -> anyhow::Result<String> {
    let folder = folder();
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    let new = New(folder.join(format!("new-{}", crate::probe::nonce())));
    let sum = downloads.file(url, &new.0, progress).await?;
    if let Some(wanted) = wanted.filter(|wanted| *wanted != sum) {
        let (url, wanted) = (url.to_owned(), wanted.to_owned());
        return Err(NoSums::NotWanted { url, sum, wanted }.into());
    }
    let path = folder.join(&sum);
    std::fs::rename(&new.0, &path).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(sum)
}

/// A file that is not to stay under this name.
struct New(PathBuf);

impl Drop for New {
    fn drop(&mut self) {
        // Once it has landed it is no longer there.
        drop(std::fs::remove_file(&self.0));
    }
}

/// SHA-256 of a file, hex; `None` when it cannot be read.
async fn hash(path: PathBuf) -> Option<String> {
    tokio::task::spawn_blocking(move || hash_now(&path).ok()).await.ok().flatten()
}

fn hash_now(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 256 * 1024]);
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(format!("{:x}", hash.finalize()));
        }
        hash.update(piece.get(..count).unwrap_or_default());
    }
}
