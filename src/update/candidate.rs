//! What is to take the program's place: brought, tried and renamed in a folder beside it.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use semver::Version;
use tokio::process::Command;

use super::archive;
use super::build::Build;
use super::mirror::{Mirror, Offered};
use crate::releases::downloads::Progress;

/// How long a program may take to say its version.
const DEADLINE: Duration = Duration::from_secs(20);

/// A folder of our own beside the program: only from there does a rename replace it at once, and whole.
#[derive(Debug)]
pub struct Candidate {
    folder: PathBuf,
}

impl Drop for Candidate {
    fn drop(&mut self) {
        // Left over it is in nobody's way.
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Candidate {
    /// An empty one beside `program`.
    pub fn beside(program: &Path) -> anyhow::Result<Self> {
        let above = program.parent().context("the program is in no folder")?;
        let folder = above.join(format!(".oceanid.{:08x}", getrandom::u32()?));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => Ok(Self { folder }),
            Err(error) => {
                let hint = match error.kind() {
                    ErrorKind::PermissionDenied => "run it as who installed it there",
                    _ => "nothing was replaced",
                };
                let above = above.display();
                Err(error).context(format!("cannot write to `{above}`\nhint: {hint}"))
            }
        }
    }

    fn program(&self) -> PathBuf {
        self.folder.join("oceanid")
    }

    /// Downloads, verifies and unpacks.
    pub async fn bring(
        &self,
        build: &Build,
        mirror: &Mirror,
        offered: &Offered,
        progress: &Progress<'_>,
    ) -> anyhow::Result<()> {
        let stem = format!("oceanid-{}-{}", offered.version, build.target);
        let name = format!("{stem}.tar.gz");
        let wanted = offered.sum(&name, &build.target)?;
        let (url, path) = (mirror.file(&offered.version, &name), self.folder.join("archive"));
        progress(&format!("downloading {url}"));
        let sum = mirror.downloads().file(&url, &path, progress).await.with_context(|| {
            format!("cannot get oceanid {}\nhint: nothing was replaced; try again", offered.version)
        })?;
        if sum != wanted {
            bail!(
                "`{url}` is not what was released: its sha256 is {sum}, and SHA256SUMS says {wanted}\n\
                 hint: nothing was replaced; somebody changed it on the way: ask before you trust it"
            );
        }
        let unpacked = archive::unpack(&path, &format!("{stem}/oceanid"), &self.program());
        unpacked.with_context(|| {
            format!("cannot unpack `{url}`\nhint: nothing was replaced; the release is broken")
        })
    }

    /// Lets the program say its version.
    pub async fn try_out(&self, version: &Version) -> anyhow::Result<()> {
        let mut command = Command::new(self.program());
        command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
        let failed = || {
            format!(
                "oceanid {version} does not run here\n\
                 hint: nothing was replaced; is its folder mounted `noexec`?"
            )
        };
        let output = tokio::time::timeout(DEADLINE, command.output())
            .await
            .with_context(failed)?
            .with_context(failed)?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || said.trim() != format!("oceanid {version}") {
            bail!(
                "what should be oceanid {version} says that it is `{}`\n\
                 hint: nothing was replaced; the release is broken",
                said.trim()
            );
        }
        Ok(())
    }

    /// Renames it to `program`.
    pub fn take_the_place_of(self, program: &Path) -> anyhow::Result<()> {
        let replaced = || format!("cannot replace `{}`", program.display());
        fs::rename(self.program(), program).with_context(replaced)?;
        let above = program.parent().context("the program is in no folder")?;
        File::open(above).and_then(|folder| folder.sync_all()).with_context(replaced)
    }
}
