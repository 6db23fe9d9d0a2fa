//! cluster.toml as written: every section, every key, its default and its meaning.
//!
//! The comments on the keys are the text of `oceanid docs`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::written::Written;
use crate::secret::SecretRef;

pub use access::AccessSection;
pub use baseline::{BaselineSection, CertManagerSection, GitopsSection, GitopsTool};
pub use cloudflare::{CloudflareSection, GateSection, RateLimitSection};
pub use gpu::{GpuRuntime, GpuSection, Sharing};
pub use harden::HardenSection;
pub use k3s::{BuiltIn, Component, DatastoreKind, FlannelBackend, K3sSection};
pub use node::NodeSection;
pub use sources::SourcesSection;
pub use triton::TritonSection;
pub use tunnel::{CloudflaredSection, TunnelSection};

mod access;
mod baseline;
mod cloudflare;
mod gpu;
mod harden;
mod k3s;
mod node;
mod sources;
mod triton;
mod tunnel;

/// Further settings of k3s, by name.
pub type Settings = BTreeMap<Written<String>, Written<Value>>;

/// A cluster, in one file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct File {
    /// The cluster as a whole.
    #[schemars(extend("x-required" = true))]
    pub cluster: ClusterSection,
    /// How hosts are reached: the defaults of every node. What stands here or at a node goes
    /// before `~/.ssh/config`.
    pub ssh: SshSection,
    /// What k3s is and how it is configured.
    #[schemars(extend("x-required" = true))]
    pub k3s: K3sSection,
    /// The nodes: one `[[node]]` for each host.
    #[schemars(extend("x-required" = true))]
    pub node: Vec<NodeSection>,
    /// What every cluster begins with: namespaces, policies, roles, and what is chosen beside them.
    pub baseline: BaselineSection,
    /// What is tightened on every host. `oceanid plan` shows each change before it is made.
    pub harden: Option<Written<HardenSection>>,
    /// What nodes with `gpu = true` get.
    pub gpu: Option<Written<GpuSection>>,
    /// The Triton inference server, on nodes with `gpu = true`.
    pub triton: Option<Written<TritonSection>>,
    /// The tunnels of Cloudflare, through which the world reaches nodes that have no public address:
    /// one `[[tunnel]]` for each.
    pub tunnel: Vec<Written<TunnelSection>>,
    /// The program that keeps tunnels open, on every node with one.
    pub cloudflared: CloudflaredSection,
    /// What oceanid keeps in order at Cloudflare itself: tunnels, names, who may come in.
    pub cloudflare: Option<Written<CloudflareSection>>,
    /// Where downloads come from, for mirrors and closed networks. Everything that is fetched is
    /// compared with a known SHA-256, wherever it comes from.
    pub sources: SourcesSection,
}

/// `[cluster]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ClusterSection {
    /// The name of the cluster: kubeconfig context, owner of the lock, comments in files.
    #[schemars(extend("x-required" = true))]
    pub name: Option<Written<String>>,
    /// The domain that public names are made from.
    pub domain: Option<Written<String>>,
    /// The network of the pods. It cannot be changed once the cluster runs.
    pub pod_cidr: Written<String>,
    /// The network of the services. It cannot be changed once the cluster runs.
    pub service_cidr: Written<String>,
    /// How many seconds a host waits for oceanid to come back through a new login after a step
    /// that could lock it out, before the host undoes that step by itself.
    #[schemars(range(min = 5, max = 3600))]
    pub guard_seconds: Written<u64>,
}

impl Default for ClusterSection {
    fn default() -> Self {
        Self {
            name: None,
            domain: None,
            pod_cidr: "10.42.0.0/16".to_owned().into(),
            service_cidr: "10.43.0.0/16".to_owned().into(),
            guard_seconds: 90.into(),
        }
    }
}

/// `[ssh]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SshSection {
    /// The user to log in as. Without it `~/.ssh/config` decides, then the user who runs oceanid.
    pub user: Option<Written<String>>,
    /// The port of sshd. Without it `~/.ssh/config` decides, then it is 22.
    #[schemars(range(min = 1))]
    pub port: Option<Written<u16>>,
    /// Private key files, tried before those of `~/.ssh/config`: absolute paths, or `~/…`.
    pub keys: Vec<Written<String>>,
    /// Hosts to go through, first hop first: names of nodes, or `user@host:port`. Nodes that are
    /// named here are themselves reached directly.
    pub jump: Vec<Written<String>>,
    /// The password for sudo, where a user other than root needs one.
    pub sudo_password: Option<Written<SecretRef>>,
    /// How many seconds a refused or silent connection is tried again.
    #[schemars(range(min = 1, max = 3600))]
    pub connect_seconds: Written<u64>,
}

impl Default for SshSection {
    fn default() -> Self {
        Self {
            user: None,
            port: None,
            keys: Vec::new(),
            jump: Vec::new(),
            sudo_password: None,
            connect_seconds: 60.into(),
        }
    }
}
