//! `k3s-server`: a k3s server that answers and whose node is Ready.

use serde_json::json;

use super::k3s_layout::Layout;
use super::{Inputs, k3s_config};
use crate::actions::{File, Keeps, NodeReady};
use crate::kube::Identity;
use crate::step::Step;

/// What `k3s-server` makes true on a server, in order.
pub fn k3s_server(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let k3s = &inputs.cluster.k3s;
    let mut step = Step::new("k3s-server");
    let config = config(inputs)?;
    let layout = Layout::new(inputs, &config)?;
    step.ensure(Keeps::of(&config));
    layout.files(&mut step, inputs)?;
    if is_further(inputs) {
        step.ensure(token(inputs));
    }
    step.ensure(config.clone());
    step.ensure(layout.running().restarts_with(&config).within(k3s.ready));
    let name = &inputs.host.name;
    step.ensure(NodeReady::new(
        name,
        &inputs.releases.k3s.version,
        Identity::Admin,
        "k3s.service",
        k3s.ready,
    ));
    Ok(step)
}

fn is_further(inputs: &Inputs<'_>) -> bool {
    inputs.host.name != inputs.cluster.first_server().name
}

/// The join token, as the first server gives it now.
pub(super) fn token(inputs: &Inputs<'_>) -> File {
    match inputs.first_server.and_then(|facts| facts.join_token.clone()) {
        Some(token) => File::secret(k3s_config::TOKEN, token),
        None => File::later(k3s_config::TOKEN),
    }
}

fn config(inputs: &Inputs<'_>) -> anyhow::Result<File> {
    let k3s = &inputs.cluster.k3s;
    let mut keys = k3s_config::common(inputs);
    let mut names = vec![k3s.endpoint.clone()];
    names.extend(k3s.tls_san.iter().filter(|name| **name != k3s.endpoint).cloned());
    keys.insert("tls-san".into(), json!(names));
    keys.insert("cluster-cidr".into(), json!(k3s.pod_cidr.to_string()));
    keys.insert("service-cidr".into(), json!(k3s.service_cidr.to_string()));
    keys.insert("flannel-backend".into(), json!(k3s.flannel_backend));
    if k3s.flannel_backend == "wireguard-native" {
        keys.insert("flannel-external-ip".into(), json!(true));
    }
    // A bare 0600 would be the number 384 to k3s.
    keys.insert("write-kubeconfig-mode".into(), json!("0600"));
    keys.insert("protect-kernel-defaults".into(), json!(true));
    // Only the very first start can switch it on.
    keys.insert("secrets-encryption".into(), json!(true));
    if !k3s.disable.is_empty() {
        keys.insert("disable".into(), json!(k3s.disable));
    }
    if inputs.cluster.servers().count() > 1 {
        if is_further(inputs) {
            keys.insert("server".into(), json!(format!("https://{}:6443", k3s.endpoint)));
            keys.insert("token-file".into(), json!(k3s_config::TOKEN));
        } else {
            keys.insert("cluster-init".into(), json!(true));
        }
    }
    k3s_config::file(keys, &k3s.server)
}
