//! A first cluster.toml: from a list of addresses to a proposal in which every line has its reason.

use crate::config::{self, Invalid};

pub use additions::Additions;
pub use entry::Entry;
pub use propose::{Found, Proposal, propose};
pub use sight::Sight;

pub mod document;
pub mod sight;

mod additions;
mod entry;
mod network;
mod propose;

use crate::cluster::Cluster;

/// What `entries` come to before their hosts are looked at: how each is reached and entered.
///
/// # Errors
/// With every mistake in the entries, or in what is to be merged.
pub fn draft(entries: &[&Entry], additions: &Additions) -> Result<Cluster, Invalid> {
    let tables = additions.merge(document::draft(entries));
    config::parse(&additions.place("the draft"), &document::render(&tables))
        .map(|loaded| loaded.cluster)
}
