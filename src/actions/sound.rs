//! What must be right before a unit is started, by the verdict of a script that only reads.

use super::output;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::Script;

/// What nobody but the operator can put right: a plan says what is wrong, and the step does not go past it.
#[derive(Debug, Clone)]
pub struct Sound {
    subject: String,
    test: String,
}

impl Sound {
    /// Goes on only if the read-only script `test` succeeds; what it prints otherwise is what is wrong.
    pub fn that(subject: impl Into<String>, test: impl Into<String>) -> Self {
        Self { subject: subject.into(), test: test.into() }
    }
}

impl Action for Sound {
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
        let mut lines = seen.stdout.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or("it does not say why");
        let more = match lines.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        Ok(Some(Change {
            summary: format!("not as it must be: {first}{more}"),
            diff: None,
            apply: Script::new(format!("( {}\n) >&2\n", self.test)),
            undo: Undo::Never,
        }))
    }
}
