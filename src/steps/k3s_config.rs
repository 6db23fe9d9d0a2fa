//! k3s' config.yaml: typed, one for each role, never shared between them.

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::Inputs;
use crate::actions::File;

/// Where every setting of k3s is.
pub const CONFIG: &str = "/etc/rancher/k3s/config.yaml";
/// The token that an agent or a further server joins with.
pub const TOKEN: &str = "/etc/rancher/k3s/join-token";

/// What servers and agents alike are told about themselves.
pub fn common(inputs: &Inputs<'_>) -> Map<String, Value> {
    let host = inputs.host;
    let mut keys = Map::new();
    keys.insert("node-name".into(), json!(host.name));
    if let Some(address) = host.node_ip {
        keys.insert("node-ip".into(), json!(address.to_string()));
    }
    if let Some(address) = host.external_ip {
        keys.insert("node-external-ip".into(), json!(address.to_string()));
    }
    if let Some(interface) = &host.interface {
        keys.insert("flannel-iface".into(), json!(interface));
    }
    keys
}

/// config.yaml with `keys`, and after them what cluster.toml adds or replaces.
pub fn file(keys: Map<String, Value>, further: &Map<String, Value>) -> anyhow::Result<File> {
    let mut keys = keys;
    for (key, value) in further {
        keys.insert(key.clone(), value.clone());
    }
    let yaml = serde_saphyr::to_string(&keys).context("cannot write k3s' config.yaml")?;
    Ok(File::new(CONFIG, format!("# Laid down by oceanid from cluster.toml.\n{yaml}"))
        .mode(0o600)
        .replaces_secrets())
}
