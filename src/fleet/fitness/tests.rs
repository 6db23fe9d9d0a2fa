//! Every fault, from facts as a host says them.

use std::fmt::Write as _;

use super::{Fault, beyond_routes, doubt, faults};
use crate::cluster::{Cluster, minor};
use crate::facts::{self, Facts};
use crate::remote::Output;

/// A cluster of two; `k3s` is added to its section, `node` to its server.
fn cluster(k3s: &str, node: &str) -> Cluster {
    let text = format!(
        "[cluster]\nname = \"lab\"\n[k3s]\nversion = \"v1.36.3+k3s1\"\n{k3s}\n[[node]]\nname = \"one\"\n\
         role = \"server\"\naddress = \"192.0.2.1\"\n{node}\n[[node]]\nname = \"two\"\nrole = \"agent\"\n\
         address = \"192.0.2.2\"\n"
    );
    crate::config::parse("cluster.toml", &text).expect("a valid file").cluster
}

/// A host with `WireGuard` and cgroups of version 2; `more` is said besides.
fn host(addresses: &[&str], more: &str) -> Facts {
    let mut said = format!(
        "fact clock 1.5\nfact os debian\nfact machine x86_64\nfact kernel 6.1.0\nfact hostname x\n\
         fact machine-id 0123\nfact cpus 2\nfact memory 2000000\nfact disk-free 9000000 4096\n\
         fact default-interface eth0\n{more}"
    );
    for (index, address) in addresses.iter().enumerate() {
        let _ = writeln!(said, "{}: {address} brd 0 scope global", index + 1);
    }
    facts::read(&Output { stdout: said, ..Output::default() }, 1.5).expect("whole facts")
}

const GOOD: &str = "fact has-wireguard yes\nfact cgroups cpu memory\n";
const ETH0: &[&str] = &["eth0 inet 192.0.2.1/24"];

fn said(cluster: &Cluster, facts: &Facts) -> Vec<String> {
    let faults = faults(cluster, &cluster.hosts[0], facts);
    faults.into_iter().map(|Fault { what, hint, .. }| format!("{what} ({hint})")).collect()
}

#[track_caller]
fn refused(k3s: &str, node: &str, facts: &Facts, text: &str) {
    let all = said(&cluster(k3s, node), facts);
    assert!(all.len() == 1 && all[0].contains(text), "not `{text}`: {all:?}");
}

#[test]
fn a_good_host_has_no_fault() {
    assert_eq!(said(&cluster("", ""), &host(ETH0, GOOD)), [""; 0]);
    let clouds = host(
        &["ens3 inet 10.0.0.5/24", "cni0 inet 10.42.0.1/24", "flannel-wg inet 10.42.0.0/32"],
        GOOD,
    );
    let mapped = cluster("", "external-ip = \"203.0.113.9\"\nnode-ip = \"10.0.0.5\"\n");
    assert_eq!(said(&mapped, &clouds), [""; 0], "a public address need not be on an interface");
    assert_eq!(
        said(&cluster("", "node-ip = \"10.0.0.5\"\n"), &host(&[], GOOD)),
        [""; 0],
        "no `ip` there"
    );
}

#[test]
fn networks_of_hosts_do_not_overlap_those_of_the_cluster() {
    for (own, text) in [
        (
            "eth0 inet 10.42.7.1/24",
            "`eth0` is in 10.42.7.0/24, which overlaps `pod-cidr` 10.42.0.0/16",
        ),
        ("eth0 inet 10.43.0.9/32", "overlaps `service-cidr` 10.43.0.0/16"),
    ] {
        refused("", "", &host(&[own], GOOD), text);
    }
    let all = said(&cluster("", ""), &host(&["wg0 inet 10.1.2.3/8"], GOOD));
    assert_eq!(all.len(), 2, "a wide network overlaps both: {all:?}");
}

#[test]
fn interface_and_node_ip_are_what_the_host_has() {
    let two = host(&["eth0 inet 192.0.2.1/24", "eth1 inet 10.0.0.5/24"], GOOD);
    refused(
        "",
        "interface = \"eth2\"\n",
        &two,
        "no interface `eth2` with an address is there (it has 192.0.2.1 on eth0, 10.0.0.5 on eth1)",
    );
    refused("", "node-ip = \"10.0.0.6\"\n", &two, "no interface has the `node-ip` 10.0.0.6");
    refused(
        "",
        "node-ip = \"10.0.0.5\"\ninterface = \"eth0\"\n",
        &two,
        "the `node-ip` 10.0.0.5 is on `eth1`, not on the `interface` `eth0`",
    );
    let right = cluster("", "node-ip = \"10.0.0.5\"\ninterface = \"eth1\"\n");
    assert_eq!(said(&right, &two), [""; 0]);
}

#[test]
fn without_wireguard_there_is_no_encrypted_network() {
    let bare = host(ETH0, "fact cgroups memory\n");
    refused("", "", &bare, "its kernel 6.1.0 has no WireGuard");
    assert_eq!(said(&cluster("flannel-backend = \"vxlan\"", ""), &bare), [""; 0]);
    let inside = host(ETH0, "fact cgroups memory\nfact container yes\n");
    assert_eq!(said(&cluster("", ""), &inside), [""; 0]);
    assert!(doubt(&cluster("", ""), &inside).is_some());
    assert!(doubt(&cluster("", ""), &host(ETH0, GOOD)).is_none());
}

#[test]
fn old_cgroups_are_refused_where_kubernetes_refuses_them() {
    let old = host(ETH0, "fact has-wireguard yes\nfact cgroups v1\n");
    refused("", "", &old, "it has cgroups of version 1, and k3s v1.36.3+k3s1 wants version 2");
    let told = "server = { kubelet-arg = [\"fail-cgroupv1=false\"] }";
    assert_eq!(said(&cluster(told, ""), &old), [""; 0]);
    let mut earlier = cluster("", "");
    earlier.k3s.version = String::from("v1.34.9+k3s1");
    assert_eq!(said(&earlier, &old), [""; 0]);
    assert_eq!([minor("v1.35"), minor("stable")], [Some(35), None]);
}

#[test]
fn an_existing_cluster_keeps_its_datastore_and_its_encryption() {
    let sqlite = "datastore = \"sqlite\"";
    for (k3s, kept, text) in [
        ("", "sqlite", "its cluster runs on sqlite; cluster.toml says `datastore = \"etcd\"`"),
        (
            sqlite,
            "etcd",
            "its cluster runs on embedded etcd; cluster.toml says `datastore = \"sqlite\"`",
        ),
        ("datastore = { env = \"DB\" }", "etcd", "an external database"),
    ] {
        refused(k3s, "", &host(ETH0, &format!("{GOOD}fact kept {kept}\n")), text);
    }
    let begun = |kept: &str| {
        host(ETH0, &format!("{GOOD}fact kept etcd\n{kept}fact join-token K10c::server:x\n"))
    };
    let on = "fact kept encrypted\n";
    refused(
        "",
        "",
        &begun(""),
        "began without encryption of secrets, which k3s cannot add later (set `secrets-encryption = false`",
    );
    refused(
        "secrets-encryption = false",
        "",
        &begun(on),
        "are encrypted, and k3s could not read them",
    );
    assert_eq!(said(&cluster("", ""), &begun(on)), [""; 0]);
    let migrated = host(ETH0, &format!("{GOOD}fact kept etcd\nfact kept sqlite\n"));
    assert_eq!(
        said(&cluster("", ""), &migrated),
        [""; 0],
        "etcd goes first, and nothing has begun"
    );
}

#[test]
fn plain_routes_need_one_network() {
    let routed = cluster("flannel-backend = \"host-gw\"", "");
    let hosts = (&routed.hosts[0], &routed.hosts[1]);
    let one = host(ETH0, GOOD);
    let near = host(&["eth0 inet 192.0.2.2/24"], GOOD);
    let far = host(&["eth0 inet 198.51.100.2/24"], GOOD);
    assert_eq!(beyond_routes(&routed, (hosts.0, &one), (hosts.1, &near)), None);
    let fault = beyond_routes(&routed, (hosts.0, &one), (hosts.1, &far)).expect("a fault");
    assert!(fault.what.contains("this is in 192.0.2.0/24, `two` has 198.51.100.2"), "{fault:?}");
    let encrypted = cluster("", "");
    assert_eq!(beyond_routes(&encrypted, (hosts.0, &one), (hosts.1, &far)), None);
}
