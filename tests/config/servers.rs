//! Several servers against the datastore that they share.

use std::fmt::Write as _;

use super::{LEAST, refused, replaced, said, valid};
use insta::assert_snapshot;
use oceanid::cluster::Datastore;

/// The least that is valid with `count` servers and `lines` in `[k3s]`.
fn servers(count: usize, lines: &str) -> String {
    let mut more = String::new();
    for number in 2..=count {
        let node = format!("name = \"node{number}\"\naddress = \"192.0.2.{number}\"");
        writeln!(more, "[[node]]\n{node}\nrole = \"server\"\nsite = \"rack\"")
            .expect("a string takes text");
    }
    let first = if count > 1 { "site = \"rack\"\n" } else { "" };
    replaced("[[node]]", &format!("{lines}[[node]]")) + first + &more
}

#[test]
fn an_even_number_of_servers_is_a_warning_and_an_odd_one_is_not() {
    for count in [1, 3, 5] {
        assert_eq!(said(&servers(count, "")), "", "{count} servers");
    }
    valid(&servers(2, ""));
    assert_snapshot!(said(&servers(2, "")) + "\n\n" + &said(&servers(4, "")));
}

#[test]
fn only_etcd_is_for_several_servers() {
    let database = "datastore = { env = \"DATASTORE\" }\n";
    let said = refused([
        ("sqlite", servers(3, "datastore = \"sqlite\"\n")),
        ("database", servers(2, database)),
        ("literal", servers(1, "datastore = \"postgres://u:hunter2@h/d\"\n")),
        ("ours", servers(1, "server = { cluster-init = true }\n")),
        ("unknown", servers(1, "datastore = \"etdc\"\n")),
    ]);
    assert!(!said.contains("hunter2"), "{said}");
    assert_snapshot!(said);
    assert_eq!(valid(&servers(1, "datastore = \"sqlite\"\n")).k3s.datastore, Datastore::Sqlite);
    assert!(matches!(valid(&servers(1, database)).k3s.datastore, Datastore::External(_)));
    assert_eq!(valid(LEAST).k3s.datastore, Datastore::Etcd);
}
