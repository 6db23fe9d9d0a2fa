//! `[k3s]` as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::cluster::Delivery;
use crate::config::written::Written;
use crate::secret::SecretRef;

/// `[k3s]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct K3sSection {
    /// The exact version, as upstream names it, `v1.36.3+k3s1`, or a channel: `stable`, `latest`,
    /// `v1.36`. `oceanid.lock` keeps what a channel came to; `oceanid lock` asks again.
    #[schemars(extend("x-required" = true))]
    pub version: Option<Written<String>>,
    /// How the program comes to the hosts.
    pub delivery: Written<Delivery>,
    /// Bring k3s' own container images along too, for hosts that reach no registry. They are
    /// pushed whatever `delivery` says.
    pub air_gap: Written<bool>,
    /// How pods of different nodes reach each other.
    pub flannel_backend: Written<FlannelBackend>,
    /// Components that k3s brings along and that are not wanted.
    pub disable: Vec<Written<Component>>,
    /// Further names and addresses in the certificate of the API.
    pub tls_san: Vec<Written<String>>,
    /// The name or address by which agents and kubeconfig reach the API. Without it: the
    /// `external-ip` of the first server, or else its `address`.
    pub endpoint: Option<Written<String>>,
    /// Where the cluster's state is kept: `etcd` and `sqlite` are built in, anything else is the
    /// endpoint of a database as a secret, `postgres://user:password@host:5432/name`.
    pub datastore: Written<DatastoreKind>,
    /// When etcd is saved, as in crontab, or `@daily` and the like.
    pub snapshot_schedule: Written<String>,
    /// How many scheduled snapshots a server keeps.
    #[schemars(range(min = 1, max = 1000))]
    pub snapshot_retention: Written<u64>,
    /// Servers that stand at different sites although etcd wants them close together.
    pub servers_apart: Written<bool>,
    /// Encrypt secrets in the datastore. Only the very first start of a cluster can switch it on.
    pub secrets_encryption: Written<bool>,
    /// What the CIS benchmark for Kubernetes asks for: Pod Security admission (`baseline` unless a
    /// namespace has labels of its own), an audit log, protected kernel defaults.
    pub cis: Written<bool>,
    /// Keep memory and disk for the host itself, by what it has, and evict pods before the kernel
    /// has to.
    pub reserve: Written<bool>,
    /// Take keys in `[k3s.server]` and `[k3s.agent]` that oceanid does not know.
    pub allow_unknown: Written<bool>,
    /// How many seconds a node may take from the start of k3s until it is Ready.
    #[schemars(range(min = 1, max = 7200))]
    pub ready_seconds: Written<u64>,
    /// Any further keys for the config.yaml of servers, as `k3s server --help` names them. Keys
    /// that oceanid sets itself are refused, and so are secrets. Arguments, such as
    /// `kubelet-arg = ["max-pods=50"]`, replace oceanid's own of the same name and no others.
    pub server: Settings,
    /// Any further keys for the config.yaml of agents, as `k3s agent --help` names them, likewise.
    pub agent: Settings,
}

impl Default for K3sSection {
    fn default() -> Self {
        Self {
            version: None,
            delivery: Delivery::Host.into(),
            air_gap: false.into(),
            flannel_backend: FlannelBackend::WireguardNative.into(),
            disable: Vec::new(),
            tls_san: Vec::new(),
            endpoint: None,
            datastore: DatastoreKind::BuiltIn(BuiltIn::Etcd).into(),
            snapshot_schedule: "0 */6 * * *".to_owned().into(),
            snapshot_retention: 12.into(),
            servers_apart: false.into(),
            secrets_encryption: true.into(),
            cis: true.into(),
            reserve: true.into(),
            allow_unknown: false.into(),
            ready_seconds: 300.into(),
            server: Settings::new(),
            agent: Settings::new(),
        }
    }
}

/// Where the cluster's state is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-choice-or-secret" = true))]
pub enum DatastoreKind {
    /// In k3s itself.
    BuiltIn(BuiltIn),
    /// In a database: the reference to its endpoint.
    External(SecretRef),
}

/// A datastore that k3s has built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BuiltIn {
    /// With snapshots, and for several servers.
    Etcd,
    /// For one server, with less memory and without snapshots.
    Sqlite,
}

/// How pods of different nodes reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlannelBackend {
    /// Not encrypted, through UDP port 8472.
    Vxlan,
    /// Not encrypted, by plain routes: every node must be on one network.
    HostGw,
    /// Encrypted, through UDP port 51820: for nodes at different places.
    WireguardNative,
    /// No flannel: you bring another network plugin.
    None,
}

/// What k3s brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// Names of services inside the cluster.
    Coredns,
    /// Volumes in a folder of the node.
    LocalStorage,
    /// `kubectl top`, and scaling by load.
    MetricsServer,
    /// Runtime classes, which GPU nodes need.
    Runtimes,
    /// The load balancer that listens on every node.
    Servicelb,
    /// The ingress controller.
    Traefik,
}
