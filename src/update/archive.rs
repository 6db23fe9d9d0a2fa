//! The program out of a release's archive.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

/// Writes the file `name` of the archive at `path` to the new program at `to`; nothing else is unpacked.
pub fn unpack(path: &Path, name: &str, to: &Path) -> anyhow::Result<()> {
    let mut archive = Archive::new(GzDecoder::new(File::open(path)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()? != Path::new(name) || entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(to)
            .with_context(|| format!("cannot write `{}`", to.display()))?;
        io::copy(&mut entry, &mut file)
            .with_context(|| format!("cannot write `{}`", to.display()))?;
        file.sync_all()?;
        return Ok(());
    }
    bail!("it holds no `{name}`")
}
