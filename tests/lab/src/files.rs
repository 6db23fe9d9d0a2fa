//! A host's whole file system as one hash, and as a list that shows which file differs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

/// Folders whose content is no part of what a host *is*: the kernel's, the volatile ones, logs,
/// and k3s' own data.
const APART: &[&str] =
    &["/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/log", "/var/lib/rancher"];

/// What a login, a timer or a clock writes by itself.
const BY_ITSELF: &[&str] = &[
    "/var/lib/wtmpdb",
    "/var/lib/lastlog",
    "/var/lib/systemd/timers",
    "/var/lib/systemd/timesync",
    "/var/lib/systemd/random-seed",
    "/var/lib/sudo/lectured",
];

/// What every file of a host is: type, mode, owner, content or target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    files: BTreeMap<PathBuf, String>,
}

impl Manifest {
    /// Lists `root`; files that `upper` lacks are `image`'s own and hashed only once.
    pub(crate) fn read(root: &Path, image: &Path, upper: &Path, but: &[&str]) -> Result<Self> {
        let mut files = BTreeMap::new();
        let inside = |path: &Path| {
            Path::new("/").join(path.strip_prefix(root).expect("walkdir stays below its root"))
        };
        let apart = |path: &Path| {
            let path = inside(path);
            APART.iter().chain(BY_ITSELF).chain(but).any(|folder| path == Path::new(folder))
        };
        let walk = WalkDir::new(root).into_iter().filter_entry(|entry| !apart(entry.path()));
        for entry in walk {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if gone(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            let name = inside(entry.path());
            let below = name.strip_prefix("/").expect("made absolute above");
            let source = if upper.join(below).symlink_metadata().is_ok() {
                None
            } else {
                Some(image.join(below))
            };
            match describe(entry.path(), source.as_deref()) {
                Ok(text) => {
                    files.insert(name, text);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read `{}`", name.display()));
                }
            }
        }
        Ok(Self { files })
    }

    /// One hash of everything.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for (path, text) in &self.files {
            hash.update(path.as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash.update(text);
            hash.update([0]);
        }
        hex::encode(hash.finalize())
    }

    /// What differs in `later`, one line a file: `+ path`, `- path` or `~ path: before -> after`.
    #[must_use]
    pub fn diff(&self, later: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, before) in &self.files {
            match later.files.get(path) {
                None => lines.push(format!("- {} {before}", path.display())),
                Some(after) if after != before => {
                    lines.push(format!("~ {}: {before} -> {after}", path.display()));
                }
                Some(_) => {}
            }
        }
        for (path, after) in &later.files {
            if !self.files.contains_key(path) {
                lines.push(format!("+ {} {after}", path.display()));
            }
        }
        lines
    }

    /// How many files there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

fn gone(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Type, mode, owner, and content or target; `image` is the same file where it never changes.
fn describe(path: &Path, image: Option<&Path>) -> io::Result<String> {
    let meta = path.symlink_metadata()?;
    let kind = meta.file_type();
    let what = if kind.is_symlink() {
        format!("link {}", fs::read_link(path)?.display())
    } else if kind.is_dir() {
        "folder".to_owned()
    } else if kind.is_file() {
        match image {
            Some(image) => known(image)?,
            None => content(path)?,
        }
    } else if kind.is_char_device() || kind.is_block_device() {
        format!("device {:x}", meta.rdev())
    } else {
        "socket or pipe".to_owned()
    };
    Ok(format!("{what} {:04o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid()))
}

fn content(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(hex::encode(hash.finalize()))
}

/// The content of a file of an image, which nobody ever writes to.
fn known(path: &Path) -> io::Result<String> {
    static KNOWN: LazyLock<Mutex<BTreeMap<PathBuf, String>>> = LazyLock::new(Mutex::default);
    let lock = || KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(hash) = lock().get(path) {
        return Ok(hash.clone());
    }
    let hash = content(path)?;
    lock().insert(path.to_owned(), hash.clone());
    Ok(hash)
}
