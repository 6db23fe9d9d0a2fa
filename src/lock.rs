//! One run at a time on a host: who holds it, why, and until when.

use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::receipt::{FULL, PATIENCE, STATE, await_earlier};
use crate::remote::{Progress, Remote};
use crate::script::{Script, quote};

/// How long a lock holds without being renewed.
const HOLDS: Duration = Duration::from_secs(3600);

/// A run's claim on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lock {
    /// The run's name.
    pub run: String,
    /// `user@machine` of the operator.
    pub owner: String,
    /// The boot of the operator's machine that the process belongs to, and its namespace of processes.
    pub boot: String,
    /// The operator's process.
    pub pid: u32,
    /// When that process began, in ticks since the boot: numbers of processes come again.
    #[serde(default)]
    pub began: Option<u64>,
    /// The command: `bootstrap`, `join calypso`.
    pub purpose: String,
    /// When it was taken.
    pub taken: Timestamp,
    /// When anybody may take it over.
    pub expires: Timestamp,
}

/// Another run holds the host.
#[derive(Debug, thiserror::Error)]
#[error("`{host}` is held by `{}` of {} since {}", .lock.purpose, .lock.owner, .lock.taken.strftime("%F %T UTC"))]
pub struct Held {
    /// The host's name.
    pub host: String,
    /// The claim.
    pub lock: Lock,
}

impl Lock {
    /// Makes this process's claim.
    #[must_use]
    pub fn new(run: &str, purpose: &str) -> Self {
        let now = Timestamp::now();
        let user = std::env::var("USER").unwrap_or_else(|_| String::from("unknown"));
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            run: run.to_owned(),
            owner: format!("{user}@{}", machine.trim()),
            boot: here(),
            pid: std::process::id(),
            began: began(std::process::id()),
            purpose: purpose.to_owned(),
            taken: now,
            expires: now + HOLDS,
        }
    }

    /// Whether the run that took it can still be alive, as far as this machine can tell.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let here = self.boot == here() && !self.boot.is_empty();
        let ended = here && began(self.pid) != self.began;
        self.expires > Timestamp::now() && !ended
    }
}

/// This boot and this namespace of processes: containers of one machine share only the boot.
fn here() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let boot = boot.trim();
    if boot.is_empty() { String::new() } else { format!("{boot} {}", space.display()) }
}

/// When the process began; `None` when there is none.
fn began(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the 22nd field is the 20th after it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Claims the host; a claim of a run that is over is replaced.
///
/// # Errors
/// [`Held`] when another run has it.
pub async fn take<R: Remote>(
    remote: &R,
    host: &str,
    mine: &Lock,
    progress: &Progress<'_>,
) -> anyhow::Result<()> {
    // Compared as it is written there: another version may write the same claim otherwise.
    let mut over = String::new();
    for _ in 0..3 {
        let Some(held) = try_take(remote, mine, &over, progress).await? else {
            return Ok(());
        };
        let other: Lock = serde_json::from_str(&held)
            .with_context(|| format!("the lock is of another version of oceanid: {held}"))?;
        if other.is_alive() {
            return Err(Held { host: host.to_owned(), lock: other }.into());
        }
        over = held;
    }
    bail!("cannot take the lock on `{host}`: other runs keep taking it")
}

/// Writes the claim unless a lock is there, other than the one that is `over`; that lock's text.
async fn try_take<R: Remote>(
    remote: &R,
    mine: &Lock,
    over: &str,
    progress: &Progress<'_>,
) -> anyhow::Result<Option<String>> {
    let mine = serde_json::to_string(mine)?;
    let text = format!(
        "set -eu\numask 077\n{FULL}state={STATE}\nmkdir -p -- \"$state\"\nlock=$state/lock\n\
         exec 8>>\"$lock.flock\"\nflock -w 10 8\n\
         if IFS= read -r held 2>/dev/null <\"$lock\" && [ \"$held\" != {over} ]; then printf '%s\\n' \"$held\"; exit 3; fi\n\
         {{ printf '%s\\n' {mine} >\"$lock.new\" && mv -f -- \"$lock.new\" \"$lock\"; }} || {{ full; exit 1; }}\n\
         exec 9>>\"$state/change.flock\"\n{wait}",
        wait = await_earlier("exit 75"),
        over = quote(over),
        mine = quote(&mine),
    );
    let script = Script::new(text).deadline(PATIENCE + Duration::from_secs(30));
    let output = remote.run(&script, progress).await?;
    match output.status {
        0 => Ok(None),
        3 => Ok(Some(output.stdout.trim_end_matches('\n').to_owned())),
        _ => bail!("cannot take the lock: {}", output.stderr.trim()),
    }
}

/// Gives the host back, if this run still has it, and notes the run in the audit log.
///
/// # Errors
/// When the host does not answer.
pub async fn release<R: Remote>(remote: &R, mine: &Lock, outcome: &str) -> anyhow::Result<()> {
    let line = serde_json::json!({
        "time": Timestamp::now().strftime("%FT%TZ").to_string(),
        "run": mine.run,
        "owner": mine.owner,
        "purpose": mine.purpose,
        "outcome": outcome,
    });
    let mine = serde_json::to_string(mine)?;
    let text = format!(
        "set -eu\numask 077\nstate={STATE}\n\
         if read -r held 2>/dev/null <\"$state/lock\" && [ \"$held\" = {mine} ]; then rm -f -- \"$state/lock\"; fi\n\
         printf '%s\\n' {line} >>\"$state/audit.jsonl\"\n",
        line = quote(&line.to_string()),
        mine = quote(&mine),
    );
    let output = remote.run(&Script::new(text), &|_: &str| ()).await?;
    if output.status != 0 {
        bail!("cannot give the lock back: {}", output.stderr.trim());
    }
    Ok(())
}

/// Removes whatever lock is there, and says whose it was.
///
/// # Errors
/// When the host does not answer.
pub async fn break_open<R: Remote>(remote: &R) -> anyhow::Result<Option<String>> {
    let text = format!(
        "set -eu\nif read -r held 2>/dev/null <{STATE}/lock; then rm -f -- {STATE}/lock; printf '%s\\n' \"$held\"; fi\n"
    );
    let output = remote.run(&Script::new(text), &|_: &str| ()).await?;
    if output.status != 0 {
        bail!("cannot remove the lock: {}", output.stderr.trim());
    }
    let held = output.stdout.trim();
    Ok((!held.is_empty()).then(|| held.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::Lock;

    fn lock() -> Lock {
        Lock::new("run", "bootstrap")
    }

    #[test]
    fn a_lock_lives_as_long_as_the_process_that_took_it() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep runs");
        let theirs = Lock { pid: child.id(), began: super::began(child.id()), ..lock() };
        assert!(theirs.is_alive());
        let reused = Lock { began: theirs.began.map(|ticks| ticks - 1), ..theirs.clone() };
        assert!(!reused.is_alive(), "another process has that number now");
        child.kill().expect("our child");
        child.wait().expect("our child");
        assert!(!theirs.is_alive());
    }

    #[test]
    fn what_cannot_be_seen_from_here_is_alive_until_it_expires() {
        let elsewhere = Lock { boot: String::from("another boot"), pid: u32::MAX, ..lock() };
        assert!(elsewhere.is_alive());
        let expired = Lock { expires: elsewhere.taken, ..elsewhere };
        assert!(!expired.is_alive());
        let container =
            Lock { boot: lock().boot.replace("pid:[", "pid:[1"), pid: u32::MAX, ..lock() };
        assert!(container.is_alive(), "its processes are not ours to see");
    }
}
