//! The host's own way back: it undoes a step by itself unless somebody logs in anew and says that all is well.
//!
//! A step that could lock us out is armed before its first change, twice over: a timer that a dead
//! operator cannot stop, and a unit that runs at the next boot, since timers do not survive one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::receipt::{Entry, Intent};
use crate::remote::{Output, Progress, Remote, RemoteError};
use crate::script::Script;
use crate::step::Step;

mod scripts;

/// How long the host may take to undo a step once it has begun to.
const UNDOING: Duration = Duration::from_secs(30);
/// The pause between two logins; a host may shut out who is refused too often.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_WHEN_REFUSED: Duration = Duration::from_secs(8);

/// Why a guard fires before its time.
const UNFINISHED: &str = "the step could not be finished";

/// The exit status of a script that found the step taken back.
const FIRED: i32 = 5;

/// What a guard watches, as the host keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Marker {
    /// The run's name.
    pub run: String,
    /// The step's name.
    pub step: String,
    /// How long it waits, seconds.
    pub seconds: u64,
    /// The number of the step's first guarded change in its run.
    pub from: u32,
    /// The number of the one after its last.
    pub to: u32,
    /// The changes, oldest first: `file /etc/x: create`.
    pub changes: Vec<String>,
}

/// In what state a guard is that a host tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// It waits, or is at work.
    Armed(Marker),
    /// It has taken a step back, and nobody has been told yet.
    Fired(Marker),
}

/// A host has taken a step back.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{host}` took the step `{}` back by itself", .marker.step)]
pub struct TakenBack {
    /// The host's name.
    pub host: String,
    /// What was taken back.
    pub marker: Marker,
    /// Why.
    pub why: String,
    /// What could not be taken back, in the words of the host.
    pub left: Vec<String>,
}

/// Nobody could log in anew, not even after the host should have taken the step back.
#[derive(Debug, thiserror::Error)]
#[error("`{host}` lets nobody in since the step `{step}`: {last}")]
pub struct Unconfirmed {
    /// The host's name.
    pub host: String,
    /// The step's name.
    pub step: String,
    /// What the last login said.
    pub last: RemoteError,
    /// How long it was tried.
    pub waited: Duration,
}

/// A step that is being changed under guard.
#[derive(Debug)]
pub struct Watch<'a, R> {
    /// The host's name.
    pub host: &'a str,
    /// The connection that makes the changes.
    pub remote: &'a R,
    /// What must still work, where it did before.
    pub holds: Option<&'a str>,
    /// What is guarded so far.
    pub marker: Marker,
    /// Its changes, as a receipt keeps them.
    pub entries: Vec<Entry>,
}

impl<R> Clone for Watch<'_, R> {
    fn clone(&self) -> Self {
        Self { marker: self.marker.clone(), entries: self.entries.clone(), ..*self }
    }
}

impl<'a, R: Remote> Watch<'a, R> {
    /// A guard of `step` that waits for `limit`; nothing is armed yet.
    #[must_use]
    pub fn new(host: &'a str, remote: &'a R, run: &str, step: &'a Step, limit: Duration) -> Self {
        let marker = Marker {
            run: run.to_owned(),
            step: step.name.to_owned(),
            seconds: limit.as_secs(),
            from: 0,
            to: 0,
            changes: Vec::new(),
        };
        Self { host, remote, holds: step.holds.as_deref(), marker, entries: Vec::new() }
    }

    /// Adds changes that are about to be made.
    pub fn add(&mut self, intents: impl IntoIterator<Item = Intent>) {
        for intent in intents {
            if self.entries.is_empty() {
                self.marker.from = intent.number;
            }
            self.marker.to = intent.number + 1;
            self.marker.changes.push(format!("{}: {}", intent.subject, intent.summary));
            self.entries.push(Entry::Intent(intent));
        }
    }

    /// Arms the host, or arms it anew with more changes.
    ///
    /// # Errors
    /// When the host does not take it: then nothing may be changed.
    pub async fn arm(&self) -> anyhow::Result<()> {
        let script = self.marker.arm(&self.entries, self.holds);
        let output = self.remote.run(&script, &|_: &str| ()).await?;
        match output.status {
            0 => Ok(()),
            FIRED => Err(taken_back(self.remote, self.host).await?.into()),
            _ => bail!("cannot arm the guard of `{}`: {}", self.marker.step, output.stderr.trim()),
        }
    }

    /// Logs in anew and lets the guard go.
    ///
    /// # Errors
    /// [`TakenBack`] when the host has taken the step back, [`Unconfirmed`] when nobody gets in any more.
    pub async fn confirm(&self, progress: &Progress<'_>) -> anyhow::Result<()> {
        progress("logging in anew, so that the guard can let go");
        let script = self.marker.confirm(self.holds);
        let (remote, output) = self.reach(&script, progress).await?;
        match output.status {
            0 => Ok(()),
            FIRED => {
                let mut error = taken_back(&remote, self.host).await?;
                if let (Some(last), true) = (output.last, error.why.contains("within")) {
                    error.why = format!("{}; the last try: {last}", error.why);
                }
                Err(error.into())
            }
            _ => bail!("cannot let the guard go: {}", output.stderr),
        }
    }

    /// Has the host take the step back at once: one of its changes went wrong.
    ///
    /// # Errors
    /// [`Unconfirmed`] when nobody gets in any more.
    pub async fn take_back(&self, progress: &Progress<'_>) -> anyhow::Result<TakenBack> {
        progress("taking the step back");
        if let Ok(output) = self.remote.run(&scripts::fire(UNFINISHED), progress).await
            && output.status == FIRED
        {
            return taken_back(self.remote, self.host).await;
        }
        let (remote, _) = self.reach(&scripts::fire(UNFINISHED), progress).await?;
        taken_back(&remote, self.host).await
    }

    /// Runs `script` through a new login, which is tried until the host must have taken the step back.
    async fn reach(
        &self,
        script: &Script,
        progress: &Progress<'_>,
    ) -> anyhow::Result<(R, Reached)> {
        let begun = Instant::now();
        let limit = Duration::from_secs(self.marker.seconds);
        let mut last = None;
        loop {
            let error = match self.remote.again().await {
                Ok(remote) => match remote.run(script, progress).await {
                    Ok(Output { status, stderr, .. }) => {
                        let last = last.map(|error: RemoteError| error.to_string());
                        return Ok((remote, Reached { status, stderr, last }));
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let waited = begun.elapsed();
            if waited > limit + UNDOING * 2 {
                let (host, step) = (self.host.to_owned(), self.marker.step.clone());
                return Err(Unconfirmed { host, step, last: error, waited }.into());
            }
            let left = limit.saturating_sub(waited).as_secs();
            progress(&format!(
                "no new login yet, the host takes `{}` back in {left} s: {error}",
                self.marker.step
            ));
            let refused = matches!(error, RemoteError::Authentication { .. });
            tokio::time::sleep(if refused { PAUSE_WHEN_REFUSED } else { PAUSE }).await;
            last = Some(error);
        }
    }
}

/// What came of a script that went through a new login.
struct Reached {
    status: i32,
    stderr: String,
    last: Option<String>,
}

/// Reads what a guard did, and has the host forget it.
///
/// # Errors
/// When the host does not answer, or has nothing to tell.
pub async fn taken_back<R: Remote>(remote: &R, host: &str) -> anyhow::Result<TakenBack> {
    let output = remote.run(&scripts::tell(), &|_: &str| ()).await?;
    let mut lines = output.stdout.lines();
    let (Some(marker), Some(why), 0) = (lines.next(), lines.next(), output.status) else {
        bail!("the guard of `{host}` does not say what it did: {}", output.stderr.trim());
    };
    let marker: Marker =
        serde_json::from_str(marker).context("the guard is of another version of oceanid")?;
    let why = explain(why, &marker);
    Ok(TakenBack { host: host.to_owned(), marker, why, left: lines.map(str::to_owned).collect() })
}

/// Waits for the guard of a run that is dead, and tells what it did; `None` where there is none.
///
/// # Errors
/// When the host does not answer, or does not get it done.
pub async fn settle<R: Remote>(
    remote: &R,
    host: &str,
    guard: &Guard,
    progress: &Progress<'_>,
) -> anyhow::Result<TakenBack> {
    if let Guard::Armed(marker) = guard {
        remote.run(&scripts::wait(marker), progress).await?;
    }
    taken_back(remote, host).await
}

/// Why a guard fired, in words.
fn explain(why: &str, marker: &Marker) -> String {
    let (time, reason) = why.split_once(' ').unwrap_or((why, ""));
    let time = time.parse().ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    let time = time.map_or_else(String::new, |time| time.strftime(" (%F %T UTC)").to_string());
    match reason {
        "timer" => format!("no new login had confirmed it within {} s{time}", marker.seconds),
        "boot" => format!("the host was restarted{time} before a new login had confirmed it"),
        reason => format!("{reason}{time}"),
    }
}
