//! `k3s-agent`: a k3s agent that joined the cluster it was meant for, and is Ready.

use serde_json::json;

use super::k3s_layout::Layout;
use super::{Inputs, k3s_config, k3s_join, k3s_version};
use crate::actions::NodeReady;
use crate::k3s_settings;
use crate::kube::{Identity, Wanted};
use crate::step::Step;

/// What `k3s-agent` makes true on an agent, in order.
pub fn k3s_agent(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let k3s = &inputs.cluster.k3s;
    k3s_version::check_agent(inputs)?;
    k3s_join::check_name(inputs)?;
    let mut step = Step::new("k3s-agent");
    let token = k3s_join::agent_token(inputs, k3s_config::TOKEN)?;
    let mut keys = k3s_settings::agent(inputs.cluster, inputs.host, inputs.facts)?;
    keys.insert("server".into(), json!(format!("https://{}:6443", k3s.endpoint)));
    keys.insert("token-file".into(), json!(k3s_config::TOKEN));
    let config = k3s_config::file(keys, &k3s.agent)?;
    let layout = Layout::new(inputs, &config)?;
    // Before anything of k3s is installed: this host reaches the API, and it is the one that the token is for.
    step.ensure(k3s_join::server_is_ours(inputs));
    layout.files(&mut step, inputs)?;
    step.ensure(token.clone());
    step.ensure(config.clone());
    step.ensure(layout.running().restarts_with(&token).restarts_with(&config).within(k3s.ready));
    let wanted = Wanted::of(inputs.cluster, inputs.host, &inputs.releases.k3s.version);
    let name = &inputs.host.name;
    step.ensure(NodeReady::new(name, wanted, Identity::Node, "k3s-agent.service", k3s.ready));
    k3s_config::put_back_unless_up(&mut step, inputs, "k3s-agent.service", Identity::Node);
    Ok(step)
}
