//! k3s as it is meant to be: which, from where, and how it is configured.

use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::secret::SecretRef;

/// What k3s is and how it is configured.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of cluster.toml")]
pub struct K3s {
    /// The exact version, `v1.36.3+k3s1`, or a channel: `stable`, `latest`, `v1.36`.
    pub version: String,
    /// How the program comes to the hosts.
    pub delivery: Delivery,
    /// k3s' own container images are brought along.
    pub air_gap: bool,
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
    /// Where the cluster's state is kept.
    pub datastore: Datastore,
    /// When etcd is saved, as in crontab.
    pub snapshot_schedule: String,
    /// How many scheduled snapshots a server keeps.
    pub snapshot_retention: u64,
    /// Servers may stand at different sites.
    pub servers_apart: bool,
    /// Secrets are encrypted in the datastore.
    pub secrets_encryption: bool,
    /// What the CIS benchmark asks for.
    pub cis: bool,
    /// Memory and disk are kept for the host itself.
    pub reserve: bool,
    /// Any further keys of a server's config.yaml.
    pub server: Map<String, Value>,
    /// Any further keys of an agent's config.yaml.
    pub agent: Map<String, Value>,
    /// How long a node may take from start to Ready.
    pub ready: Duration,
}

impl K3s {
    /// Whether traffic between pods of different nodes is encrypted by `WireGuard`.
    #[must_use]
    pub fn wants_wireguard(&self) -> bool {
        self.flannel_backend == "wireguard-native"
    }

    /// Whether the kubelet refuses the old hierarchy of cgroups, as it does from 1.35 on; a channel counts as newer.
    #[must_use]
    pub fn refuses_old_cgroups(&self) -> bool {
        minor(&self.version).is_none_or(|minor| minor >= 35)
    }
}

/// `36` of `v1.36.3+k3s1` and of `v1.36`; none of a channel's name.
#[must_use]
pub fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("v1.")?.split('.').next()?.parse().ok()
}

/// Where downloads come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The folder above `<version>/k3s` and `<version>/sha256sum-<arch>.txt`.
    pub k3s: String,
    /// What turns a channel into a version.
    pub channels: String,
    /// The folder above `<version>/cloudflared-linux-<arch>`.
    pub cloudflared: String,
    /// The apt repository of NVIDIA's container toolkit.
    pub nvidia: String,
    /// The key that signs it.
    pub nvidia_key: String,
    /// The fingerprint that the key must have, 40 capital hex digits.
    pub nvidia_fingerprint: String,
    /// The folder above the apt repositories of Docker.
    pub docker: String,
    /// Cloudflare's API.
    pub cloudflare_api: String,
    /// The HTTP proxy of the hosts.
    pub proxy: Option<String>,
    /// What is reached without the proxy.
    pub no_proxy: Vec<String>,
    /// Certificates, PEM, that oceanid and the hosts trust besides the usual ones.
    pub ca: Option<String>,
}

/// How the program comes to the hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Each host downloads it.
    #[default]
    Host,
    /// oceanid downloads it once and sends it to all hosts through SSH.
    Push,
}

/// Where the cluster's state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datastore {
    /// Embedded etcd.
    Etcd,
    /// A file on the one server.
    Sqlite,
    /// A database, at this endpoint.
    External(SecretRef),
}
