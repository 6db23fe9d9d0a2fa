//! What a run tells while it goes on: events, and the observers that show them.

use std::time::Duration;

use crate::engine::Planned;

/// Hears everything that happens in a run, in order for each host.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn on(&self, event: &Event<'_>);
}

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A host is being reached; `waiting` is the last error while a refused connection is retried.
    Connecting { host: &'a str, waiting: Option<&'a str>, elapsed: Duration, limit: Duration },
    /// We are in.
    Connected { host: &'a str },
    /// The plan for a host is known.
    Planned { host: &'a str, changes: &'a [Planned] },
    /// A change is about to be made.
    ChangeStarted { host: &'a str, step: &'a str, subject: &'a str, summary: &'a str },
    /// A running change tells how far it is.
    Progress { host: &'a str, text: &'a str },
    /// A change was made.
    ChangeDone { host: &'a str, step: &'a str, subject: &'a str, summary: &'a str, took: Duration },
    /// Something worth knowing that stops nothing.
    Warning { host: Option<&'a str>, text: &'a str },
    /// A host has everything that was asked.
    HostDone { host: &'a str, changes: usize },
    /// A host could not be brought there.
    HostFailed { host: &'a str, error: &'a anyhow::Error },
    /// A host was not tried because others before it failed or the run was interrupted.
    HostSkipped { host: &'a str, reason: &'a str },
    /// The run is over.
    Finished { totals: &'a Totals },
}

/// What a whole run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Hosts that needed nothing.
    pub unchanged: usize,
    /// Hosts on which something was (or, in a plan, would be) changed.
    pub changed: usize,
    /// Changes on all hosts.
    pub changes: usize,
    /// Hosts that failed.
    pub failed: usize,
    /// Hosts that were not tried.
    pub skipped: usize,
    /// From the first connection to the end.
    pub took: Duration,
}
