//! What a run tells while it goes on: events, and the observers that show them.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Planned;

pub use exit::{Exit, exit_code};
pub use failure::{Failure, failure};
pub use human::{Columns, Human};
pub use json::Json;
pub use kind::Kind;
pub use path::path;
pub use plan::{Diffs, HostPlan, notes, plan};
pub use status::status;
pub use text::Style;

pub mod diagnosis;
mod exit;
mod failure;
mod hint;
pub mod human;
pub mod json;
mod kind;
mod live;
mod path;
mod plan;
mod status;
mod talk;
mod text;
mod throttle;

/// Hears everything that happens in a run, in order for each host.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn on(&self, event: &Event<'_>);
}

impl<O: Observer + ?Sized> Observer for &O {
    fn on(&self, event: &Event<'_>) {
        (**self).on(event);
    }
}

impl<O: Observer + ?Sized> Observer for Box<O> {
    fn on(&self, event: &Event<'_>) {
        (**self).on(event);
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn on(&self, event: &Event<'_>) {
        (**self).on(event);
    }
}

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A host is being reached.
    Connecting {
        /// The host's name.
        host: &'a str,
        /// The last error, while a refused connection is tried again.
        waiting: Option<&'a str>,
        /// Since the first try.
        elapsed: Duration,
        /// How long it is tried in all.
        limit: Duration,
    },
    /// We are in.
    Connected {
        /// The host's name.
        host: &'a str,
    },
    /// The plan for a host is known.
    Planned {
        /// The host's name.
        host: &'a str,
        /// What would be changed, in order.
        changes: &'a [Planned],
        /// What is worth knowing although it is left alone.
        notes: &'a [String],
    },
    /// A change is about to be made.
    ChangeStarted {
        /// The host's name.
        host: &'a str,
        /// The step's name.
        step: &'a str,
        /// The thing that is changed.
        subject: &'a str,
        /// What changes, in a few words.
        summary: &'a str,
    },
    /// A running change tells how far it is.
    Progress {
        /// The host's name.
        host: &'a str,
        /// What the script said.
        text: &'a str,
    },
    /// A change was made.
    ChangeDone {
        /// The host's name.
        host: &'a str,
        /// The step's name.
        step: &'a str,
        /// The thing that was changed.
        subject: &'a str,
        /// What changed, in a few words.
        summary: &'a str,
        /// How long it took.
        took: Duration,
    },
    /// Something worth knowing that stops nothing.
    Warning {
        /// The host that it is about, if it is about one.
        host: Option<&'a str>,
        /// What is worth knowing.
        text: &'a str,
    },
    /// A host has everything that was asked.
    HostDone {
        /// The host's name.
        host: &'a str,
        /// How many changes were made.
        changes: usize,
    },
    /// A host could not be brought there.
    HostFailed {
        /// The host's name.
        host: &'a str,
        /// Why not.
        error: &'a anyhow::Error,
    },
    /// A host was not tried because others before it failed or the run was interrupted.
    HostSkipped {
        /// The host's name.
        host: &'a str,
        /// Why not.
        reason: &'a str,
    },
    /// The run is over.
    Finished {
        /// What it came to.
        totals: &'a Totals,
    },
}

/// What a whole run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Whether changes were made or only foreseen.
    pub deed: Deed,
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

/// What a run does with the changes that it finds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Deed {
    /// It makes them.
    #[default]
    Apply,
    /// It only shows them.
    Plan,
}
