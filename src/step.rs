//! A named list of what must be true on a host, in the order in which it happens.

use std::time::Duration;

use crate::action::Action;

/// One step on one host.
#[derive(Debug)]
pub struct Step {
    /// The name that `--only` takes.
    pub name: &'static str,
    /// How long the host waits for us to come back before it undoes this step by itself.
    pub guard: Option<Duration>,
    /// What must still work before the guard lets go: a read-only script that says on its last line what does not.
    pub holds: Option<String>,
    /// What says that the step's unit is up: where it was before the step and is not after it, the step is put back.
    pub up: Option<String>,
    /// What is worth knowing about it in a plan.
    pub notes: Vec<String>,
    actions: Vec<Box<dyn Action>>,
}

impl Step {
    /// Makes a step that requires nothing yet.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, guard: None, holds: None, up: None, notes: Vec::new(), actions: Vec::new() }
    }

    /// Has the host undo this step by itself unless we log in anew within `limit` after it.
    pub fn guard(&mut self, limit: Duration) {
        self.guard = Some(limit);
    }

    /// Has the guard let go only if the read-only `script` succeeds as it did before the step.
    pub fn must_hold(&mut self, script: impl Into<String>) {
        self.holds = Some(script.into());
    }

    /// Has a failed step put back if it restarted a unit that ran; the read-only `proof` tells when that is up again.
    pub fn put_back_unless_up(&mut self, proof: impl Into<String>) {
        self.up = Some(proof.into());
    }

    /// Has plans say `text`.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Requires that `action`'s thing is true, after everything required before it.
    pub fn ensure(&mut self, action: impl Action + 'static) {
        self.actions.push(Box::new(action));
    }

    /// What this step requires, in order.
    #[must_use]
    pub fn actions(&self) -> &[Box<dyn Action>] {
        &self.actions
    }
}
