//! Where a secret goes that is shown once: a file of this machine, or a command.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::cluster::Store;
use crate::private_file::{beside, folder, write};
use crate::secret;

/// How long a command may take: a person may have to unlock something.
const DEADLINE: Duration = Duration::from_secs(120);

/// Sees to it, before there is a secret, that there will be a place for it.
///
/// # Errors
/// When a file could not be written.
pub fn prepare(store: &Store) -> anyhow::Result<()> {
    let Store::File(path) = store else { return Ok(()) };
    folder(path.parent().unwrap_or(Path::new("")))?;
    if path.is_dir() {
        bail!("`{}` is a folder", path.display());
    }
    let probe = beside(path, "probe");
    write(&probe, b"")?;
    fs::remove_file(&probe).with_context(|| format!("cannot remove `{}`", probe.display()))
}

/// Stores `secret`, which belongs to `client_id`.
///
/// # Errors
/// When it could not be stored.
pub async fn keep(store: &Store, secret: &SecretString, client_id: &str) -> anyhow::Result<()> {
    match store {
        Store::File(path) => file(path, secret),
        Store::Command(words) => command(words, secret, client_id).await,
    }
}

/// What was there before stays beside it: it may be of something else.
fn file(path: &Path, secret: &SecretString) -> anyhow::Result<()> {
    let old = beside(path, "old");
    match fs::rename(path, &old) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot move `{}` away", path.display()));
        }
    }
    write(path, &secret::line_before(secret, b""))
}

async fn command(words: &[String], secret: &SecretString, client_id: &str) -> anyhow::Result<()> {
    let (program, arguments) = words.split_first().context("the command is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .env("CF_ACCESS_CLIENT_ID", client_id)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run `{program}`"))?;
    let stdin = child.stdin.take();
    let fed = async {
        if let Some(mut stdin) = stdin {
            // One that does not want it says so by its exit status.
            drop(stdin.write_all(secret::bytes(secret)).await);
        }
    };
    let both = async { tokio::join!(fed, child.wait_with_output()).1 };
    let Ok(ended) = timeout(DEADLINE, both).await else {
        bail!("`{program}` did not end within {} s", DEADLINE.as_secs());
    };
    let ended = ended.with_context(|| format!("cannot wait for `{program}`"))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let last = secret::without(last.unwrap_or("it said nothing on stderr"), secret);
    bail!("`{program}` took no secret: {}: {last}", ended.status)
}
