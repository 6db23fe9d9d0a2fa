//! A run in lines for people: a host, what is done there, and what with.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::failure::{Failure, Failures};
use super::kind::Kind;
use super::text::{self, Style, clean, count, duration, fit, pad};
use super::throttle::Throttle;
use super::{Deed, Event, Totals};
use crate::{cloudflare, steps};

/// The longest name of a host that is shown in full, columns.
const LONGEST: usize = 24;
/// The step's column is never narrower than these words.
const WORDS: &[&str] = &["connecting", "failed", "skipped"];

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// What stays on the screen while other lines show what goes on.
    Lasting,
    /// Everything, for a log.
    All,
}

/// The words for each event, and what has to be remembered for them.
#[derive(Debug)]
pub(super) struct Talk {
    style: Style,
    detail: Detail,
    host_column: usize,
    what_column: usize,
    hosts: BTreeMap<String, State>,
    failures: Failures,
}

#[derive(Debug, Default)]
struct State {
    step: String,
    made: usize,
    waited: bool,
    throttle: Throttle,
}

impl Talk {
    pub(super) fn new<'a>(
        names: impl IntoIterator<Item = &'a str>,
        style: Style,
        detail: Detail,
    ) -> Self {
        let host_column = names.into_iter().map(text::width).max().unwrap_or_default().min(LONGEST);
        let steps = steps::ALL.iter().map(|entry| entry.name).chain([cloudflare::NAME]);
        let what_column =
            steps.chain(WORDS.iter().copied()).map(str::len).max().unwrap_or_default();
        Self {
            style,
            detail,
            host_column,
            what_column,
            hosts: BTreeMap::new(),
            failures: Failures::default(),
        }
    }

    /// The lines that `event` is worth, none wider than `columns` unless a word is.
    pub(super) fn lines(&mut self, event: &Event<'_>, columns: usize) -> Vec<String> {
        match event {
            Event::ChangeStarted { host, step, .. } => {
                self.state(host, |state| {
                    (*step).clone_into(&mut state.step);
                    state.throttle = Throttle::default();
                });
                Vec::new()
            }
            Event::ChangeDone { host, step, subject, summary, took } => {
                self.state(host, |state| state.made += 1);
                vec![self.done(host, step, &format!("{subject}: {summary}"), *took, columns)]
            }
            Event::Warning { host, text } => self.warning(*host, text, columns),
            Event::HostFailed { host, error } => {
                self.failed(Failure::new(Some(host), error), host, columns)
            }
            Event::HostSkipped { host, reason } => {
                let what = self.what("skipped", |word| self.style.yellow(word));
                vec![self.line(host, &what, reason, columns)]
            }
            Event::Finished { totals } => self.finished(totals, columns),
            _ if self.detail == Detail::All => self.detailed(event, columns).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// What a log also says.
    fn detailed(&mut self, event: &Event<'_>, columns: usize) -> Option<String> {
        let (host, what, text) = match event {
            Event::Connecting { host, waiting: Some(error), elapsed, limit } => {
                let told = self.state(host, |state| {
                    state.waited = true;
                    state.throttle.admits(Instant::now(), error)
                });
                (host, "connecting", told.then(|| waiting(error, *elapsed, *limit))?)
            }
            Event::Connected { host } => {
                let waited = self.state(host, |state| std::mem::take(&mut state.waited));
                (host, "connected", waited.then(String::new)?)
            }
            Event::Planned { host, changes, .. } if !changes.is_empty() => {
                (host, "plan", count(changes.len(), "change"))
            }
            Event::Progress { host, text } => {
                let told = self.state(host, |state| state.throttle.admits(Instant::now(), text));
                let step = self.state(host, |state| state.step.clone());
                return told.then(|| {
                    let step = self.what(&step, str::to_owned);
                    self.line(host, &step, &self.style.dim(&clean(text)), columns)
                });
            }
            Event::HostDone { host, changes: 0 } => (host, "done", String::from("unchanged")),
            // A plan comes to an end, too, but nothing was done.
            Event::HostDone { host, .. } => {
                let made = self.state(host, |state| state.made);
                (host, "done", (made > 0).then(|| count(made, "change"))?)
            }
            _ => return None,
        };
        Some(self.line(host, &self.what(what, str::to_owned), &text, columns))
    }

    fn state<T>(&mut self, host: &str, change: impl FnOnce(&mut State) -> T) -> T {
        change(self.hosts.entry(host.to_owned()).or_default())
    }

    fn what(&self, word: &str, paint: impl FnOnce(&str) -> String) -> String {
        paint(&pad(word, self.what_column))
    }

    /// The first two columns of every line.
    fn head(&self, host: &str, what: &str) -> String {
        format!("{}  {what}  ", self.style.bold(&pad(host, self.host_column)))
    }

    fn line(&self, host: &str, what: &str, text: &str, columns: usize) -> String {
        let line = format!("{}{}", self.head(host, what), text);
        fit(line.trim_end(), columns)
    }

    /// A line on the screen while something goes on, for a host that is at `what`.
    pub(super) fn now(&self, host: &str, what: &str, text: &str, columns: usize) -> String {
        self.line(host, &self.what(what, |word| self.style.cyan(word)), &clean(text), columns)
    }

    /// The step that the host is at.
    pub(super) fn step(&self, host: &str) -> &str {
        self.hosts.get(host).map_or("", |state| state.step.as_str())
    }

    fn done(&self, host: &str, step: &str, text: &str, took: Duration, columns: usize) -> String {
        let head = self.head(host, &self.what(step, |word| self.style.green(word)));
        let took = duration(took);
        // The time is never what is cut.
        let left = columns.saturating_sub(text::width(&head) + text::width(&took) + 2);
        format!("{head}{}  {}", fit(&clean(text), left), self.style.dim(&took))
    }

    fn warning(&self, host: Option<&str>, text: &str, columns: usize) -> Vec<String> {
        let host = host.map_or(String::new(), |host| format!("{host}: "));
        let text = format!("{host}{}", clean(text));
        let first = format!("{} ", self.style.yellow("warning:"));
        written(|out| text::Place { first: &first, rest: "  ", columns }.write(out, &text))
    }

    fn failed(&mut self, failure: Failure, host: &str, columns: usize) -> Vec<String> {
        let word = if failure.kind == Kind::Interrupted { "stopped" } else { "failed" };
        let what = self.what(word, |word| self.style.red(word));
        let line = self.line(host, &what, &failure.headline(), columns);
        self.failures.push(failure);
        vec![line]
    }

    fn finished(&mut self, totals: &Totals, columns: usize) -> Vec<String> {
        let failures = std::mem::take(&mut self.failures);
        // Whole sentences are not easier to read on a wider screen.
        let mut lines = written(|out| failures.write(out, self.style, columns.min(text::COLUMNS)));
        lines.push(summary(totals));
        lines
    }
}

fn written(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> Vec<String> {
    let mut text = Vec::new();
    write(&mut text).expect("memory takes every write");
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

/// What a refused connection is waited for with.
pub(super) fn waiting(error: &str, elapsed: Duration, limit: Duration) -> String {
    format!("{}, {} s left", clean(error), limit.saturating_sub(elapsed).as_secs())
}

/// `4 hosts: 3 unchanged, 1 changed (4 changes), 0 failed in 2.1 s`
fn summary(totals: &Totals) -> String {
    let Totals { deed, unchanged, changed, changes, failed, skipped, took } = totals;
    let word = match deed {
        Deed::Apply => "changed",
        Deed::Plan => "to change",
    };
    let hosts = count(unchanged + changed + failed + skipped, "host");
    let changes =
        if *changes == 0 { String::new() } else { format!(" ({})", count(*changes, "change")) };
    let skipped = if *skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
    let took = duration(*took);
    format!(
        "{hosts}: {unchanged} unchanged, {changed} {word}{changes}, {failed} failed{skipped} in {took}"
    )
}
