//! Newer releases of oceanid itself: found, verified, and put in the place of the running program.

use std::path::Path;

use anyhow::bail;
use semver::Version;

use crate::releases::downloads::Progress;

pub use build::{Build, TARGETS};
pub use mirror::{Mirror, Offered, RELEASES, Signature};

mod archive;
mod build;
mod candidate;
mod mirror;
mod place;

/// What an update came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Updated {
    /// It was that version already.
    Current,
    /// The program on the disk is another one now.
    Replaced {
        /// Its version.
        version: Version,
        /// Whether its sums were signed.
        signature: Signature,
    },
}

/// Replaces `program`, which is `build`, by the newest release, or by `wanted`.
///
/// # Errors
/// When anything about the release is not as it should be, or the program is not ours to replace: then it stays.
pub async fn update(
    build: &Build,
    mirror: &Mirror,
    program: &Path,
    wanted: Option<&Version>,
    progress: &Progress<'_>,
) -> anyhow::Result<Updated> {
    let place = place::Place::of(program)?;
    if wanted == Some(&build.version) {
        return Ok(Updated::Current);
    }
    let offered = match wanted {
        Some(version) => mirror.release(build, version).await?,
        None => mirror.newest(build).await?,
    };
    let Offered { version, signature, .. } = &offered;
    if *version == build.version {
        return Ok(Updated::Current);
    }
    if wanted.is_none() && *version < build.version {
        bail!(
            "this is oceanid {}, and {} offers only {version}\n\
             hint: `oceanid self-update {version}` goes back to it",
            build.version,
            mirror.base()
        );
    }
    let candidate = candidate::Candidate::beside(place.program())?;
    candidate.bring(build, mirror, &offered, progress).await?;
    candidate.try_out(version).await?;
    candidate.take_the_place_of(place.program())?;
    Ok(Updated::Replaced { version: version.clone(), signature: *signature })
}
