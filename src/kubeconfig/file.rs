//! A kubeconfig on this machine: found as kubectl finds it, changed without ever being there half.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::{Access, Current, Foreign, Kubeconfig};
use crate::private_file::{self, beside, write};
use crate::secret;

/// Links that lead to links: more than these lead nowhere.
const MOST_LINKS: usize = 16;

/// A kubeconfig file of this machine.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where it is, as it was named.
    pub path: PathBuf,
}

/// What a merge did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was there already.
    Unchanged,
    /// The file is new.
    Created,
    /// The former file is kept there.
    Merged {
        /// The former file.
        backup: PathBuf,
    },
}

impl Place {
    /// The first file of `$KUBECONFIG`, or `~/.kube/config`.
    ///
    /// # Errors
    /// When there is no home folder either.
    pub fn of_this_user() -> anyhow::Result<Self> {
        let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
        let listed = std::env::split_paths(&listed).find(|path| !path.as_os_str().is_empty());
        if let Some(path) = listed {
            return Ok(Self { path });
        }
        let home =
            std::env::home_dir().context("there is no home folder; `--out FILE` needs none")?;
        Ok(Self { path: home.join(".kube/config") })
    }

    /// The file's content; `None` when it is not there.
    ///
    /// # Errors
    /// When it cannot be read, or is no kubeconfig.
    pub fn read(&self) -> anyhow::Result<Option<Kubeconfig>> {
        let Some(bytes) = bytes(&self.path)? else { return Ok(None) };
        self.parse(&bytes).map(Some)
    }

    /// Reads a file that the kubeconfig names, relative to it.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path.parent()?.join(name)).ok()
    }

    fn parse(&self, bytes: &[u8]) -> anyhow::Result<Kubeconfig> {
        let text = std::str::from_utf8(bytes).context("it is not UTF-8 text");
        text.and_then(|text| Kubeconfig::parse(&SecretString::from(text))).with_context(|| {
            format!("`{}` is no kubeconfig, and was left as it is", self.path.display())
        })
    }
}

/// Merges `access` as `name` into the file at `place`: one writer at a time, all of it or nothing.
///
/// # Errors
/// When the file is broken, foreign or locked, or cannot be written; it is then as it was.
pub fn merge(
    place: &Place,
    name: &str,
    access: &Access,
    current: Current,
) -> anyhow::Result<Outcome> {
    let path = &place.path;
    let target = target(path)?;
    let folder = target.parent().context("it is no file")?;
    private_file::folder(folder)?;
    let _lock = Lock::take(path)?;
    let former = bytes(&target)?;
    let config = former.as_ref().map(|bytes| place.parse(bytes)).transpose()?.unwrap_or_default();
    let merged = config.merged(name, access, current, &|file| place.named(file));
    let merged = merged.map_err(|error| match error.downcast::<Foreign>() {
        Ok(foreign) => {
            let hint = format!(
                "`oceanid kubeconfig --name OTHER` takes another name; if it is an old one of this \
                 cluster, `kubectl config delete-{} {name}` removes it",
                foreign.kind
            );
            anyhow::anyhow!("{foreign}\nhint: {hint}")
                .context(format!("`{}` was left as it is", path.display()))
        }
        Err(error) => error,
    })?;
    let Some(former) = former else {
        write(&target, secret::text(&merged.render()?).as_bytes())?;
        return Ok(Outcome::Created);
    };
    if merged == config && is_private(&target)? {
        return Ok(Outcome::Unchanged);
    }
    let text = merged.render()?;
    let backup = beside(&target, &Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ").to_string());
    write(&backup, &former)?;
    write(&target, secret::text(&text).as_bytes())?;
    Ok(Outcome::Merged { backup })
}

/// Where the links of `path` lead, even to a file that is not there yet.
fn target(path: &Path) -> anyhow::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(path),
        }
    }
    bail!("the links of `{}` lead in circles", path.display())
}

fn bytes(path: &Path) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

/// Whether group and others may do nothing with it.
fn is_private(path: &Path) -> anyhow::Result<bool> {
    let meta = fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(meta.permissions().mode().trailing_zeros() >= 6)
}

/// The lock that kubectl takes before it changes the file, too.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> anyhow::Result<Self> {
        let lock = beside(path, "lock");
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&lock) {
            Ok(_) => Ok(Self(lock)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
                "`{}` is being changed by another program\nhint: if none runs, `rm {}` ends its claim",
                path.display(),
                lock.display()
            ),
            Err(error) => Err(error).with_context(|| format!("cannot write `{}`", lock.display())),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The next run says how to remove one that stays.
        drop(fs::remove_file(&self.0));
    }
}
