//! `cluster.toml` as meant: checked, defaults filled in, references still unresolved.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::secret::SecretRef;

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
    /// Labels that the API must show.
    pub labels: BTreeMap<String, String>,
    /// Taints that the API must show.
    pub taints: Vec<Taint>,
    /// The node has an NVIDIA GPU.
    pub gpu: bool,
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

/// What k3s is and how it is configured.
#[derive(Debug, Clone)]
pub struct K3s {
    /// The exact version: `v1.36.3+k3s1`.
    pub version: String,
    /// `flannel-backend`.
    pub flannel_backend: String,
    /// Network of the pods.
    pub pod_cidr: IpNet,
    /// Network of the services.
    pub service_cidr: IpNet,
    /// Name or address by which agents and kubeconfig reach the API.
    pub endpoint: String,
    /// Further names in the API's certificate.
    pub tls_san: Vec<String>,
    /// Packaged components that k3s does not install.
    pub disable: Vec<String>,
    /// Any further keys of a server's config.yaml.
    pub server: Map<String, Value>,
    /// Any further keys of an agent's config.yaml.
    pub agent: Map<String, Value>,
    /// How long a node may take from start to Ready.
    pub ready: Duration,
}

/// Where downloads come from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The folder above `<version>/k3s` and `<version>/sha256sum-<arch>.txt`.
    pub k3s: String,
}

impl Cluster {
    /// The host of that name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
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
