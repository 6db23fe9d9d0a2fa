//! The Kubernetes API as oceanid uses it: from the hosts themselves, with the credentials that k3s keeps there.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::script::quote;

pub use census::{Census, FRESH, Wanted};

mod census;
pub mod compare;
pub mod fields;
pub mod object;
pub mod survey;

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
    /// The `/etc/machine-id` of the host.
    #[serde(default, rename = "machineID")]
    pub machine_id: String,
}

#[derive(Deserialize)]
struct List {
    items: Vec<Node>,
}

impl Node {
    /// The status of the condition `kind`, `Unknown` when the node does not have it.
    #[must_use]
    pub fn condition(&self, kind: &str) -> &str {
        let found = self.status.conditions.iter().find(|condition| condition.kind == kind);
        found.map_or("Unknown", |condition| condition.status.as_str())
    }

    /// The addresses of that kind: `InternalIP`, `ExternalIP`.
    pub fn addresses(&self, kind: &str) -> impl Iterator<Item = &str> {
        let all = self.status.addresses.iter().filter(move |address| address.kind == kind);
        all.map(|address| address.address.as_str())
    }
}

const ALL_NODES: &str = "/api/v1/nodes?pretty=false";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

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
    format!("curl {} --fail-with-body", credentials(identity))
}

/// What curl is told before any address of the API.
fn credentials(identity: Identity) -> String {
    let (folder, ca, user) = match identity {
        Identity::Admin => ("/var/lib/rancher/k3s/server/tls", "server-ca.crt", "client-admin"),
        Identity::Node => ("/var/lib/rancher/k3s/agent", "server-ca.crt", "client-kubelet"),
    };
    format!(
        "-sS --max-time 5 --cacert {folder}/{ca} \
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
        Identity::Admin => String::from(ALL_NODES),
        Identity::Node => format!("/api/v1/nodes/{node}?pretty=false"),
    };
    format!("{} {}\n", curl(identity), url(identity, &path))
}

/// As [`get`], with the lease or leases before it: one process, which fails where [`get`] does.
#[must_use]
pub fn get_with_leases(identity: Identity, node: &str) -> String {
    match identity {
        Identity::Admin => {
            format!("{}\n", both(identity, &format!("{LEASES}?pretty=false"), ALL_NODES))
        }
        Identity::Node => format!("{}\n", get_one_with_lease(identity, node)),
    }
}

/// The command that prints one node as JSON, and its lease before it.
#[must_use]
pub fn get_one_with_lease(identity: Identity, node: &str) -> String {
    let lease = format!("{LEASES}/{node}?pretty=false");
    both(identity, &lease, &format!("/api/v1/nodes/{node}?pretty=false"))
}

/// The read-only script that prints the HTTP status of each path, a line each, asked as administrator.
#[must_use]
pub fn codes(paths: &[String]) -> String {
    let asked = paths.iter().map(|path| {
        let credentials = credentials(Identity::Admin);
        format!("{credentials} -o /dev/null -w '%{{http_code}}\\n' {}", url(Identity::Admin, path))
    });
    format!("curl {}\n", asked.collect::<Vec<_>>().join(" --next "))
}

/// The command that prints the names of kube-system's secrets, without the secrets, and all nodes.
#[must_use]
pub fn get_with_passwords(identity: Identity) -> String {
    let names = "-H 'Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'";
    let secrets = "/api/v1/namespaces/kube-system/secrets?pretty=false";
    let credentials = credentials(identity);
    format!(
        "curl --fail-early {credentials} {names} {} --next {credentials} --fail-with-body {}",
        url(identity, secrets),
        url(identity, ALL_NODES)
    )
}

/// Gets `first`, which may be missing, and `second`, which may not.
fn both(identity: Identity, first: &str, second: &str) -> String {
    let credentials = credentials(identity);
    format!(
        "curl --fail-early {credentials} {} --next {credentials} --fail-with-body {}",
        url(identity, first),
        url(identity, second)
    )
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
