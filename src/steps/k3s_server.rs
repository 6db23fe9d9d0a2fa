//! `k3s-server`: a k3s server that answers and whose node is Ready.

use serde_json::json;

use super::k3s_layout::Layout;
use super::{Inputs, k3s_config, k3s_join, k3s_version};
use crate::actions::{File, Folder, NodeReady};
use crate::k3s_settings::{self, cis};
use crate::kube::{Identity, Wanted};
use crate::step::Step;
use crate::templates::{AuditPolicy, PodSecurity, render};

mod datastore;
#[cfg(test)]
mod tests;

/// What `k3s-server` makes true on a server, in order.
pub fn k3s_server(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let k3s = &inputs.cluster.k3s;
    k3s_version::check_server(inputs)?;
    let mut step = Step::new("k3s-server");
    let config = config(inputs)?;
    let layout = Layout::new(inputs, &config)?;
    let external = datastore::external(inputs);
    if let Some(no_other) = datastore::no_other(inputs) {
        step.ensure(no_other);
    }
    if let Some((is_reached, _)) = &external {
        step.ensure(is_reached.clone());
    }
    layout.files(&mut step, inputs)?;
    if let Some(token) = datastore::server_token(inputs) {
        step.ensure(token);
        step.ensure(k3s_join::agent_token(inputs, k3s_config::AGENT_TOKEN)?);
    } else {
        step.ensure(k3s_join::agent_token_of_first());
    }
    let mut service = layout.running().restarts_with(&config).within(k3s.ready);
    if k3s.cis {
        for policy in policies(&mut step)? {
            service = service.restarts_with(&policy);
        }
    }
    step.ensure(config.clone());
    if let Some((_, file)) = external {
        service = service.restarts_with(&file);
        step.ensure(file);
    }
    step.ensure(service);
    let wanted = Wanted::of(inputs.cluster, inputs.host, &inputs.releases.k3s.version);
    let name = &inputs.host.name;
    step.ensure(NodeReady::new(name, wanted, Identity::Admin, "k3s.service", k3s.ready));
    k3s_config::put_back_unless_up(&mut step, inputs, "k3s.service", Identity::Admin);
    Ok(step)
}

fn is_further(inputs: &Inputs<'_>) -> bool {
    inputs.host.name != inputs.cluster.first_server().name
}

fn config(inputs: &Inputs<'_>) -> anyhow::Result<File> {
    let k3s = &inputs.cluster.k3s;
    let mut keys = k3s_settings::server(inputs.cluster, inputs.host, inputs.facts)?;
    keys.insert("agent-token-file".into(), json!(k3s_config::AGENT_TOKEN));
    datastore::keys(inputs, &mut keys);
    k3s_config::file(keys, &k3s.server)
}

/// What the API reads when it starts; it must be there before, in a folder that nobody else looks into.
fn policies(step: &mut Step) -> anyhow::Result<[File; 2]> {
    let files = [
        File::new(cis::ADMISSION, render(&PodSecurity)?).mode(0o600),
        File::new(cis::AUDIT, render(&AuditPolicy)?).mode(0o600),
    ];
    step.ensure(Folder::new(cis::FOLDER, 0o700));
    step.ensure(Folder::new(cis::LOGS, 0o700));
    for file in &files {
        step.ensure(file.clone());
    }
    Ok(files)
}
