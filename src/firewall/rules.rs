//! The one generator of rules: what a host must let in, from cluster.toml and its facts alone.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Rule, jump_addresses};
use crate::cluster::{Cluster, Host, Role};
use crate::facts::Facts;

/// What a host must let in.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Every rule, in the order in which they are added.
    pub rules: Vec<Rule>,
    /// What is open wider than anybody would like, and why.
    pub notes: Vec<String>,
}

/// What `host` must let in.
#[must_use]
pub fn wanted(cluster: &Cluster, host: &Host, facts: &Facts) -> Wanted {
    let site = Site { cluster, host, facts };
    let mut wanted = Wanted::default();
    site.ssh(&mut wanted);
    site.api(&mut wanted);
    site.etcd(&mut wanted);
    site.kubelet(&mut wanted);
    site.between_nodes(&mut wanted);
    wanted.let_in("any", "any", [cluster.k3s.pod_cidr], "pods");
    wanted.let_in("any", "any", [cluster.k3s.service_cidr], "services");
    wanted
}

/// One host among the others.
struct Site<'a> {
    cluster: &'a Cluster,
    host: &'a Host,
    facts: &'a Facts,
}

impl Site<'_> {
    fn ssh(&self, wanted: &mut Wanted) {
        let mut ports: Vec<u16> = self.facts.sshd.ports().chain(self.facts.login.port).collect();
        ports.sort_unstable();
        ports.dedup();
        if ports.is_empty() {
            ports.push(22);
        }
        for port in ports.iter().map(ToString::to_string) {
            if self.host.harden.admin_networks.is_empty() {
                wanted.open(&port, "tcp", "ssh");
                continue;
            }
            wanted.let_in(&port, "tcp", self.admins(), "ssh");
            let jumps = jump_addresses(self.cluster, self.host);
            wanted.let_in(&port, "tcp", single(jumps), "ssh through a node");
        }
    }

    fn api(&self, wanted: &mut Wanted) {
        if self.host.role != Role::Server {
            return;
        }
        let hidden = self.hidden(|peer| peer.role == Role::Agent);
        if !hidden.is_empty() {
            wanted.open("6443", "tcp", "api");
            wanted.notes.push(open_because("6443/tcp (the API)", &hidden));
            return;
        }
        wanted.let_in("6443", "tcp", single(self.known()), "api");
        wanted.let_in("6443", "tcp", single(self.own_outside()), "api");
        wanted.let_in("6443", "tcp", self.admins(), "api");
        if self.host.harden.admin_networks.is_empty() {
            wanted.let_in("6443", "tcp", single(self.facts.login.operator()), "api");
        }
    }

    fn etcd(&self, wanted: &mut Wanted) {
        if self.host.role == Role::Server {
            let servers = self.peers().filter(|peer| peer.role == Role::Server);
            wanted.let_in("2379:2380", "tcp", single(servers.flat_map(Host::addresses)), "etcd");
        }
    }

    fn kubelet(&self, wanted: &mut Wanted) {
        wanted.let_in("10250", "tcp", single(self.known()), "kubelet");
    }

    /// Pod traffic from node to node. The word flannel stays out: k3s' scripts take it for their own.
    fn between_nodes(&self, wanted: &mut Wanted) {
        let why = "pods between nodes";
        match self.cluster.k3s.flannel_backend.as_str() {
            "vxlan" => wanted.let_in("8472", "udp", single(self.known()), why),
            "wireguard-native" => {
                let v6 = self.cluster.k3s.pod_cidr.addr().is_ipv6();
                let hidden = self.hidden(|_| true);
                for port in ["51820", "51821"].into_iter().take(if v6 { 2 } else { 1 }) {
                    if hidden.is_empty() {
                        wanted.let_in(port, "udp", single(self.known()), why);
                    } else {
                        wanted.open(port, "udp", why);
                        let port = format!("{port}/udp (WireGuard, encrypted)");
                        wanted.notes.push(open_because(&port, &hidden));
                    }
                }
            }
            _ => {}
        }
    }

    fn peers(&self) -> impl Iterator<Item = &Host> {
        self.cluster.hosts.iter().filter(|peer| peer.name != self.host.name)
    }

    /// Whether packets of `peer` come from an address that cluster.toml does not know.
    fn is_hidden(&self, peer: &Host) -> bool {
        peer.behind_nat && !self.host.behind_nat
    }

    /// The names of the nodes that are `wanted` and come from unknown addresses.
    fn hidden(&self, wanted: impl Fn(&Host) -> bool) -> Vec<&str> {
        let hidden = self.peers().filter(|peer| self.is_hidden(peer) && wanted(peer));
        hidden.map(|peer| peer.name.as_str()).collect()
    }

    /// The addresses of the other nodes, where they are known.
    fn known(&self) -> impl Iterator<Item = IpAddr> {
        self.peers().filter(|peer| !self.is_hidden(peer)).flat_map(Host::addresses)
    }

    /// An outside address that is on none of its interfaces: its own packets come back through the provider's NAT.
    fn own_outside(&self) -> Option<IpAddr> {
        let address = self.host.external_ip?;
        let own = self.facts.addresses.iter().filter_map(|line| line.split_whitespace().nth(1));
        let mut own = own.filter_map(|network| network.parse::<IpNet>().ok());
        own.all(|network| network.addr() != address).then_some(address)
    }

    fn admins(&self) -> impl Iterator<Item = IpNet> {
        self.host.harden.admin_networks.iter().copied().flat_map(halves)
    }
}

impl Wanted {
    fn open(&mut self, port: &str, protocol: &str, why: &str) {
        self.add(Rule::allow(port, protocol, None, why));
    }

    fn let_in(
        &mut self,
        port: &str,
        protocol: &str,
        from: impl IntoIterator<Item = IpNet>,
        why: &str,
    ) {
        for network in from {
            self.add(Rule::allow(port, protocol, Some(network), why));
        }
    }

    fn add(&mut self, rule: Rule) {
        if !self.rules.iter().any(|known| known.collides_with(&rule)) {
            self.rules.push(rule);
        }
    }
}

fn single(addresses: impl IntoIterator<Item = IpAddr>) -> impl Iterator<Item = IpNet> {
    addresses.into_iter().map(IpNet::from)
}

/// A network of everything as its two halves: for ufw the whole would mean both families.
fn halves(network: IpNet) -> Vec<IpNet> {
    let halves = (network.prefix_len() == 0).then(|| network.subnets(1).ok()).flatten();
    halves.map_or_else(|| vec![network], Iterator::collect)
}

fn open_because(what: &str, hidden: &[&str]) -> String {
    let (names, are) = (hidden.join(", "), if hidden.len() == 1 { "is" } else { "are" });
    format!("{what} is open to everybody: {names} {are} behind NAT, at an address nobody knows")
}

#[cfg(test)]
mod tests;
