//! A condition that comes true by itself, within a deadline.

use std::time::Duration;

use super::output;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::{Script, quote};

/// A condition that the host reaches by itself; the deadline ends in a diagnosis.
#[derive(Debug)]
pub struct Wait {
    subject: String,
    test: String,
    limit: Duration,
    diagnosis: String,
}

impl Wait {
    /// Waits until `test` succeeds; what it prints on failure is what is shown while waiting.
    pub fn until(subject: impl Into<String>, test: impl Into<String>, limit: Duration) -> Self {
        Self { subject: subject.into(), test: test.into(), limit, diagnosis: String::new() }
    }

    /// Sets the read-only script that explains a missed deadline.
    #[must_use]
    pub fn diagnosis(mut self, script: impl Into<String>) -> Self {
        self.diagnosis = script.into();
        self
    }
}

impl Action for Wait {
    fn subject(&self) -> String {
        self.subject.clone()
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(self.test.clone())]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let seen = output(seen, 0)?;
        if seen.status == 0 {
            return Ok(None);
        }
        let now = seen.stdout.lines().last().unwrap_or("not yet").trim();
        let limit = self.limit.as_secs();
        let text = format!(
            "limit=$(( $(date +%s) + {limit} ))\n\
             until last=$(/bin/sh -c {test} 2>&1); do\n\
             left=$(( limit - $(date +%s) ))\n\
             if [ \"$left\" -le 0 ]; then\n\
             printf 'after %s s: %s\\n' {limit} \"$last\" >&2\n( {diagnosis}\n) >&2 || :\nexit 1\nfi\n\
             progress \"waiting for \"{subject}\", $left s left: ${{last##*\n}}\"\nsleep 0.5\ndone\n",
            test = quote(&format!("set -eu\n{}", self.test)),
            diagnosis = if self.diagnosis.is_empty() { ":" } else { &self.diagnosis },
            subject = quote(&self.subject),
        );
        Ok(Some(Change {
            summary: format!("wait up to {limit} s (now: {now})"),
            diff: None,
            apply: Script::new(text).deadline(self.limit + Duration::from_secs(30)),
            undo: Undo::Never,
        }))
    }
}
