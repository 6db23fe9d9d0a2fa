//! Files of this machine that are their user's alone.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Makes a folder that is closed to others, unless there is one.
///
/// # Errors
/// When it cannot be made.
pub fn folder(folder: &Path) -> anyhow::Result<()> {
    if folder.as_os_str().is_empty() || folder.exists() {
        return Ok(());
    }
    let made = fs::create_dir_all(folder);
    made.with_context(|| format!("cannot make `{}`", folder.display()))?;
    let closed = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    closed.with_context(|| format!("cannot close `{}` to others", folder.display()))
}

/// `config.SUFFIX` beside `config`.
#[must_use]
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

/// Writes a file that nobody else can read; it is never there half.
///
/// # Errors
/// When it cannot be written; what was there before stays.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let new = beside(path, "new");
    let written = || -> std::io::Result<()> {
        // One that a killed run left behind.
        if let Err(error) = fs::remove_file(&new)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    let done = written();
    if done.is_err() {
        // What went wrong is told; what it left is only rubbish.
        drop(fs::remove_file(&new));
    }
    done.with_context(|| format!("cannot write `{}`", path.display()))
}
