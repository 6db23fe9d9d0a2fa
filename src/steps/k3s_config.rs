//! k3s' config.yaml: typed, one for each role, never shared between them.

use serde_json::{Map, Value};

use super::Inputs;
use crate::actions::{Fetch, File};
use crate::k3s_settings;
use crate::templates::{K3sUnit, render};

/// Where every setting of k3s is.
pub const CONFIG: &str = "/etc/rancher/k3s/config.yaml";
/// The token that an agent or a further server joins with.
pub const TOKEN: &str = "/etc/rancher/k3s/join-token";
const PROGRAM: &str = "/usr/local/bin/k3s";

/// The k3s program of the locked version, for this host's architecture.
pub fn program(inputs: &Inputs<'_>) -> anyhow::Result<Fetch> {
    let arch = inputs.facts.arch()?;
    let (url, sha256) = inputs.releases.k3s(&inputs.cluster.sources, arch)?;
    Ok(Fetch::new(PROGRAM, url, sha256, format!("k3s {}", inputs.cluster.k3s.version)))
}

/// The unit `k3s.service` or `k3s-agent.service`.
pub fn unit(name: &str, role: &'static str) -> anyhow::Result<File> {
    Ok(File::new(format!("/etc/systemd/system/{name}"), render(&K3sUnit { role })?))
}

/// config.yaml with `keys`, and with what cluster.toml adds or replaces.
pub fn file(keys: Map<String, Value>, further: &Map<String, Value>) -> anyhow::Result<File> {
    let mut keys = keys;
    k3s_settings::add(&mut keys, further);
    let yaml = k3s_settings::yaml(&keys)?;
    Ok(File::new(CONFIG, format!("# Laid down by oceanid from cluster.toml.\n{yaml}")).mode(0o600))
}
