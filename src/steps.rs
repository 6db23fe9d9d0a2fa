//! The table of contents: every step, in the order in which it happens on a host.

use std::collections::BTreeMap;

use crate::cluster::{Cluster, Firewall, Host, Part, Role};
use crate::facts::{Facts, Gpu};
use crate::releases::Releases;
use crate::secret::Endpoint;
use crate::step::Step;

pub mod baseline;
mod cloudflared;
mod docker;
mod etcd;
pub mod gpu;
mod harden;
mod k3s_agent;
mod k3s_config;
mod k3s_join;
mod k3s_layout;
mod k3s_server;
mod k3s_version;
mod nodes;
mod nvidia;
mod prepare;
mod triton;
mod ways;

pub use k3s_join::taken;

/// Everything that a step may know of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// cluster.toml as meant.
    pub cluster: &'a Cluster,
    /// The host that the step is for.
    pub host: &'a Host,
    /// What that host is.
    pub facts: &'a Facts,
    /// The nodes whose labels and taints this run sees to.
    pub nodes: &'a [&'a Host],
    /// What the first server is; absent while it is not known.
    pub first_server: Option<&'a Facts>,
    /// The database outside of k3s, where there is one.
    pub datastore: Option<&'a Endpoint>,
    /// The GPUs of hosts, as they were when the run began, by node.
    pub gpus: Option<&'a BTreeMap<String, Gpu>>,
    /// Versions and hashes.
    pub releases: &'a Releases,
    /// What this run may still change, and what it may remove.
    pub terms: Terms<'a>,
}

/// What a run may still change, and what it may remove.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    /// Whether it may still change the servers.
    pub servers: Servers,
    /// Names of nodes that are removed from the cluster, since new machines take them.
    pub replaced: &'a [String],
}

/// Whether a run may still change the servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Servers {
    /// They stay as they are now.
    #[default]
    Settled,
    /// Their turn comes before the agents'.
    Pending,
}

/// When a step happens in a run over several hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wave {
    /// What a host needs for itself: nothing of it has to do with another one's k3s, so new agents need not wait.
    Ground,
    /// Servers, one by one; then new agents side by side, and those in use one by one.
    Host,
    /// On the first server, once all hosts are done.
    Cluster,
}

/// A row of the table of contents.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The name that `--only` and `--skip` take.
    pub name: &'static str,
    /// What it makes true, in a few words.
    pub about: &'static str,
    /// When it happens.
    pub wave: Wave,
    /// Whether it concerns this host.
    pub concerns: fn(&Cluster, &Host) -> bool,
    /// Lists what must be true.
    pub build: fn(&Inputs<'_>) -> anyhow::Result<Step>,
}

/// Names that `--only` and `--skip` take for several steps.
pub const GROUPS: &[(&str, &[&str])] = &[("harden", &["host", "ssh", "firewall"])];

/// Every step, in the order in which it happens.
pub const ALL: &[Entry] = &[
    Entry {
        name: "prepare",
        about: "packages, kernel modules, kernel parameters and time for Kubernetes",
        wave: Wave::Ground,
        concerns: |_, _| true,
        build: prepare::prepare,
    },
    Entry {
        name: "host",
        about: "harden: kernel, updates, journal, time, bans, files",
        wave: Wave::Ground,
        concerns: |_, _| true,
        build: harden::host,
    },
    Entry {
        name: "ssh",
        about: "harden: sshd takes keys and good algorithms only; guarded",
        wave: Wave::Ground,
        concerns: |_, host| host.harden.has(Part::Ssh),
        build: harden::ssh,
    },
    Entry {
        name: "firewall",
        about: "harden: ufw lets in only what the cluster needs; guarded",
        wave: Wave::Ground,
        concerns: |_, host| host.harden.firewall == Firewall::Ufw,
        build: harden::firewall,
    },
    Entry {
        name: "nvidia",
        about: "GPU: driver checked, container toolkit, CDI",
        wave: Wave::Ground,
        concerns: |cluster, host| host.gpu && cluster.gpu.is_some(),
        build: nvidia::nvidia,
    },
    Entry {
        name: "k3s-server",
        about: "the k3s server: verified program, configuration, unit, Ready",
        wave: Wave::Host,
        concerns: |_, host| host.role == Role::Server,
        build: k3s_server::k3s_server,
    },
    Entry {
        name: "etcd",
        about: "of several servers: a healthy member of etcd, before the next",
        wave: Wave::Host,
        concerns: etcd::concerns,
        build: etcd::etcd,
    },
    Entry {
        name: "old-nodes",
        about: "removes nodes whose machines are gone (`join --replace`)",
        wave: Wave::Host,
        concerns: |cluster, host| host.name == cluster.first_server().name,
        build: k3s_join::old_nodes,
    },
    Entry {
        name: "k3s-agent",
        about: "the k3s agent: token checked against the server, unit, Ready",
        wave: Wave::Host,
        concerns: |_, host| host.role == Role::Agent,
        build: k3s_agent::k3s_agent,
    },
    Entry {
        name: "docker",
        about: "the container engine that Triton runs in",
        wave: Wave::Host,
        concerns: |cluster, host| host.gpu && cluster.triton.is_some(),
        build: docker::docker,
    },
    Entry {
        name: "triton",
        about: "the inference server: image, unit, every model ready",
        wave: Wave::Host,
        concerns: |cluster, host| host.gpu && cluster.triton.is_some(),
        build: triton::triton,
    },
    Entry {
        name: "cloudflared",
        about: "the tunnel that ends on a node: program, unit, edge connected",
        wave: Wave::Host,
        concerns: |cluster, host| cluster.tunnel(&host.name).is_some(),
        build: cloudflared::cloudflared,
    },
    Entry {
        name: "nodes",
        about: "labels and taints of every node, through the API",
        wave: Wave::Cluster,
        concerns: |cluster, host| host.name == cluster.first_server().name,
        build: nodes::nodes,
    },
    Entry {
        name: "baseline",
        about: "zones, roles and what else the cluster begins with, through the API",
        wave: Wave::Cluster,
        concerns: |cluster, host| host.name == cluster.first_server().name,
        build: baseline::baseline,
    },
    Entry {
        name: "gpu",
        about: "GPU: device plugin, and as many GPUs as expected in the cluster",
        wave: Wave::Cluster,
        concerns: |cluster, host| {
            gpu::concerns(cluster) && host.name == cluster.first_server().name
        },
        build: gpu::gpu,
    },
];
