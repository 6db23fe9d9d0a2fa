//! What of a server's state can be seen from outside, and what of it stays without being named.

use crate::ground::{Host, Role, server};

const FOLDER: &str = "/var/lib/rancher/k3s/server";

/// facts 1.5, 1.10: embedded etcd has a folder of its own, `SQLite` one file.
#[test]
fn the_datastore_shows_in_its_folder() {
    let etcd = server("cluster-init: true\n");
    etcd.must(&format!("test -d {FOLDER}/db/etcd"));
    etcd.must(&format!("test ! -e {FOLDER}/cred/encryption-config.json"));
    let sqlite = server("");
    sqlite.must(&format!("test -e {FOLDER}/db/state.db && test ! -e {FOLDER}/db/etcd"));
}

/// facts 1.7: the token is kept in the data folder; a server that names none goes on with it.
#[test]
fn a_token_that_is_no_longer_named_stays() {
    let mut host = Host::new("tethys");
    host.configure("cluster-init: true\ntoken: named-at-first\n");
    host.start(Role::Server);
    host.ready();
    let token = host.must(&format!("cat {FOLDER}/token"));
    assert!(token.trim().ends_with("::server:named-at-first"), "{token}");
    host.stop();
    host.configure("cluster-init: true\n");
    host.start(Role::Server);
    host.ready();
    assert_eq!(host.must(&format!("cat {FOLDER}/token")), token);
}
