//! `k3s-server`: a k3s server that answers and whose node is Ready.

use serde_json::json;

use super::{Inputs, k3s_config};
use crate::actions::{File, NodeReady, Unit};
use crate::kube::Identity;
use crate::step::Step;

mod datastore;
#[cfg(test)]
mod tests;

/// What `k3s-server` makes true on a server, in order.
pub fn k3s_server(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let k3s = &inputs.cluster.k3s;
    let mut step = Step::new("k3s-server");
    let program = k3s_config::program(inputs)?;
    let config = config(inputs)?;
    let unit = k3s_config::unit("k3s.service", "server")?;
    let external = datastore::external(inputs);
    if let Some(no_other) = datastore::no_other(inputs) {
        step.ensure(no_other);
    }
    if let Some((is_reached, _)) = &external {
        step.ensure(is_reached.clone());
    }
    step.ensure(program.clone());
    if let Some(token) = datastore::server_token(inputs) {
        step.ensure(token);
    }
    step.ensure(config.clone());
    step.ensure(unit.clone());
    let mut running = Unit::running("k3s.service")
        .restarts_with(&config)
        .restarts_with(&unit)
        .restarts_with_program(&program)
        .within(k3s.ready);
    if let Some((_, file)) = external {
        running = running.restarts_with(&file);
        step.ensure(file);
    }
    step.ensure(running);
    let name = &inputs.host.name;
    step.ensure(NodeReady::new(name, &k3s.version, Identity::Admin, "k3s.service", k3s.ready));
    Ok(step)
}

fn is_further(inputs: &Inputs<'_>) -> bool {
    inputs.host.name != inputs.cluster.first_server().name
}

/// The agents' token, as the first server gives it now.
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
    datastore::keys(inputs, &mut keys);
    k3s_config::file(keys, &k3s.server)
}
