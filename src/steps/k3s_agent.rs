//! `k3s-agent`: a k3s agent that joined the cluster it was meant for, and is Ready.

use serde_json::json;

use super::k3s_layout::Layout;
use super::{Inputs, k3s_config, k3s_server};
use crate::actions::{Command, NodeReady};
use crate::kube::Identity;
use crate::script::{Script, quote};
use crate::secret;
use crate::step::Step;

/// What `k3s-agent` makes true on an agent, in order.
pub fn k3s_agent(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let k3s = &inputs.cluster.k3s;
    let mut step = Step::new("k3s-agent");
    let token = k3s_server::token(inputs);
    let mut keys = k3s_config::common(inputs);
    keys.insert("server".into(), json!(format!("https://{}:6443", k3s.endpoint)));
    keys.insert("token-file".into(), json!(k3s_config::TOKEN));
    keys.insert("protect-kernel-defaults".into(), json!(true));
    let config = k3s_config::file(keys, &k3s.agent)?;
    let layout = Layout::new(inputs, &config)?;
    // Before anything of k3s is installed: this host reaches the API, and it is the one that the token is for.
    step.ensure(server_is_ours(inputs));
    layout.files(&mut step, inputs)?;
    step.ensure(token.clone());
    step.ensure(config.clone());
    step.ensure(layout.running().restarts_with(&token).restarts_with(&config).within(k3s.ready));
    let name = &inputs.host.name;
    step.ensure(NodeReady::new(
        name,
        &inputs.releases.k3s.version,
        Identity::Node,
        "k3s-agent.service",
        k3s.ready,
    ));
    Ok(step)
}

/// The server's CA, as this host sees it, is the one in the join token.
fn server_is_ours(inputs: &Inputs<'_>) -> Command {
    let endpoint = &inputs.cluster.k3s.endpoint;
    let hash = inputs
        .first_server
        .and_then(|facts| facts.join_token.as_ref())
        .and_then(secret::ca_hash)
        .unwrap_or_default();
    let joined = format!(
        "sum=$(sha256sum </var/lib/rancher/k3s/agent/server-ca.crt)\n[ \"${{sum%% *}}\" = '{hash}' ]\n"
    );
    let check = format!(
        "url={url}\nca=$(curl -sSk --max-time 10 -- \"$url\" && printf .) || {{\n\
         printf 'the API at %s does not answer from here: a firewall, or the server is down\\n' \"$url\" >&2; exit 1; }}\n\
         sum=$(printf %s \"${{ca%.}}\" | sha256sum)\n\
         if [ \"${{sum%% *}}\" != '{hash}' ]; then\n\
         printf 'the CA at %s has sha256 %s, the join token wants %s: another cluster, or somebody in between\\n' \
         \"$url\" \"${{sum%% *}}\" '{hash}' >&2; exit 1; fi\n",
        url = quote(&format!("https://{endpoint}:6443/cacerts")),
    );
    Command::new(
        "server's CA",
        format!("reach https://{endpoint}:6443 and compare its CA with the token"),
        joined,
        Script::new(check),
    )
}
