//! The report for people: lines that move on a terminal, plain ones in a log.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::ProgressDrawTarget;

use super::live::Live;
use super::talk::{Detail, Talk};
use super::text::{COLUMNS, Style, is_terminal};
use super::{Event, Observer};

/// How wide the screen is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// As wide as the terminal on stderr is at that moment.
    Stderr,
    /// Always this wide.
    Fixed(usize),
}

impl Columns {
    fn now(self) -> usize {
        match self {
            Self::Stderr => usize::from(console::Term::stderr().size().1),
            Self::Fixed(columns) => columns,
        }
    }
}

/// An observer for people.
///
/// On a terminal each host that is at work has one line that says what it does now; what is done
/// is written above and stays. Anywhere else there is one plain line for each thing worth knowing.
pub struct Human {
    talk: Mutex<Talk>,
    screen: Screen,
}

enum Screen {
    Live { live: Live, columns: Columns },
    Plain(Mutex<Box<dyn Write + Send>>),
}

impl Human {
    /// Talks on stderr about the hosts called `names`.
    pub fn stderr<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let stderr = std::io::stderr();
        let style = Style::of(&stderr);
        if !is_terminal(&stderr) {
            return Self::plain(names, Box::new(stderr), style);
        }
        let human = Self::live(names, ProgressDrawTarget::stderr(), Columns::Stderr, style);
        if let Screen::Live { live, .. } = &human.screen {
            live.keep_turning();
        }
        human
    }

    /// Writes plain lines of at most 80 columns to `out`.
    pub fn plain<'a>(
        names: impl IntoIterator<Item = &'a str>,
        out: Box<dyn Write + Send>,
        style: Style,
    ) -> Self {
        let talk = Mutex::new(Talk::new(names, style, Detail::All));
        Self { talk, screen: Screen::Plain(Mutex::new(out)) }
    }

    /// Draws on a terminal.
    pub fn live<'a>(
        names: impl IntoIterator<Item = &'a str>,
        target: ProgressDrawTarget,
        columns: Columns,
        style: Style,
    ) -> Self {
        let talk = Mutex::new(Talk::new(names, style, Detail::Lasting));
        Self { talk, screen: Screen::Live { live: Live::new(target, style), columns } }
    }

    /// Takes the moving lines off the screen while `ask` talks with the person at the terminal.
    pub fn suspend<T>(&self, ask: impl FnOnce() -> T) -> T {
        match &self.screen {
            Screen::Live { live, .. } => live.suspend(ask),
            Screen::Plain(_) => ask(),
        }
    }

    fn talk(&self) -> MutexGuard<'_, Talk> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Human {
    fn on(&self, event: &Event<'_>) {
        match &self.screen {
            Screen::Live { live, columns } => {
                let mut talk = self.talk();
                let lines = talk.lines(event, columns.now());
                live.show(event, &lines, &talk, columns.now());
            }
            Screen::Plain(out) => {
                let lines = self.talk().lines(event, COLUMNS);
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                for line in lines {
                    // Nobody listens any more: the run goes on, and its exit status still tells.
                    let _ = writeln!(out, "{line}");
                }
                let _ = out.flush();
            }
        }
    }
}

impl fmt::Debug for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Human").field("talk", &self.talk).finish_non_exhaustive()
    }
}
