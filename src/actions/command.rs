//! Anything that is true by the verdict of a test and made true by a script.

use super::output;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::script::Script;

/// A command, with the test that says it is not needed.
#[derive(Debug, Clone)]
pub struct Command {
    subject: String,
    summary: String,
    unless: String,
    apply: Script,
    undo: Undo,
}

impl Command {
    /// Runs `apply` unless the read-only script `unless` succeeds.
    pub fn new(
        subject: impl Into<String>,
        summary: impl Into<String>,
        unless: impl Into<String>,
        apply: Script,
    ) -> Self {
        Self {
            subject: subject.into(),
            summary: summary.into(),
            unless: unless.into(),
            apply,
            undo: Undo::Never,
        }
    }

    /// Sets what takes the command back.
    #[must_use]
    pub fn undo(mut self, script: Script) -> Self {
        self.undo = Undo::Run(script);
        self
    }

    /// Sets what takes the command back once everything else is taken back.
    #[must_use]
    pub fn undo_last(mut self, script: Script) -> Self {
        self.undo = Undo::Last(script);
        self
    }
}

impl Action for Command {
    fn subject(&self) -> String {
        self.subject.clone()
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(self.unless.clone())]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let seen = output(seen, 0)?;
        Ok((seen.status != 0).then(|| Change {
            summary: self.summary.clone(),
            diff: None,
            apply: self.apply.clone(),
            undo: self.undo.clone(),
        }))
    }
}
