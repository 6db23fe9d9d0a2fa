//! What a host keeps of our changes: intent before, outcome after, and what takes them back.

use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::action::{Change, Undo};
use crate::guard::Marker;
use crate::script::{PROGRESS_MARK, Script, quote};

/// Where everything that oceanid keeps on a host is, `root:root` 0700.
pub const STATE: &str = "/var/lib/oceanid";

/// The address that the operator came from when the host was first hardened.
pub const OPERATOR: &str = "/var/lib/oceanid/operator";

/// The version of the receipt's lines.
pub const SCHEMA: u32 = 1;

/// How much of a change's output is kept for the report, bytes.
const SHOWN_OUTPUT: u32 = 16_384;

/// How long a change waits for one of an earlier run, which goes on although that run is dead.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// How much longer than change and patience together the whole may take: bookkeeping on a slow host.
const SLACK: Duration = Duration::from_secs(30);

/// `full` names the disks that have no room left: a write that fails rarely says so itself.
pub const FULL: &str = "full() {\n\
    df -Pk / /var/lib /usr/local 2>/dev/null | while read -r disk size used free share at; do\n\
    case $free in [0-9]|[0-9][0-9]|[0-9][0-9][0-9]) printf 'no space left on the disk of %s: %s KiB are free\\n' \"$at\" \"$free\" ;; esac\n\
    done | sort -u >&2\n}\n";

/// What every change's script begins with: `progress TEXT` reaches the operator while it runs.
const PRELUDE: &str = "set -eu\nprogress() { printf '::oceanid:: %s\\n' \"$*\" >&3 || :; }\n";

/// One line of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// Written before a change.
    Intent(Intent),
    /// Written after it.
    Outcome {
        /// The change's place in its run, from 0.
        number: u32,
        /// The exit status of its script.
        status: i32,
    },
    /// Written by a guard that took a step back, or by a run that put one back.
    Guard {
        /// The number of the first change that was.
        from: u32,
        /// The number of the first one after them that was not.
        to: u32,
    },
    /// Written once the changes were taken back.
    Undone {
        /// Why: `rollback` or `guard`.
        by: String,
    },
}

/// A change that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The run's name; also the receipt's file name.
    pub run: String,
    /// The change's place in its run, from 0.
    pub number: u32,
    /// UTC, RFC 3339, by the operator's clock.
    pub time: String,
    /// The step's name.
    pub step: String,
    /// The changed thing.
    pub subject: String,
    /// What changed, in a few words.
    pub summary: String,
    /// What takes it back.
    pub undo: Option<KeptUndo>,
}

/// An [`Undo`] as a receipt keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptUndo {
    /// [`Undo::Run`].
    Run(String),
    /// [`Undo::Last`].
    Last(String),
}

impl Intent {
    /// Describes `change` as number `number` of `run`, at this moment.
    #[must_use]
    pub fn new(run: &str, number: u32, step: &str, subject: &str, change: &Change) -> Self {
        Self {
            schema: SCHEMA,
            run: run.to_owned(),
            number,
            time: jiff::Timestamp::now().strftime("%FT%TZ").to_string(),
            step: step.to_owned(),
            subject: subject.to_owned(),
            summary: change.summary.clone(),
            undo: match &change.undo {
                Undo::Run(script) => Some(KeptUndo::Run(script.text().to_owned())),
                Undo::Last(script) => Some(KeptUndo::Last(script.text().to_owned())),
                Undo::Never => None,
            },
        }
    }

    /// Wraps the change's script: one at a time on a host, intent written before it, outcome after.
    ///
    /// The script runs in a scope of its own and writes to a file, so that it goes on to its end
    /// when the connection breaks.
    ///
    /// Under `guard` it is not begun unless that guard is still armed.
    ///
    /// # Panics
    /// Never: these types always serialize.
    #[must_use]
    pub fn wrap(&self, apply: &Script, guard: Option<&Marker>) -> Script {
        let stay = guard.map_or_else(String::new, Marker::extend);
        let armed = guard.map_or_else(String::new, Marker::is_armed);
        let intent = Entry::Intent(self.clone());
        let intent = serde_json::to_string(&intent).expect("an intent is plain data");
        let text = format!(
            "trap '' PIPE\numask 077\n{FULL}\
             state={STATE} receipt={STATE}/receipts/{run}.jsonl keep={STATE}/undo/{run}/{number}\n\
             mkdir -p -- \"$state/receipts\" \"$state/units\" \"$keep\" || exit 1\n\
             exec 3>&2 9>>\"$state/change.flock\" || exit 1\n{wait}{armed}\
             printf '%s\\n' {subject} >\"$state/running\" && printf '%s\\n' {intent} >>\"$receipt\" || {{ full; exit 1; }}\n\
             scope=\n\
             if [ -d /run/systemd/system ]; then scope='systemd-run --scope --quiet --collect --unit=oceanid-change-{run}-{number}'; fi\n\
             begun=$(date +%s)\n{stay}\
             OCEANID_UNDO=$keep $scope timeout -k 5 {limit} /bin/sh -c {apply} >\"$state/output\" 2>\"$state/errors\"\n\
             status=$?\n{stay}\
             printf '{{\"entry\":\"outcome\",\"number\":{number},\"status\":%s}}\\n' \"$status\" >>\"$receipt\"\n\
             rm -f -- \"$state/running\"\n\
             tail -c {SHOWN_OUTPUT} -- \"$state/output\"\ntail -c {SHOWN_OUTPUT} -- \"$state/errors\" >&2\n\
             if [ \"$status\" -ne 0 ]; then full; fi\n\
             case $status in 124|137) if [ $(( $(date +%s) - begun )) -ge {limit} ]; then\n\
             echo 'it was still running after {limit} s and was ended' >&2; exit 124; fi ;; esac\n\
             exit \"$status\"\n",
            run = self.run,
            number = self.number,
            wait = await_earlier("exit 75"),
            subject = quote(&self.subject),
            intent = quote(&intent),
            limit = apply.limit().as_secs().max(1),
            apply = quote(&format!("{PRELUDE}{}", apply.text())),
        );
        // The change's own deadline is kept on the host; the wait before it must not eat that up.
        let deadline = PATIENCE + apply.limit() + SLACK;
        Script::new(text).stdin(apply.body().clone()).deadline(deadline)
    }
}

/// Waits for a change that goes on without its run, and tells for which; expects `$state` and its lock on 9.
#[must_use]
pub fn await_earlier(otherwise: &str) -> String {
    let patience = PATIENCE.as_secs();
    format!(
        "if ! flock -n 9; then\n\
         running=$(cat -- \"$state/running\" 2>/dev/null) || running='it does not say which'\n\
         printf '{PROGRESS_MARK}waiting up to {patience} s for a change of an earlier run: %s\\n' \"$running\" >&2\n\
         flock -w {patience} 9 || {{ printf 'a change of an earlier run has not ended within {patience} s: %s\\n' \"$running\" >&2; {otherwise}; }}\n\
         fi\n"
    )
}

/// Reads a receipt's lines; a last line that was cut off counts as not written.
///
/// # Errors
/// When a whole line is not of a schema that this version knows.
pub fn read(text: &str) -> anyhow::Result<Vec<Entry>> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|line| {
            serde_json::from_str(line).with_context(|| format!("cannot read receipt line `{line}`"))
        })
        .collect()
}

/// The script that takes back everything in a receipt: newest change first, then what must come last.
#[must_use]
pub fn undo(entries: &[Entry]) -> Script {
    let back = |number: u32| {
        entries.iter().any(|entry| match entry {
            Entry::Guard { from, to } => (*from..*to).contains(&number),
            _ => false,
        })
    };
    let intents = || {
        entries.iter().rev().filter_map(|entry| match entry {
            Entry::Intent(intent) if !back(intent.number) => Some((intent, intent.undo.as_ref()?)),
            _ => None,
        })
    };
    let runs = intents().filter_map(|(intent, undo)| match undo {
        KeptUndo::Run(text) => Some((intent, text)),
        KeptUndo::Last(_) => None,
    });
    let lasts = intents().filter_map(|(intent, undo)| match undo {
        KeptUndo::Last(text) => Some((intent, text)),
        KeptUndo::Run(_) => None,
    });
    let mut text = String::from("umask 077\nfailed=0\n");
    for (intent, undo) in runs.chain(lasts) {
        let part = format!(
            "OCEANID_UNDO={STATE}/undo/{}/{} /bin/sh -c {} || {{ failed=1; printf 'cannot undo %s\\n' {} >&2; }}\n",
            intent.run,
            intent.number,
            quote(&format!("set -eu\n{undo}")),
            quote(&intent.subject),
        );
        text.push_str(&part);
    }
    text.push_str("exit \"$failed\"\n");
    Script::new(text).deadline(Duration::from_secs(300))
}
