//! The report for programs: one JSON object a line, one line an event.
//!
//! Every line has `schema` (this is version 1), `time` (UTC, RFC 3339) and `event`; names are
//! kebab-case, times are in milliseconds. A program must ignore keys and events that it does not
//! know: they are added without a new version. No event holds a secret.
//!
//! | `event` | further keys |
//! |---|---|
//! | `connecting` | `host`, `waiting` (the last error, or null), `elapsed-ms`, `limit-ms` |
//! | `connected` | `host` |
//! | `planned` | `host`, `changes`: an array of `step`, `subject`, `summary`, `diff` (or null), `undo` (`run`, `last`, `never`), `known` (false: an earlier wave brings its content about); `notes`: an array of strings |
//! | `change-started` | `host`, `step`, `subject`, `summary` |
//! | `progress` | `host`, `text` |
//! | `change-done` | `host`, `step`, `subject`, `summary`, `took-ms` |
//! | `warning` | `host` (or null), `text` |
//! | `host-done` | `host`, `changes` |
//! | `host-failed` | `host`, `kind`, `message`, `details` (an array of `label`, `lines`), `causes`, `output` (the last lines of the failed script), `findings` (known causes that the host shows, the nearest to the root first: an array of `name`, `cause`, `evidence`: an array of strings, `command`), `hint` (or null) |
//! | `diagnosed` (of `oceanid doctor`) | `host`, `findings`: as above, empty where nothing was found |
//! | `hop` (of `oceanid verify`) | of the path of a tunnel: `host` (where it ends), `name` (the public one), `hop` (`service`, `cloudflared`, `edge`, `dns`, `without-credentials`, `with-credentials`, `pod`), `state` (`holds`, `not-verified`, `broken`: then no hop follows), `text`, `finding` (as above, or null) |
//! | `host-skipped` | `host`, `reason` |
//! | `finished` | `deed` (`apply`, `plan`), `hosts`, `unchanged`, `changed`, `changes`, `failed`, `skipped`, `took-ms` |

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::failure::Failure;
use super::{Deed, Event, Observer, Totals};
use crate::action::Undo;
use crate::engine::Planned;
use crate::script::Body;

/// The version of the lines.
pub const SCHEMA: u32 = 1;

/// An observer for programs.
pub struct Json(Mutex<Sink>);

struct Sink {
    out: Box<dyn Write + Send>,
    trouble: Option<io::Error>,
}

impl Json {
    /// Writes one line an event to `out`, stdout in production.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self(Mutex::new(Sink { out, trouble: None }))
    }

    /// Tells whether every line was written.
    ///
    /// # Errors
    /// The first thing that went wrong: the disk is full, or nobody reads on.
    pub fn finish(self) -> io::Result<()> {
        let mut sink = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        sink.trouble.map_or_else(|| sink.out.flush(), Err)
    }
}

impl Observer for Json {
    fn on(&self, event: &Event<'_>) {
        let time = Timestamp::now().strftime("%FT%T.%3fZ").to_string();
        let line = Line { schema: SCHEMA, time, event: Fields::from(event) };
        let mut text = serde_json::to_string(&line).expect("an event is plain data");
        text.push('\n');
        let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A reader that went away does not stop the run; `finish` tells.
        if let Err(error) = sink.out.write_all(text.as_bytes()).and_then(|()| sink.out.flush()) {
            sink.trouble.get_or_insert(error);
        }
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json")
    }
}

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    time: String,
    #[serde(flatten)]
    event: Fields<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
enum Fields<'a> {
    Connecting {
        host: &'a str,
        waiting: Option<&'a str>,
        elapsed_ms: u64,
        limit_ms: u64,
    },
    Connected {
        host: &'a str,
    },
    Planned {
        host: &'a str,
        changes: Vec<PlannedChange<'a>>,
        notes: &'a [String],
    },
    ChangeStarted {
        host: &'a str,
        step: &'a str,
        subject: &'a str,
        summary: &'a str,
    },
    Progress {
        host: &'a str,
        text: &'a str,
    },
    ChangeDone {
        host: &'a str,
        step: &'a str,
        subject: &'a str,
        summary: &'a str,
        took_ms: u64,
    },
    Warning {
        host: Option<&'a str>,
        text: &'a str,
    },
    HostDone {
        host: &'a str,
        changes: usize,
    },
    HostFailed {
        host: &'a str,
        #[serde(flatten)]
        failure: Failure,
    },
    HostSkipped {
        host: &'a str,
        reason: &'a str,
    },
    Finished(Sum),
}

#[derive(Serialize)]
struct PlannedChange<'a> {
    step: &'a str,
    subject: &'a str,
    summary: &'a str,
    diff: Option<&'a str>,
    undo: &'static str,
    known: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Sum {
    deed: &'static str,
    hosts: usize,
    unchanged: usize,
    changed: usize,
    changes: usize,
    failed: usize,
    skipped: usize,
    took_ms: u64,
}

impl<'a> From<&Event<'a>> for Fields<'a> {
    fn from(event: &Event<'a>) -> Self {
        match *event {
            Event::Connecting { host, waiting, elapsed, limit } => Self::Connecting {
                host,
                waiting,
                elapsed_ms: millis(elapsed),
                limit_ms: millis(limit),
            },
            Event::Connected { host } => Self::Connected { host },
            Event::Planned { host, changes, notes } => {
                let changes = changes.iter().map(PlannedChange::from).collect();
                Self::Planned { host, changes, notes }
            }
            Event::ChangeStarted { host, step, subject, summary } => {
                Self::ChangeStarted { host, step, subject, summary }
            }
            Event::Progress { host, text } => Self::Progress { host, text },
            Event::ChangeDone { host, step, subject, summary, took } => {
                Self::ChangeDone { host, step, subject, summary, took_ms: millis(took) }
            }
            Event::Warning { host, text } => Self::Warning { host, text },
            Event::HostDone { host, changes } => Self::HostDone { host, changes },
            Event::HostFailed { host, error } => {
                Self::HostFailed { host, failure: Failure::new(Some(host), error) }
            }
            Event::HostSkipped { host, reason } => Self::HostSkipped { host, reason },
            Event::Finished { totals } => Self::Finished(Sum::from(totals)),
        }
    }
}

impl<'a> From<&'a Planned> for PlannedChange<'a> {
    fn from(planned: &'a Planned) -> Self {
        let change = &planned.change;
        Self {
            step: planned.step,
            subject: &planned.subject,
            summary: &change.summary,
            diff: change.diff.as_deref(),
            undo: match change.undo {
                Undo::Run(_) => "run",
                Undo::Last(_) => "last",
                Undo::Never => "never",
            },
            known: !matches!(change.apply.body(), Body::Later),
        }
    }
}

impl From<&Totals> for Sum {
    fn from(totals: &Totals) -> Self {
        let Totals { deed, unchanged, changed, changes, failed, skipped, took } = *totals;
        Self {
            deed: match deed {
                Deed::Apply => "apply",
                Deed::Plan => "plan",
            },
            hosts: unchanged + changed + failed + skipped,
            unchanged,
            changed,
            changes,
            failed,
            skipped,
            took_ms: millis(took),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
