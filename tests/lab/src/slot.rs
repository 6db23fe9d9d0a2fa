//! Which of sixteen labs on this machine is ours, and what is left of those that died.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::command::{run_for, wait_for};

/// How many labs fit beside each other: their networks share one /24.
const SLOTS: u8 = 16;
const TEARDOWN: &str = include_str!("../scripts/teardown.sh");

/// Where all labs of this machine live.
#[must_use]
pub fn home() -> PathBuf {
    std::env::var_os("OCEANID_LAB_DIR")
        .map_or_else(|| PathBuf::from("/var/lib/oceanid-lab"), PathBuf::from)
}

/// One lab's place; whoever holds its lock owns it.
#[derive(Debug)]
pub struct Slot {
    /// From 0 to 15.
    pub number: u8,
    lock: Flock<File>,
}

impl Slot {
    /// Takes the first place that is free, after removing what a dead owner left there.
    pub fn take() -> Result<Self> {
        for number in 0..SLOTS {
            let Some(slot) = Self::lock(number)? else { continue };
            if slot.dir().join("keep").exists() {
                continue;
            }
            slot.clear()?;
            fs::create_dir_all(slot.dir())?;
            return Ok(slot);
        }
        bail!("all {SLOTS} labs of this machine are in use; `lab status` lists them")
    }

    /// Takes place `number`, or nothing when a living process holds it.
    pub fn lock(number: u8) -> Result<Option<Self>> {
        fs::create_dir_all(home())
            .with_context(|| format!("cannot create `{}` (are we root?)", home().display()))?;
        let path = home().join(format!("{number}.lock"));
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self { number, lock })),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => {
                Err(errno).with_context(|| format!("cannot lock `{}`", path.display()))
            }
        }
    }

    /// Every place that has a lab, with its folder.
    pub fn used() -> Vec<(u8, PathBuf)> {
        (0..SLOTS).map(|n| (n, home().join(n.to_string()))).filter(|(_, d)| d.exists()).collect()
    }

    /// Where the lab's files are.
    pub fn dir(&self) -> PathBuf {
        home().join(self.number.to_string())
    }

    /// What the lab's devices, cgroups and rules start with.
    pub fn prefix(&self) -> String {
        format!("ol{}", self.number)
    }

    /// Removes every trace of the lab that was here.
    pub fn clear(&self) -> Result<()> {
        let script = script()?;
        let arguments = [script.display().to_string(), self.prefix(), path(&self.dir())];
        run_for(Duration::from_mins(2), "sh", &arguments)?;
        if self.dir().exists() {
            bail!("`{}` could not be removed", self.dir().display());
        }
        Ok(())
    }

    /// Starts the process that clears the place when this one ends, however it ends.
    pub fn watch(self) -> Result<Watch> {
        let script = script()?;
        // The lock lives as long as any descriptor of it: until the clearing is done.
        let held = self.lock.try_clone().context("cannot share the lock")?;
        let log = File::create(home().join(format!("{}.teardown.log", self.number)))?;
        let child = Command::new("sh")
            .arg(script)
            .args(["--on-eof", &self.prefix(), &path(&self.dir())])
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::from(held))
            .stderr(log)
            .spawn()
            .context("cannot start the lab's watch")?;
        Ok(Watch { child, slot: self })
    }
}

/// Clears a lab's place when it is dropped, or when its owner is killed.
#[derive(Debug)]
pub struct Watch {
    child: Child,
    /// The place.
    pub slot: Slot,
}

impl Watch {
    /// Ends the watch without clearing; the place's number.
    pub fn leave(mut self) -> u8 {
        // Killed before its stdin closes: it would clear.
        self.child.kill().ok();
        self.child.wait().ok();
        self.slot.number
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let child = &mut self.child;
        let end = wait_for(
            Duration::from_mins(1),
            "the lab's end",
            || Ok(child.try_wait()?),
            || "see the teardown log beside the lab's folder".to_owned(),
        );
        if let Err(error) = end {
            eprintln!("lab: {error:#}");
        }
    }
}

/// The script that removes a lab, as a file of this version.
fn script() -> Result<PathBuf> {
    write_script("teardown.sh", TEARDOWN)
}

/// Writes a script beside the labs, by rename: another process may be reading the old one.
pub fn write_script(name: &str, text: &str) -> Result<PathBuf> {
    let path = home().join(name);
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(path);
    }
    let new = tempfile::NamedTempFile::new_in(home())?;
    fs::write(new.path(), text)?;
    new.persist(&path)?;
    Ok(path)
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
