//! One run at a time on a host: who holds it, why, and until when.

use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::receipt::STATE;
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
    /// The boot of the operator's machine that the process belongs to.
    pub boot: String,
    /// The operator's process.
    pub pid: u32,
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
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            run: run.to_owned(),
            owner: format!("{user}@{}", machine.trim()),
            boot: boot.trim().to_owned(),
            pid: std::process::id(),
            purpose: purpose.to_owned(),
            taken: now,
            expires: now + HOLDS,
        }
    }

    /// Whether the run that took it can still be alive, as far as this machine can tell.
    fn is_alive(&self, mine: &Self) -> bool {
        let here = self.boot == mine.boot && !self.boot.is_empty();
        let ended = here && !std::path::Path::new(&format!("/proc/{}", self.pid)).exists();
        self.expires > Timestamp::now() && !ended
    }
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
    let mut over: Option<Lock> = None;
    for _ in 0..3 {
        let Some(other) = try_take(remote, mine, over.as_ref(), progress).await? else {
            return Ok(());
        };
        if other.is_alive(mine) {
            return Err(Held { host: host.to_owned(), lock: other }.into());
        }
        over = Some(other);
    }
    bail!("cannot take the lock on `{host}`: other runs keep taking it")
}

/// Writes the claim unless a lock is there, other than the one that is `over`.
async fn try_take<R: Remote>(
    remote: &R,
    mine: &Lock,
    over: Option<&Lock>,
    progress: &Progress<'_>,
) -> anyhow::Result<Option<Lock>> {
    let mine = serde_json::to_string(mine)?;
    let over = over.map(serde_json::to_string).transpose()?.unwrap_or_default();
    let text = format!(
        "set -eu\numask 077\nstate={STATE}\nmkdir -p -- \"$state\"\nlock=$state/lock\n\
         exec 8>>\"$lock.flock\"\nflock -w 10 8\n\
         if read -r held 2>/dev/null <\"$lock\" && [ \"$held\" != {over} ]; then printf '%s\\n' \"$held\"; exit 3; fi\n\
         printf '%s\\n' {mine} >\"$lock.new\"\nmv -f -- \"$lock.new\" \"$lock\"\n\
         exec 9>>\"$state/change.flock\"\n\
         if ! flock -n 9; then\n\
         printf '::oceanid:: waiting up to 600 s for a change of an earlier run: %s\\n' \"$(cat \"$state/running\")\" >&2\n\
         flock -w 600 9\nfi\n",
        over = quote(&over),
        mine = quote(&mine),
    );
    let script = Script::new(text).deadline(Duration::from_secs(630));
    let output = remote.run(&script, progress).await?;
    match output.status {
        0 => Ok(None),
        3 => {
            let held = output.stdout.trim();
            Ok(Some(
                serde_json::from_str(held).with_context(|| {
                    format!("the lock is of another version of oceanid: {held}")
                })?,
            ))
        }
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
         printf '%s\\n' {line} >>\"$state/audit.jsonl\"\n\
         if read -r held 2>/dev/null <\"$state/lock\" && [ \"$held\" = {mine} ]; then rm -f -- \"$state/lock\"; fi\n",
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
