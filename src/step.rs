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
    actions: Vec<Box<dyn Action>>,
}

impl Step {
    /// Makes a step that requires nothing yet.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, guard: None, actions: Vec::new() }
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
