//! `[[node]]` as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::HardenSection;
use crate::cluster::Role;
use crate::config::written::Written;
use crate::secret::SecretRef;

/// `[[node]]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NodeSection {
    /// The name of the node in Kubernetes: lower-case letters, digits and `-`.
    #[schemars(extend("x-required" = true))]
    pub name: Option<Written<String>>,
    /// What the node is in the cluster.
    #[schemars(extend("x-required" = true))]
    pub role: Option<Written<Role>>,
    /// The name or address to connect to.
    #[schemars(extend("x-required" = true))]
    pub address: Option<Written<String>>,
    /// oceanid runs on this very host, so there is no SSH.
    pub local: Written<bool>,
    /// As `ssh.user`, for this node.
    pub user: Option<Written<String>>,
    /// As `ssh.port`, for this node.
    #[schemars(range(min = 1))]
    pub port: Option<Written<u16>>,
    /// As `ssh.keys`, for this node instead of those.
    pub keys: Option<Vec<Written<String>>>,
    /// As `ssh.jump`, for this node instead of those; `[]` is a direct connection.
    pub jump: Option<Vec<Written<String>>>,
    /// The key that the host must show: `ssh-ed25519 AAAA…` as in `known_hosts`, or its
    /// fingerprint `SHA256:…`. Without it `known_hosts` decides.
    pub host_key: Option<Written<String>>,
    /// As `ssh.sudo-password`, for this node.
    pub sudo_password: Option<Written<SecretRef>>,
    /// The address that the other nodes know it by (`node-ip` of k3s). Without it k3s picks one.
    pub node_ip: Option<Written<String>>,
    /// Its public address (`node-external-ip` of k3s).
    pub external_ip: Option<Written<String>>,
    /// The network interface for traffic between nodes (`flannel-iface` of k3s).
    pub interface: Option<Written<String>>,
    /// The place where it stands, a word of your own: nodes of one site share a network, and
    /// servers of one etcd cluster share a site.
    pub site: Option<Written<String>>,
    /// Labels that the node has in Kubernetes.
    pub labels: BTreeMap<Written<String>, Written<String>>,
    /// Taints that the node has in Kubernetes: `key=value:Effect` or `key:Effect`.
    pub taints: Vec<Written<String>>,
    /// The node has an NVIDIA GPU. A GPU that is then not found is an error.
    pub gpu: Written<bool>,
    /// The node is behind NAT: the others cannot open a connection to it. Without it that is so
    /// where the node has only private addresses and the first server, at another site or none,
    /// has a public one.
    pub behind_nat: Option<Written<bool>>,
    /// As `[harden]`, for this node: `harden = { swap = false }`.
    pub harden: Option<Written<HardenSection>>,
}

impl Default for Written<bool> {
    fn default() -> Self {
        false.into()
    }
}
