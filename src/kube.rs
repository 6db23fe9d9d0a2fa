//! The Kubernetes API as oceanid uses it: from the hosts themselves, with the credentials that k3s keeps there.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::script::quote;

/// The part of a Node that oceanid looks at.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Name, labels, annotations.
    pub metadata: Metadata,
    /// Taints.
    #[serde(default)]
    pub spec: NodeSpec,
    /// Conditions, addresses, versions.
    #[serde(default)]
    pub status: NodeStatus,
}

/// `metadata` of a Node.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The node's name.
    pub name: String,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// `spec` of a Node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSpec {
    /// Taints.
    #[serde(default)]
    pub taints: Vec<NodeTaint>,
    /// Closed to new pods.
    #[serde(default)]
    pub unschedulable: bool,
}

/// A taint as the API writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeTaint {
    /// The key.
    pub key: String,
    /// The value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// The effect.
    pub effect: String,
    /// When it was added, where the controller wrote that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_added: Option<String>,
}

/// `status` of a Node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Conditions: `Ready`, `MemoryPressure`, `DiskPressure`.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Addresses.
    #[serde(default)]
    pub addresses: Vec<Address>,
    /// Versions.
    #[serde(default)]
    pub node_info: NodeInfo,
}

/// A condition of a Node.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, for people.
    #[serde(default)]
    pub message: String,
}

/// An address of a Node.
#[derive(Debug, Clone, Deserialize)]
pub struct Address {
    /// `InternalIP`, `ExternalIP`, `Hostname`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The address.
    pub address: String,
}

/// `status.nodeInfo` of a Node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeInfo {
    /// The version that runs: `v1.36.3+k3s1`.
    #[serde(default)]
    pub kubelet_version: String,
    /// `/etc/machine-id` of the host.
    #[serde(default, rename = "machineID")]
    pub machine_id: String,
}

#[derive(Deserialize)]
struct List {
    items: Vec<Node>,
}

/// The taint that a node has until its network is up.
const NOT_READY: &str = "node.kubernetes.io/not-ready";

impl Node {
    /// The status of the condition `kind`, `Unknown` when the node does not have it.
    #[must_use]
    pub fn condition(&self, kind: &str) -> &str {
        let found = self.status.conditions.iter().find(|condition| condition.kind == kind);
        found.map_or("Unknown", |condition| condition.status.as_str())
    }

    /// Why the node is not ready to take pods; `None` when it is.
    #[must_use]
    pub fn unready(&self, version: &str) -> Option<String> {
        let ready = self.status.conditions.iter().find(|condition| condition.kind == "Ready");
        if ready.is_none_or(|ready| ready.status != "True") {
            let message = ready.map_or("", |ready| ready.message.as_str());
            return Some(format!("Ready is {}: {message}", self.condition("Ready")));
        }
        if self.status.node_info.kubelet_version != version {
            return Some(format!("it still runs {}", self.status.node_info.kubelet_version));
        }
        let tainted = self.spec.taints.iter().any(|taint| taint.key == NOT_READY);
        tainted.then(|| format!("it still has the taint {NOT_READY}"))
    }
}

/// Whose credentials a request from a host uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The cluster's administrator, on a server.
    Admin,
    /// The node itself, on an agent, through k3s' own balancer.
    Node,
}

/// The start of a curl command line for the API, `--fail-with-body`, 5 s.
#[must_use]
pub fn curl(identity: Identity) -> String {
    let (folder, ca, user) = match identity {
        Identity::Admin => ("/var/lib/rancher/k3s/server/tls", "server-ca.crt", "client-admin"),
        Identity::Node => ("/var/lib/rancher/k3s/agent", "server-ca.crt", "client-kubelet"),
    };
    format!(
        "curl -sS --max-time 5 --fail-with-body --cacert {folder}/{ca} \
         --cert {folder}/{user}.crt --key {folder}/{user}.key"
    )
}

/// The address of `path` for a request with that identity.
#[must_use]
pub fn url(identity: Identity, path: &str) -> String {
    let port = match identity {
        Identity::Admin => 6443,
        Identity::Node => 6444,
    };
    quote(&format!("https://127.0.0.1:{port}{path}"))
}

/// The read-only script that prints all nodes as JSON, or the one node that an agent may see.
#[must_use]
pub fn get(identity: Identity, node: &str) -> String {
    let path = match identity {
        Identity::Admin => String::from("/api/v1/nodes?pretty=false"),
        Identity::Node => format!("/api/v1/nodes/{node}?pretty=false"),
    };
    format!("{} {}\n", curl(identity), url(identity, &path))
}

/// Reads what [`get`] printed: one node or a list.
///
/// # Errors
/// When it is neither.
pub fn nodes(json: &str) -> anyhow::Result<Vec<Node>> {
    if let Ok(list) = serde_json::from_str::<List>(json) {
        return Ok(list.items);
    }
    let node: Node = serde_json::from_str(json).context("the API's answer is not a node")?;
    Ok(vec![node])
}
