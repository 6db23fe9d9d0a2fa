//! The lines that move: one for each host that is at work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::Event;
use super::talk::{Talk, waiting};
use super::text::Style;

/// How often a line shows that it is alive.
const TURN: Duration = Duration::from_millis(100);
/// What spinner and clock take of a line, columns.
const FRAME: usize = 10;

type Bars = BTreeMap<String, ProgressBar>;

/// The moving lines at the bottom of a terminal.
pub(super) struct Live {
    all: MultiProgress,
    bars: Arc<Mutex<Bars>>,
    look: ProgressStyle,
}

impl Live {
    pub(super) fn new(target: ProgressDrawTarget, style: Style) -> Self {
        let clock = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let text = format!("{:>4} s", state.elapsed().as_secs());
            // A line that cannot be drawn is drawn anew a moment later.
            let _ = out.write_str(&style.dim(&text));
        };
        let look = ProgressStyle::with_template("{spinner} {wide_msg} {clock}")
            .expect("the template is well formed")
            .with_key("clock", clock);
        Self { all: MultiProgress::with_draw_target(target), bars: Arc::default(), look }
    }

    /// Turns every spinner from a thread of its own, until `self` is gone.
    pub(super) fn keep_turning(&self) {
        let bars = Arc::downgrade(&self.bars);
        std::thread::spawn(move || {
            while let Some(bars) = bars.upgrade() {
                let now: Vec<ProgressBar> = locked(&bars).values().cloned().collect();
                drop(bars);
                now.iter().for_each(ProgressBar::tick);
                std::thread::sleep(TURN);
            }
        });
    }

    pub(super) fn suspend<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.all.suspend(ask)
    }

    /// Writes `lines` above the moving ones, and brings the host's own up to date.
    pub(super) fn show(&self, event: &Event<'_>, lines: &[String], talk: &Talk, columns: usize) {
        if let Some(host) = leaves(event) {
            self.remove(host);
        }
        if matches!(event, Event::Finished { .. }) {
            let left: Vec<String> = locked(&self.bars).keys().cloned().collect();
            for host in &left {
                self.remove(host);
            }
        }
        if !lines.is_empty() {
            // A terminal that went away is no reason to stop the run.
            let _ = self.all.println(lines.join("\n"));
        }
        let room = columns.saturating_sub(FRAME);
        let (host, what, text) = match event {
            Event::Connecting { host, waiting: Some(error), elapsed, limit } => {
                (*host, "connecting", waiting(error, *elapsed, *limit))
            }
            Event::Connecting { host, waiting: None, .. } => (*host, "connecting", String::new()),
            Event::Connected { host } => (*host, "looking", String::new()),
            Event::ChangeStarted { host, step, subject, summary } => {
                (*host, *step, format!("{subject}: {summary}"))
            }
            Event::Progress { host, text } => (*host, talk.step(host), (*text).to_owned()),
            Event::ChangeDone { host, step, .. } => (*host, *step, String::from("looking again")),
            _ => return,
        };
        let bar = self.bar(host);
        if matches!(event, Event::ChangeStarted { .. } | Event::ChangeDone { .. }) {
            bar.reset_elapsed();
        }
        bar.set_message(talk.now(host, what, &text, room));
    }

    fn bar(&self, host: &str) -> ProgressBar {
        let make = || {
            let bar = ProgressBar::no_length().with_style(self.look.clone());
            self.all.add(bar)
        };
        locked(&self.bars).entry(host.to_owned()).or_insert_with(make).clone()
    }

    fn remove(&self, host: &str) {
        if let Some(bar) = locked(&self.bars).remove(host) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
}

/// The host that has nothing to do after `event`: its line makes room, also for a question.
fn leaves<'a>(event: &Event<'a>) -> Option<&'a str> {
    match event {
        Event::Planned { host, .. }
        | Event::HostDone { host, .. }
        | Event::HostFailed { host, .. }
        | Event::HostSkipped { host, .. } => Some(host),
        _ => None,
    }
}

fn locked(bars: &Mutex<Bars>) -> MutexGuard<'_, Bars> {
    bars.lock().unwrap_or_else(PoisonError::into_inner)
}
