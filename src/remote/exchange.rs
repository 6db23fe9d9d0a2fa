//! What comes back from a host, taken apart at the marks while it arrives.

use super::privilege::Marks;
use super::{Output, Progress};
use crate::script::PROGRESS_MARK;

/// One run of one script, as far as it has been heard.
pub struct Exchange<'a> {
    stdout: Stream,
    stderr: Stream,
    entered: String,
    lines: Lines<'a>,
    exit: Option<i32>,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Login shell and sudo are at work.
    Entering,
    /// sudo has asked a second time: the password was wrong.
    Refused,
    /// The script runs as root.
    Running,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The script ran.
    Ran(Output),
    /// The login shell ran our text, but the script did not run as root.
    NotRoot {
        /// What sudo said.
        reason: String,
    },
    /// The host did not run our text.
    NotRun {
        /// What it said instead.
        said: String,
    },
}

struct Lines<'a> {
    pending: Vec<u8>,
    kept: Vec<u8>,
    progress: &'a Progress<'a>,
}

#[derive(Default)]
struct Stream {
    begin: Vec<u8>,
    end: Vec<u8>,
    before: Vec<u8>,
    began: bool,
    after: Vec<u8>,
    status: Option<i32>,
}

impl<'a> Exchange<'a> {
    /// Listens for `marks`; hands progress lines to `progress`.
    #[must_use]
    pub fn new(marks: &Marks, progress: &'a Progress<'a>) -> Self {
        let stream = || Stream {
            begin: marks.begin().into_bytes(),
            end: marks.end().into_bytes(),
            ..Stream::default()
        };
        let lines = Lines { pending: Vec::new(), kept: Vec::new(), progress };
        Self { stdout: stream(), stderr: stream(), entered: marks.entered(), lines, exit: None }
    }

    /// Takes bytes of stdout.
    pub fn stdout(&mut self, bytes: &[u8]) {
        self.stdout.push(bytes);
    }

    /// Takes bytes of stderr.
    pub fn stderr(&mut self, bytes: &[u8]) {
        let seen = self.stderr.after.len();
        self.stderr.push(bytes);
        if self.stderr.began {
            let ready = self.stderr.take_lines(seen);
            self.lines.push(&ready);
        }
    }

    /// Takes the exit status that the transport reports.
    pub fn exit(&mut self, status: i32) {
        self.exit = Some(status);
    }

    /// Tells how far the run has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        if self.stdout.began {
            Stage::Running
        } else if self.sudo_said().is_some_and(|text| text.contains("Sorry, try again")) {
            Stage::Refused
        } else {
            Stage::Entering
        }
    }

    /// Tells whether both streams have shown the end mark.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.stdout.status.is_some() && self.stderr.status.is_some()
    }

    /// Tells whether anything says how the run ended.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.stdout.status.is_some() || self.exit.is_some()
    }

    /// Puts together what was heard.
    #[must_use]
    pub fn outcome(mut self) -> Outcome {
        if !self.stdout.began {
            let Some(reason) = self.sudo_said() else {
                let said = [self.stdout.before, self.stderr.before].concat();
                return Outcome::NotRun { said: String::from_utf8_lossy(&said).trim().to_owned() };
            };
            return Outcome::NotRoot { reason };
        }
        let rest = std::mem::take(&mut self.stderr.after);
        self.lines.push(&rest);
        Outcome::Ran(Output {
            status: self.stdout.status.or(self.exit).unwrap_or(-1),
            stdout: text(self.stdout.after),
            stderr: text(self.lines.finish()),
        })
    }

    /// What stands on stderr between our entry and the script or the end.
    fn sudo_said(&self) -> Option<String> {
        let before = String::from_utf8_lossy(&self.stderr.before);
        let (_, said) = before.split_once(&self.entered)?;
        // The rest of the first line is the user id.
        let (_, said) = said.split_once('\n')?;
        Some(said.trim().to_owned())
    }
}

impl Stream {
    fn push(&mut self, bytes: &[u8]) {
        if self.status.is_some() {
            return;
        }
        if self.began {
            let from = self.after.len().saturating_sub(self.end.len() + 12);
            self.after.extend_from_slice(bytes);
            self.look_for_end(from);
            return;
        }
        let from = self.before.len().saturating_sub(self.begin.len());
        self.before.extend_from_slice(bytes);
        if let Some(at) = find(&self.before, &self.begin, from) {
            self.after = self.before.split_off(at + self.begin.len());
            self.before.truncate(at);
            self.began = true;
            self.look_for_end(0);
        } else if let Some(at) = find(&self.before, &self.end, from) {
            // The end without a begin: sudo let nobody in.
            if let Some(status) = status(&self.before, at + self.end.len()) {
                self.status = Some(status);
                self.before.truncate(at);
            }
        }
    }

    fn look_for_end(&mut self, from: usize) {
        let Some(at) = find(&self.after, &self.end, from) else { return };
        if let Some(status) = status(&self.after, at + self.end.len()) {
            self.status = Some(status);
            self.after.truncate(at);
        }
    }

    /// Takes the complete lines; none ends before `seen`. A part of the end mark stays: the mark
    /// holds no line break before its own last character.
    fn take_lines(&mut self, seen: usize) -> Vec<u8> {
        let fresh = self.after.get(seen..).unwrap_or_default();
        let Some(newline) = fresh.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let rest = self.after.split_off(seen + newline + 1);
        std::mem::replace(&mut self.after, rest)
    }
}

impl Lines<'_> {
    fn push(&mut self, bytes: &[u8]) {
        let mut text = std::mem::take(&mut self.pending);
        text.extend_from_slice(bytes);
        let complete = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.pending = text.split_off(complete);
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            self.line(line);
        }
    }

    fn line(&mut self, line: &[u8]) {
        match line.strip_prefix(PROGRESS_MARK.as_bytes()) {
            Some(said) => (self.progress)(String::from_utf8_lossy(said).trim_end()),
            None => self.kept.extend_from_slice(line),
        }
    }

    fn finish(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.pending);
        self.line(&rest);
        std::mem::take(&mut self.kept)
    }
}

fn find(text: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let tail = text.get(from..)?;
    tail.windows(wanted.len()).position(|window| window == wanted).map(|at| from + at)
}

fn status(text: &[u8], from: usize) -> Option<i32> {
    let tail = text.get(from..)?;
    let newline = tail.iter().position(|byte| *byte == b'\n')?;
    std::str::from_utf8(tail.get(..newline)?).ok()?.trim().parse().ok()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
