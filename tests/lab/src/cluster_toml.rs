//! The project's own `cluster.toml` with the lab's hosts in it.

use std::path::Path;

use anyhow::{Context, Result};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, value};

use crate::host::Host;
use crate::releases::Artifact;
use crate::topology::{Place, Privilege};

const EXAMPLE: &str = include_str!("../../../cluster.toml");

/// The parts of the hardening that can be switched off.
const PARTS: &[&str] = &[
    "ssh",
    "bans",
    "kernel",
    "journal",
    "upgrades",
    "needrestart",
    "time",
    "audit",
    "swap",
    "sleep",
    "network-manager",
    "files",
    "passwords",
];

/// `cluster.toml` for a lab, to be changed further before it is written.
#[derive(Debug, Clone)]
pub struct ClusterToml {
    /// The document.
    pub document: DocumentMut,
}

impl ClusterToml {
    /// The example with only `hosts` in it; the first is a server if none of the example's is.
    pub(crate) fn new(hosts: &[Host]) -> Result<Self> {
        let mut document: DocumentMut = EXAMPLE.parse()?;
        let gate = hosts.iter().find(|host| host.spec.place == Place::Gate);
        let examples = document.get("node").and_then(Item::as_array_of_tables).cloned();
        let examples = examples.context("no nodes in the example")?;
        let mut nodes = ArrayOfTables::new();
        for host in hosts.iter().filter(|host| host.spec.place != Place::Gate) {
            let example = examples
                .iter()
                .find(|node| node.get("name").and_then(Item::as_str) == Some(host.name()));
            let mut node = example.cloned().unwrap_or_default();
            fill(&mut node, host, gate);
            if nodes.is_empty() && !hosts.iter().any(|host| host.name() == "tethys") {
                node["role"] = value("server");
            }
            nodes.push(node);
        }
        document["node"] = Item::ArrayOfTables(nodes);
        if !hosts.iter().any(|host| host.spec.gpu) {
            for section in ["gpu", "triton", "tunnel"] {
                document.remove(section);
            }
        }
        Ok(Self { document })
    }

    /// Takes k3s and cloudflared from `url` and sets what a lab needs of it.
    pub(crate) fn serve(&mut self, url: &str, artifact: &Artifact) {
        if !self.document.contains_key("sources") {
            self.document["sources"] = Item::Table(Table::new());
        }
        for program in ["k3s", "cloudflared"] {
            self.document["sources"][program] = value(format!("{url}/{program}"));
        }
        self.document["k3s"]["version"] = value(&artifact.version);
        // This kernel may lack WireGuard.
        self.document["k3s"]["flannel-backend"] = value("vxlan");
        let mut keys = InlineTable::new();
        if !artifact.sim {
            // The hosts' disks are overlays, and overlays do not stack.
            keys.insert("snapshotter", "native".into());
        }
        if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            // This machine's cgroups are those of the hosts.
            keys.insert("kubelet-arg", Array::from_iter(["fail-cgroupv1=false"]).into());
        }
        for role in ["server", "agent"].iter().filter(|_| !keys.is_empty()) {
            self.document["k3s"][role] = value(keys.clone());
        }
    }

    /// Takes the container toolkit from `url`, signed by the key of that fingerprint.
    pub(crate) fn serve_nvidia(&mut self, url: &str, fingerprint: &str) {
        self.document["sources"]["nvidia"] = value(format!("{url}/nvidia/deb"));
        self.document["sources"]["nvidia-key"] = value(format!("{url}/nvidia/gpgkey"));
        self.document["sources"]["nvidia-fingerprint"] = value(fingerprint);
    }

    /// Switches off every part of the hardening: for tests that are about something else.
    pub fn leave_unhardened(&mut self) {
        let mut off = Table::new();
        for part in PARTS {
            off.insert(part, value(false));
        }
        off.insert("firewall", value("off"));
        self.document["harden"] = Item::Table(off);
    }

    /// Sets `key` of node `name`.
    pub fn set_node(&mut self, name: &str, key: &str, item: Item) -> Result<()> {
        let nodes = self.document["node"].as_array_of_tables_mut().context("no nodes")?;
        let node = nodes
            .iter_mut()
            .find(|node| node.get("name").and_then(Item::as_str) == Some(name))
            .with_context(|| format!("no node `{name}`"))?;
        node[key] = item;
        Ok(())
    }
}

impl std::fmt::Display for ClusterToml {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.document.fmt(formatter)
    }
}

/// The name of the environment variable with the sudo password of `name`.
pub(crate) fn sudo_variable(name: &str) -> String {
    format!("{}_SUDO", name.to_uppercase().replace('-', "_"))
}

fn fill(node: &mut Table, host: &Host, gate: Option<&Host>) {
    let address = host.address.to_string();
    node["name"] = value(host.name());
    if !node.contains_key("role") {
        node["role"] = value("agent");
    }
    node["address"] = value(&address);
    node["user"] = value(&host.spec.login.user);
    node.remove("sudo-password");
    if host.spec.gpu {
        node["gpu"] = value(true);
    } else {
        node.remove("gpu");
    }
    if let Privilege::SudoPassword(_) = host.spec.login.privilege {
        let mut reference = InlineTable::new();
        reference.insert("env", sudo_variable(host.name()).into());
        node["sudo-password"] = value(reference);
    }
    match (host.spec.place, gate) {
        (Place::Home, Some(gate)) => {
            node.remove("external-ip");
            let mut jump = Array::new();
            jump.push(format!("{}@{}:22", gate.spec.login.user, gate.address));
            node["jump"] = value(jump);
        }
        _ => node["external-ip"] = value(&address),
    }
}
