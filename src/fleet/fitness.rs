//! Whether every host can be what cluster.toml makes of it: seen from facts, before anything is changed anywhere.

use std::net::IpAddr;

use anyhow::anyhow;
use ipnet::IpNet;

use super::{Failure, Member, Selection};
use crate::cluster::{Cluster, Host, Role};
use crate::facts::Facts;
use crate::report::{Event, Observer};

mod state;
#[cfg(test)]
mod tests;

/// Why a host is not fit.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    /// What `oceanid explain` knows it by.
    code: &'static str,
    what: String,
    hint: String,
}

impl Fault {
    fn new(code: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, what: what.into(), hint: hint.into() }
    }
}

/// A host that cannot be what cluster.toml makes of it; its faults are the cause.
#[derive(Debug, thiserror::Error)]
#[error("`{host}` is not fit for k3s as cluster.toml wants it")]
pub struct Unfit {
    /// The host's name.
    pub host: String,
    /// What `oceanid explain` knows its faults by.
    pub codes: Vec<&'static str>,
}

/// Interfaces that k3s or a network plugin makes, and whose addresses lie within the cluster's networks.
const OURS: [&str; 7] = ["cni", "flannel", "kube-", "veth", "cali", "cilium", "nodelocaldns"];

/// Refuses those hosts of `selection` that k3s could not run on as wanted; warns of what cannot be seen.
pub fn judge<R>(
    cluster: &Cluster,
    members: &[Member<'_, R>],
    selection: &Selection,
    observer: &impl Observer,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    for member in members.iter().filter(|member| selection.has_node(&member.host.name)) {
        let (host, facts) = (member.host, &member.facts);
        let mut faults = faults(cluster, host, facts);
        let mut others = members.iter().filter(|other| other.host.name != host.name);
        faults.extend(
            others.find_map(|other| {
                beyond_routes(cluster, (host, facts), (other.host, &other.facts))
            }),
        );
        if let Some(text) = doubt(cluster, facts) {
            observer.on(&Event::Warning { host: Some(&host.name), text });
        }
        if !faults.is_empty() {
            failures.push(Failure { host: host.name.clone(), error: error(&host.name, faults) });
        }
    }
    failures
}

/// All of a host's faults as one error.
fn error(name: &str, faults: Vec<Fault>) -> anyhow::Error {
    let mut codes: Vec<&'static str> = faults.iter().map(|fault| fault.code).collect();
    codes.dedup();
    let (what, hints): (Vec<String>, Vec<String>) =
        faults.into_iter().map(|fault| (fault.what, fault.hint)).unzip();
    anyhow!("{}\nhint: {}", what.join("; "), hints.join("; "))
        .context(Unfit { host: name.to_owned(), codes })
}

fn faults(cluster: &Cluster, host: &Host, facts: &Facts) -> Vec<Fault> {
    let interfaces = interfaces(facts);
    let mut faults: Vec<Fault> = overlaps(cluster, &interfaces);
    // Without `ip` a bare host does not say its addresses.
    if !interfaces.is_empty() {
        faults.extend(address(host, &interfaces));
    }
    faults.extend(wireguard(cluster, facts));
    faults.extend(cgroups(cluster, host, facts));
    if host.role == Role::Server {
        faults.extend(state::datastore(cluster, facts));
        faults.extend(state::encryption(cluster, facts));
    }
    faults
}

/// The host's own interfaces and their networks, each with the host's address in it.
fn interfaces(facts: &Facts) -> Vec<(&str, IpNet)> {
    let named = facts.addresses.iter().filter_map(|line| {
        let (name, address) = line.split_once(' ')?;
        Some((name, address.parse().ok()?))
    });
    named.filter(|(name, _)| OURS.iter().all(|ours| !name.starts_with(ours))).collect()
}

fn overlaps(cluster: &Cluster, interfaces: &[(&str, IpNet)]) -> Vec<Fault> {
    let networks = [("pod-cidr", cluster.k3s.pod_cidr), ("service-cidr", cluster.k3s.service_cidr)];
    let meets = |one: &IpNet, other: &IpNet| one.contains(other) || other.contains(one);
    let pairs = networks
        .iter()
        .flat_map(|network| interfaces.iter().map(move |interface| (network, interface)));
    pairs
        .filter(|((_, network), (_, own))| meets(network, &own.trunc()))
        .map(|((key, network), (name, own))| {
            Fault::new(
                "network-overlap",
                format!(
                    "its interface `{name}` is in {}, which overlaps `{key}` {network}",
                    own.trunc()
                ),
                format!("give `cluster.{key}` a network that no host is in"),
            )
        })
        .collect()
}

/// `interface` and `node-ip` are what the host has.
fn address(host: &Host, interfaces: &[(&str, IpNet)]) -> Option<Fault> {
    let all: Vec<String> =
        interfaces.iter().map(|(name, own)| format!("{} on {name}", own.addr())).collect();
    let hint = format!("it has {}", all.join(", "));
    if let Some(wanted) = &host.interface
        && interfaces.iter().all(|(name, _)| name != wanted)
    {
        return Some(Fault::new(
            "no-such-address",
            format!("no interface `{wanted}` with an address is there"),
            hint,
        ));
    }
    let ip = host.node_ip?;
    let owner = interfaces.iter().find(|(_, own)| own.addr() == ip).map(|(name, _)| *name);
    match (owner, &host.interface) {
        (None, _) => Some(Fault::new(
            "no-such-address",
            format!("no interface has the `node-ip` {ip}"),
            hint,
        )),
        (Some(owner), Some(wanted)) if owner != wanted => Some(Fault::new(
            "no-such-address",
            format!("the `node-ip` {ip} is on `{owner}`, not on the `interface` `{wanted}`"),
            hint,
        )),
        _ => None,
    }
}

fn wireguard(cluster: &Cluster, facts: &Facts) -> Option<Fault> {
    let missing = cluster.k3s.wants_wireguard() && !facts.has_wireguard && !facts.container;
    missing.then(|| {
        Fault::new(
            "no-wireguard",
            format!("its kernel {} has no WireGuard, which `wireguard-native` needs", facts.kernel),
            "the kernels of Debian and Ubuntu have it; `flannel-backend = \"vxlan\"` does without, \
             and does not encrypt",
        )
    })
}

/// What can be neither seen nor ruled out.
fn doubt(cluster: &Cluster, facts: &Facts) -> Option<&'static str> {
    let hidden = cluster.k3s.wants_wireguard() && !facts.has_wireguard && facts.container;
    hidden.then_some(
        "it is a container, from which WireGuard is not to be seen: the machine below must have it",
    )
}

/// Kubernetes 1.35 and later refuse the old hierarchy unless told otherwise.
fn cgroups(cluster: &Cluster, host: &Host, facts: &Facts) -> Option<Fault> {
    let old = facts.cgroups.iter().any(|controller| controller == "v1");
    let further = match host.role {
        Role::Server => &cluster.k3s.server,
        Role::Agent => &cluster.k3s.agent,
    };
    let arguments = further.get("kubelet-arg").and_then(|list| list.as_array());
    let allowed = arguments.into_iter().flatten().any(|entry| {
        entry.as_str().is_some_and(|entry| entry.trim_start_matches('-') == "fail-cgroupv1=false")
    });
    let refused = old && !allowed && cluster.k3s.refuses_old_cgroups();
    refused.then(|| {
        Fault::new(
            "cgroup-v1",
            format!("it has cgroups of version 1, and k3s {} wants version 2", cluster.k3s.version),
            "boot it with `systemd.unified_cgroup_hierarchy=1`, or set \
             `kubelet-arg = [\"fail-cgroupv1=false\"]`",
        )
    })
}

/// The network that a node is in among the others.
fn place(host: &Host, facts: &Facts) -> Option<IpNet> {
    let interfaces = interfaces(facts);
    let with_ip = |ip: IpAddr| interfaces.iter().find(|(_, own)| own.addr() == ip);
    let named = host.interface.as_deref().or(facts.default_interface.as_deref());
    let on = |name: &str| interfaces.iter().find(|(own, _)| *own == name);
    let found = match host.node_ip {
        Some(ip) => with_ip(ip),
        None => named.and_then(on),
    };
    found.map(|(_, own)| *own)
}

/// Plain routes need the other node on the same network.
fn beyond_routes(
    cluster: &Cluster,
    (host, facts): (&Host, &Facts),
    (other, theirs): (&Host, &Facts),
) -> Option<Fault> {
    let (own, their) = (place(host, facts)?, place(other, theirs)?);
    let apart = cluster.k3s.flannel_backend == "host-gw" && !own.contains(&their.addr());
    apart.then(|| {
        Fault::new(
            "not-one-network",
            format!(
                "`host-gw` needs every node on one network; this is in {}, `{}` has {}",
                own.trunc(),
                other.name,
                their.addr()
            ),
            "`wireguard-native` is for nodes at different places; `node-ip` and `interface` say \
             which network is meant",
        )
    })
}
