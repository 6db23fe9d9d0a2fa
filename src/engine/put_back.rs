//! A unit that ran before a step and does not after it gets back what it had.

use std::time::{Duration, Instant};

use super::{ChangeFailed, NotHeld, Run};
use crate::receipt::{Entry, Intent, KeptUndo, STATE, undo};
use crate::remote::{Output, Progress, Remote};
use crate::report::{Event, Observer};
use crate::script::{PROGRESS_MARK, Script, quote};
use crate::step::Step;

/// How long what was put back may take to be up again.
const UP: Duration = Duration::from_secs(240);

/// The status of a change that never began: one of an earlier run goes on.
const HELD_UP: i32 = 75;

/// A step did not come up, and the host has again what it had before.
#[derive(Debug, thiserror::Error)]
#[error("`{step}` on `{host}` did not come up with what was new; it has what it had before again, and is up since {} s", .took.as_secs())]
pub struct PutBack {
    /// The host's name.
    pub host: String,
    /// The step's name.
    pub step: &'static str,
    /// How long it took from the failure until what was put back was up.
    pub took: Duration,
}

/// A step did not come up, and what the host had before did not either.
#[derive(Debug, thiserror::Error)]
#[error("`{step}` on `{host}` did not come up with what was new, and could not be put back: {why}")]
pub struct NotPutBack {
    /// The host's name.
    pub host: String,
    /// The step's name.
    pub step: &'static str,
    /// What went wrong with that.
    pub why: String,
}

impl<R: Remote, O: Observer> Run<'_, R, O> {
    /// Puts `made` back where it failed in a unit that ran before.
    pub(super) async fn put_back_unless_up(
        &self,
        step: &Step,
        made: Vec<Intent>,
        result: anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Err(error) = result else { return Ok(()) };
        let ran = made.iter().any(|intent| matches!(intent.undo, Some(KeptUndo::Last(_))));
        let failed = error.is::<NotHeld>()
            || error
                .downcast_ref::<ChangeFailed>()
                .is_some_and(|failed| failed.output.status != HELD_UP);
        match &step.up {
            Some(proof) if ran && failed => match self.put_back(step.name, made, proof).await {
                Ok(back) => Err(error.context(back)),
                Err(lost) => Err(error.context(lost)),
            },
            _ => Err(error),
        }
    }

    async fn put_back(
        &self,
        step: &'static str,
        made: Vec<Intent>,
        proof: &str,
    ) -> Result<PutBack, NotPutBack> {
        let (host, observer) = (self.host, self.observer);
        let lost = |why: String| NotPutBack { host: host.to_owned(), step, why };
        let progress = |text: &str| observer.on(&Event::Progress { host, text });
        progress("it does not come up: putting back what was there before");
        let begun = Instant::now();
        for script in [take_back(self.name, made), wait(proof)] {
            let output = self.try_run(&script, &progress).await.map_err(lost)?;
            if output.status != 0 {
                let said = output.stderr.lines().last().unwrap_or("it does not say why");
                return Err(lost(said.to_owned()));
            }
        }
        Ok(PutBack { host: host.to_owned(), step, took: begun.elapsed() })
    }

    /// Runs `script`, through a new login where the connection is gone.
    async fn try_run(&self, script: &Script, progress: &Progress<'_>) -> Result<Output, String> {
        let error = match self.remote.run(script, progress).await {
            Ok(output) => return Ok(output),
            Err(error) => error,
        };
        let remote = self.remote.again().await.map_err(|_| error.to_string())?;
        remote.run(script, progress).await.map_err(|error| error.to_string())
    }
}

/// Undoes `made` under the lock of changes, and notes in the receipt that it is undone.
fn take_back(run: &str, made: Vec<Intent>) -> Script {
    let ends = (made.first(), made.last());
    let (from, to) = match ends {
        (Some(first), Some(last)) => (first.number, last.number + 1),
        _ => (0, 0),
    };
    let entries: Vec<Entry> = made.into_iter().map(Entry::Intent).collect();
    let note = serde_json::to_string(&Entry::Guard { from, to }).expect("an entry is plain data");
    let undo = undo(&entries);
    let text = format!(
        "trap '' PIPE HUP\numask 077\nexec 9>>{STATE}/change.flock\n\
         flock -w 60 9 || {{ echo 'a change is still running' >&2; exit 75; }}\n\
         status=0; ( {} ) 9>&- || status=$?\n\
         if [ \"$status\" = 0 ]; then printf '%s\\n' {} >>{STATE}/receipts/{run}.jsonl; fi\n\
         exit \"$status\"\n",
        undo.text(),
        quote(&note)
    );
    Script::new(text).deadline(undo.limit())
}

/// Waits until `proof` succeeds.
fn wait(proof: &str) -> Script {
    let limit = UP.as_secs();
    let text = format!(
        "limit=$(( $(date +%s) + {limit} ))\n\
         until last=$(/bin/sh -c {} 2>&1); do\n\
         left=$(( limit - $(date +%s) ))\n\
         if [ \"$left\" -le 0 ]; then printf 'after {limit} s: %s\\n' \"$last\" >&2; exit 1; fi\n\
         printf '{PROGRESS_MARK}waiting until what was put back is up, %s s left: %s\\n' \"$left\" \"${{last##*\n}}\" >&2\n\
         sleep 0.3\ndone\n",
        quote(&format!("set -eu\n{proof}"))
    );
    Script::new(text).deadline(UP + Duration::from_secs(30))
}
