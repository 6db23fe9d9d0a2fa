//! Who can reach whom, as far as cluster.toml tells: NAT, sites, and what pod traffic needs.

use std::ops::Range;

use super::file::{BuiltIn, DatastoreKind, File, FlannelBackend, NodeSection};
use super::finding::{Finding, Findings};
use super::written::Written;
use crate::cluster::{Host, Role};

/// Adds what is wrong or doubtful.
pub fn check(file: &File, hosts: &[Host], out: &mut Findings) {
    let nodes: Vec<Node<'_>> = hosts.iter().filter_map(|host| Node::of(host, file)).collect();
    hidden_servers(file, &nodes, out);
    hidden_pair(file, &nodes, out);
    hidden_by_backend(file, &nodes, out);
    forwarded(&nodes, out);
    servers_apart(file, &nodes, out);
    nodes_apart(file, &nodes, out);
}

/// A node as meant and as written.
struct Node<'a> {
    host: &'a Host,
    section: &'a NodeSection,
}

impl<'a> Node<'a> {
    fn of(host: &'a Host, file: &'a File) -> Option<Self> {
        let own = |node: &&NodeSection| node.name.as_deref().is_some_and(|name| *name == host.name);
        file.node.iter().find(own).map(|section| Self { host, section })
    }

    /// Where it is said, or follows, that the node is behind NAT.
    fn nat(&self) -> Range<usize> {
        let span = |text: &Option<Written<String>>| text.as_ref().map(Written::span);
        let said = self.section.behind_nat.as_ref().map(Written::span);
        said.or_else(|| span(&self.section.address)).unwrap_or_default()
    }

    fn site(&self) -> Range<usize> {
        self.section.site.as_ref().map(Written::span).unwrap_or_default()
    }

    /// Whether both are said to be at the same place.
    fn is_beside(&self, other: &Self) -> bool {
        self.host.site.is_some() && self.host.site == other.host.site
    }

    /// Whether both are said to be at different places.
    fn is_apart_from(&self, other: &Self) -> bool {
        let known = self.host.site.is_some() && other.host.site.is_some();
        known && self.host.site != other.host.site
    }
}

/// Agents, kubelets and etcd open connections to a server.
fn hidden_servers(file: &File, nodes: &[Node<'_>], out: &mut Findings) {
    for server in nodes.iter().filter(|node| node.host.role == Role::Server) {
        let other = |node: &&Node<'_>| node.host.name != server.host.name;
        let elsewhere = nodes.iter().filter(other).find(|node| !node.is_beside(server));
        let (true, Some(elsewhere)) = (server.host.behind_nat, elsewhere) else { continue };
        let (name, other) = (&server.host.name, &elsewhere.host.name);
        let title = format!("the server `{name}` is behind NAT, where `{other}` cannot reach it");
        // A forwarded port is known to nobody else than the operator.
        if file.k3s.endpoint.is_some() {
            let hint = "`k3s.endpoint` must lead to its port 6443, and pod traffic to it as well";
            out.push(Finding::warning(server.nat(), title).hint(hint));
        } else {
            let hint = "nodes that share a network have the same `site`; or make a public node the \
                        server, or forward its ports and set `k3s.endpoint`";
            out.push(Finding::error(server.nat(), title).hint(hint));
        }
    }
}

/// Two nodes that nobody can open a connection to never find each other.
fn hidden_pair(file: &File, nodes: &[Node<'_>], out: &mut Findings) {
    if *file.k3s.flannel_backend.value() == FlannelBackend::None {
        return;
    }
    let hidden: Vec<&Node<'_>> = nodes.iter().filter(|node| node.host.behind_nat).collect();
    for (index, node) in hidden.iter().enumerate() {
        let Some(other) = hidden.iter().take(index).find(|other| !other.is_beside(node)) else {
            continue;
        };
        let title = format!(
            "pods of `{}` and `{}` will never reach each other: both are behind NAT",
            other.host.name, node.host.name
        );
        let hint = "nodes that share a network have the same `site`";
        let finding = Finding::warning(node.nat(), title).hint(hint);
        out.push(finding.also(other.nat(), "the other one"));
    }
}

/// Only `WireGuard` keeps a way through NAT open.
fn hidden_by_backend(file: &File, nodes: &[Node<'_>], out: &mut Findings) {
    let backend = &file.k3s.flannel_backend;
    let plain = [FlannelBackend::Vxlan, FlannelBackend::HostGw];
    if !plain.contains(backend.value()) {
        return;
    }
    let Some(first) = nodes.first() else { return };
    let hidden = nodes.iter().find(|node| node.host.behind_nat && !node.is_beside(first));
    let Some(hidden) = hidden else { return };
    let title = format!(
        "pods of `{}` will not reach those of other nodes: it is behind NAT",
        hidden.host.name
    );
    let hint = "`wireguard-native` keeps a way through NAT open";
    out.push(Finding::warning(backend.span(), title).hint(hint));
}

/// A public address that belongs to the router.
fn forwarded(nodes: &[Node<'_>], out: &mut Findings) {
    for node in nodes.iter().filter(|node| node.host.behind_nat) {
        let Some(external) = &node.section.external_ip else { continue };
        let title = format!(
            "`{}` is behind NAT and has an `external-ip`: others send its pods' traffic there",
            node.host.name
        );
        let hint = "leave it out unless UDP 51820 of that address is forwarded to the node";
        out.push(Finding::warning(external.span(), title).hint(hint));
    }
}

/// etcd waits for the slowest line between its members with every write.
fn servers_apart(file: &File, nodes: &[Node<'_>], out: &mut Findings) {
    let etcd = DatastoreKind::BuiltIn(BuiltIn::Etcd);
    if *file.k3s.servers_apart.value() || *file.k3s.datastore.value() != etcd {
        return;
    }
    let mut servers = nodes.iter().filter(|node| node.host.role == Role::Server);
    let Some(first) = servers.next() else { return };
    let Some(other) = servers.find(|server| server.is_apart_from(first)) else { return };
    let title = format!(
        "the servers `{}` and `{}` are at different sites",
        first.host.name, other.host.name
    );
    let hint = "etcd wants its servers close together; `servers-apart = true` in `[k3s]` if you \
                know better";
    let finding = Finding::error(other.site(), title).hint(hint);
    out.push(finding.also(first.site(), "the other site"));
}

/// Plain routes end at the first router.
fn nodes_apart(file: &File, nodes: &[Node<'_>], out: &mut Findings) {
    let backend = &file.k3s.flannel_backend;
    if *backend.value() != FlannelBackend::HostGw {
        return;
    }
    let pair = nodes.iter().enumerate().find_map(|(index, node)| {
        let other = nodes.iter().take(index).find(|other| other.is_apart_from(node))?;
        Some((other, node))
    });
    let Some((other, node)) = pair else { return };
    let title = format!(
        "`host-gw` needs every node on one network; `{}` and `{}` are at different sites",
        other.host.name, node.host.name
    );
    let hint = "`wireguard-native` is for nodes at different places";
    out.push(Finding::error(backend.span(), title).hint(hint).also(node.site(), "another site"));
}
