//! k3s' config.yaml: typed, one for each role, never shared between them.

use serde_json::{Map, Value};

use super::{Inputs, k3s_version};
use crate::actions::File;
use crate::k3s_settings;
use crate::kube::{self, Identity};
use crate::step::Step;

/// Where every setting of k3s is.
pub const CONFIG: &str = "/etc/rancher/k3s/config.yaml";
/// The token that an agent or a further server joins with.
pub const TOKEN: &str = "/etc/rancher/k3s/join-token";
/// The token that servers let agents in with.
pub const AGENT_TOKEN: &str = "/etc/rancher/k3s/agent-token";

/// config.yaml with `keys`, and with what cluster.toml adds or replaces.
pub fn file(keys: Map<String, Value>, further: &Map<String, Value>) -> anyhow::Result<File> {
    let mut keys = keys;
    k3s_settings::add(&mut keys, further);
    let yaml = k3s_settings::yaml(&keys)?;
    Ok(File::new(CONFIG, format!("# Laid down by oceanid from cluster.toml.\n{yaml}"))
        .mode(0o600)
        .replaces_secrets())
}

/// Has the host put back what `step` changed where a k3s that ran does not come up any more.
///
/// A change of minor stays: what a newer k3s has converted, the older one cannot read.
pub fn put_back_unless_up(step: &mut Step, inputs: &Inputs<'_>, unit: &str, identity: Identity) {
    let roll = inputs.first_server.unwrap_or(inputs.facts).roll.as_ref();
    let runs = roll.and_then(|roll| roll.version(&inputs.host.name));
    let runs = runs.or(inputs.facts.k3s_version.as_deref());
    if runs.is_some_and(|runs| !k3s_version::is_near(runs, &inputs.releases.k3s.version)) {
        return;
    }
    let path = match identity {
        Identity::Admin => String::from("/readyz"),
        Identity::Node => format!("/api/v1/nodes/{}?pretty=false", inputs.host.name),
    };
    step.put_back_unless_up(format!(
        "state=$(systemctl show -p ActiveState --value -- {unit})\n\
         if [ \"$state\" != active ]; then printf '%s is %s\\n' {unit} \"$state\"; exit 1; fi\n\
         {} -o /dev/null {} 2>&1\n",
        kube::curl(identity),
        kube::url(identity, &path),
    ));
}
