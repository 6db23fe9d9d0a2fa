//! What is proposed for hosts that were looked at, and why: a pure function.

use std::net::IpAddr;

use super::entry::Entry;
use super::network::{Standing, shared};
use super::sight::Sight;
use crate::facts::{Facts, Smi};

mod server;
mod tables;

/// Memory that a server should have for its control plane, MiB: what is sold as 2 GB has a little less.
const SERVER_MEMORY: u64 = 1700;

/// A host that was looked at.
#[derive(Debug, Clone)]
pub struct Found {
    /// How it was typed.
    pub entry: Entry,
    /// The address that its name leads to.
    pub ip: Option<IpAddr>,
    /// The fingerprint that a person compared, or that was known.
    pub host_key: String,
    /// sudo wanted a password.
    pub wants_password: bool,
    /// What it is.
    pub facts: Facts,
    /// What only matters here.
    pub sight: Sight,
}

impl Found {
    /// The models of the GPUs that its driver shows.
    #[must_use]
    pub fn gpus(&self) -> Vec<&str> {
        match self.facts.gpu.as_ref().map(|gpu| &gpu.smi) {
            Some(Smi::Shows(cards)) => cards.iter().map(|card| card.name.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether a GPU is in the machine whose driver does not answer.
    #[must_use]
    pub fn has_idle_gpu(&self) -> bool {
        self.facts.gpu.as_ref().is_some_and(|gpu| gpu.count() > 0) && self.gpus().is_empty()
    }
}

/// How pods of different nodes reach each other, and why so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// As `k3s.flannel-backend` has it.
    pub name: &'static str,
    /// Why.
    pub why: String,
}

/// What is proposed; names and server may be chosen anew before it is written.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The cluster's name.
    pub cluster: String,
    /// The nodes' names, in the order of the hosts.
    pub names: Vec<String>,
    /// Which of them is the server.
    pub server: usize,
    /// Why that one; empty once a person chose.
    pub why_server: String,
    /// How pods of different nodes reach each other.
    pub backend: Backend,
}

/// What is proposed for `found`, of which there is at least one.
#[must_use]
pub fn propose(cluster: &str, found: &[Found]) -> Proposal {
    let (server, why_server) = server::choose(found);
    Proposal {
        cluster: cluster.to_owned(),
        names: names(found),
        server,
        why_server,
        backend: backend(found),
    }
}

/// Every host's own name, or the one that was typed; made different where they are not.
fn names(found: &[Found]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for one in found {
        let own = plain(&one.facts.hostname);
        let typed = one.entry.name.clone();
        let name = typed.unwrap_or_else(|| match own.as_str() {
            "" | "localhost" => format!("node-{}", names.len() + 1),
            _ => own,
        });
        let mut free = name.clone();
        let mut number = 2;
        while names.contains(&free) {
            free = format!("{name}-{number}");
            number += 1;
        }
        names.push(free);
    }
    names
}

/// The first label of a hostname, as Kubernetes takes it.
fn plain(hostname: &str) -> String {
    let label = hostname.split('.').next().unwrap_or_default().to_lowercase();
    let label: String =
        label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    label.trim_matches('-').to_owned()
}

fn backend(found: &[Found]) -> Backend {
    let all: Vec<&Found> = found.iter().collect();
    let blind = found.iter().find(|one| !one.facts.has_wireguard);
    if found.len() > 1 && shared(&all).is_some() {
        let metal = found.iter().all(|one| one.sight.virtualised.is_none());
        return if metal {
            let why = "All nodes are machines on one private network: plain routes are the fastest, and \
                       nothing has to be encrypted on the way.";
            Backend { name: "host-gw", why: why.to_owned() }
        } else {
            let why = "All nodes are on one private network. `host-gw` would be faster, but networks of \
                       clouds often drop what plain routes send.";
            Backend { name: "vxlan", why: why.to_owned() }
        };
    }
    if let Some(blind) = blind {
        let how = if blind.facts.container {
            "is a container, from which WireGuard is not to be seen"
        } else {
            "has a kernel without WireGuard"
        };
        let why = format!(
            "Pods' traffic between nodes is NOT encrypted: {} {how}. `wireguard-native` encrypts it.",
            blind.facts.hostname
        );
        return Backend { name: "vxlan", why };
    }
    let why = if found.len() == 1 {
        "Encrypted, so that nodes at other places can join later."
    } else {
        "The nodes are not on one private network: pods' traffic between them crosses networks of \
         others and is encrypted."
    };
    Backend { name: "wireguard-native", why: why.to_owned() }
}

/// Whether anybody reaches one of them, so that those that nobody reaches are behind NAT.
fn has_public(found: &[Found]) -> bool {
    found.iter().any(|one| Standing::of(one).address().is_some())
}
