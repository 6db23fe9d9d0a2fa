//! Several servers: what they can share, and what their number is good for.

use super::file::{BuiltIn, DatastoreKind, File, NodeSection};
use super::finding::{Finding, Findings};
use super::written::Written;
use crate::cluster::Role;

/// Checks the number of servers against the datastore.
pub fn check(file: &File, out: &mut Findings) {
    let servers: Vec<&NodeSection> = file
        .node
        .iter()
        .filter(|node| node.role.as_ref().map(Written::value) == Some(&Role::Server))
        .collect();
    let count = servers.len();
    let Some(last) = servers.last().and_then(|node| node.role.as_ref()) else { return };
    if count == 1 {
        return;
    }
    let datastore = &file.k3s.datastore;
    match datastore.value() {
        DatastoreKind::BuiltIn(BuiltIn::Etcd) if count.is_multiple_of(2) => {
            let spared = count / 2 - 1;
            let title = format!(
                "with {count} servers etcd outlives the loss of {spared}, no more than with {}",
                count - 1
            );
            let hint = "etcd needs a majority: take an odd number of servers";
            out.push(Finding::warning(last.span(), title).hint(hint));
        }
        DatastoreKind::BuiltIn(BuiltIn::Etcd) => {}
        DatastoreKind::BuiltIn(BuiltIn::Sqlite) => {
            let title = format!("sqlite is a file on one server, but there are {count} servers");
            let hint = "`datastore = \"etcd\"` is for several servers";
            out.push(Finding::error(datastore.span(), title).hint(hint));
        }
        DatastoreKind::External(_) => {
            let title = format!("oceanid sets up one server with a database, not {count}");
            let hint = "`datastore = \"etcd\"` is for several servers, and needs no database";
            out.push(Finding::error(datastore.span(), title).hint(hint));
        }
    }
}
