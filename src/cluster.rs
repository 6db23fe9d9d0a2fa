//! `cluster.toml` as meant: checked, defaults filled in, references still unresolved.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;

pub use access::{Access, ServiceToken};
pub use baseline::{Baseline, CertManager, Gitops};
pub use cloudflare::{Cloudflare, Gate, RateLimit, Shield, Store};
pub use gpu::{Gpu, Pods};
pub use k3s::{Datastore, Delivery, K3s, Sources, minor};
pub use triton::{Engine, ModelControl, Ports, Triton, User};
pub use tunnel::{Cloudflared, Tunnel};

mod access;
mod baseline;
mod cloudflare;
mod gpu;
mod k3s;
mod triton;
mod tunnel;

/// The whole cluster, valid by construction.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The cluster's name: kubeconfig context, lock owner, comments.
    pub name: String,
    /// The domain that public names are made from: `gpu.<domain>`.
    pub domain: Option<String>,
    /// Every node, in the order of the file.
    pub hosts: Vec<Host>,
    /// What k3s is and how it is configured.
    pub k3s: K3s,
    /// Where downloads come from.
    pub sources: Sources,
    /// How long a guarded step waits for us before the host undoes it.
    pub guard: Duration,
    /// What the cluster begins with.
    pub baseline: Baseline,
    /// What nodes with a GPU get.
    pub gpu: Option<Gpu>,
    /// The inference server, on nodes with a GPU.
    pub triton: Option<Triton>,
    /// The ways in from outside, in the order of the file.
    pub tunnels: Vec<Tunnel>,
    /// The program that keeps them open.
    pub cloudflared: Cloudflared,
    /// What oceanid keeps in order at Cloudflare.
    pub cloudflare: Option<Cloudflare>,
}

/// One node as it is meant to be.
#[derive(Debug, Clone)]
pub struct Host {
    /// Kubernetes node name, lower-case RFC 1123.
    pub name: String,
    /// What the node is in the cluster.
    pub role: Role,
    /// Name or address to connect to.
    pub address: String,
    /// oceanid runs on this host itself: no SSH.
    pub local: bool,
    /// How it is reached and entered.
    pub ssh: Ssh,
    /// `node-ip` of k3s; k3s picks one when absent.
    pub node_ip: Option<IpAddr>,
    /// `node-external-ip` of k3s.
    pub external_ip: Option<IpAddr>,
    /// `flannel-iface` of k3s.
    pub interface: Option<String>,
    /// The place where it stands: servers of one etcd cluster share one.
    pub site: Option<String>,
    /// Labels that the API must show.
    pub labels: BTreeMap<String, String>,
    /// Taints that the API must show.
    pub taints: Vec<Taint>,
    /// The node has an NVIDIA GPU.
    pub gpu: bool,
    /// The other nodes cannot open a connection to it.
    pub behind_nat: bool,
    /// What is tightened on it.
    pub harden: Harden,
}

/// What is tightened on a host.
#[derive(Debug, Clone, Default)]
pub struct Harden {
    /// What cluster.toml switches on or off.
    pub switches: BTreeMap<Part, bool>,
    /// Further lines for sshd's drop-in.
    pub sshd: Vec<String>,
    /// What lets in only what the cluster needs.
    pub firewall: Firewall,
    /// Networks from which SSH and the API may be reached; none is from everywhere.
    pub admin_networks: Vec<IpNet>,
    /// They are taken as they are, even if the operator's own address is not among them.
    pub trust_admin_networks: bool,
}

/// A part of the hardening that can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// sshd.
    Ssh,
    /// Shutting out who fails to log in.
    Bans,
    /// Kernel parameters, modules, core dumps.
    Kernel,
    /// The size of the journal.
    Journal,
    /// Security updates.
    Upgrades,
    /// What updates restart.
    Needrestart,
    /// The clock.
    Time,
    /// The kernel's record.
    Audit,
    /// A swap file.
    Swap,
    /// No sleep.
    Sleep,
    /// `NetworkManager`.
    NetworkManager,
    /// Permissions of files, and how changed ones are found.
    Files,
    /// How good passwords must be.
    Passwords,
}

/// What lets in only what the cluster needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Firewall {
    /// The firewall of Debian and Ubuntu.
    #[default]
    Ufw,
    /// None: the provider has one, or the network is trusted.
    Off,
}

impl Harden {
    /// Whether `part` is wanted: it is unless cluster.toml switches it off.
    #[must_use]
    pub fn has(&self, part: Part) -> bool {
        self.choice(part).unwrap_or(true)
    }

    /// What cluster.toml says of `part`; `None` where it leaves it to the host's size.
    #[must_use]
    pub fn choice(&self, part: Part) -> Option<bool> {
        self.switches.get(&part).copied()
    }
}

impl Host {
    /// Every address that cluster.toml names for it: where its packets may come from.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let own = self.address.parse().ok().filter(|address: &IpAddr| !address.is_loopback());
        let mut all: Vec<IpAddr> =
            [self.external_ip, self.node_ip, own].into_iter().flatten().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// What a node is in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the control plane.
    Server,
    /// Runs workloads.
    Agent,
}

impl Role {
    /// The systemd unit that runs k3s in that role.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Server => "k3s.service",
            Self::Agent => "k3s-agent.service",
        }
    }
}

/// How a host is reached: what cluster.toml says goes before `~/.ssh/config`.
#[derive(Debug, Clone, Default)]
pub struct Ssh {
    /// The user to log in as.
    pub user: Option<String>,
    /// The port of sshd.
    pub port: Option<u16>,
    /// Private key files, tried before those of `~/.ssh/config`; `~` is expanded.
    pub keys: Vec<PathBuf>,
    /// Hosts to go through, first hop first: node names or `user@host:port`.
    pub jump: Vec<String>,
    /// The host key that the host must show: `ssh-ed25519 AAAA…` or `SHA256:…`.
    pub host_key: Option<String>,
    /// The password for sudo.
    pub sudo_password: Option<SecretRef>,
    /// How long a refused connection is tried again.
    pub connect: Duration,
}

/// A taint that the API must show.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taint {
    /// The key, with its prefix.
    pub key: String,
    /// The value; may be empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

impl Cluster {
    /// The host of that name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// The tunnel that ends on the host of that name.
    #[must_use]
    pub fn tunnel(&self, node: &str) -> Option<&Tunnel> {
        self.tunnels.iter().find(|tunnel| tunnel.node == node)
    }

    /// The container images that oceanid runs itself, as cluster.toml names them.
    #[must_use]
    pub fn images(&self) -> Vec<&str> {
        let triton = self.triton.iter().map(|triton| triton.image.as_str());
        triton.chain(self.gpu.iter().flat_map(Gpu::images)).collect()
    }

    /// The servers, in the order of the file.
    pub fn servers(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.role == Role::Server)
    }

    /// The first server: the one whose token and API the others use.
    ///
    /// # Panics
    /// Never for a [`Cluster`] that came out of validation: that requires a server.
    #[must_use]
    pub fn first_server(&self) -> &Host {
        self.servers().next().expect("a valid cluster has a server")
    }
}
