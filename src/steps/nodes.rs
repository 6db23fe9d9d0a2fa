//! `nodes`: labels and taints of every node, set on the first server through the API.

use super::Inputs;
use crate::actions::NodeSettings;
use crate::step::Step;

/// What `nodes` makes true in the cluster, in the order of cluster.toml.
#[expect(clippy::unnecessary_wraps, reason = "every step is built alike")]
pub fn nodes(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let mut step = Step::new("nodes");
    for host in inputs.nodes {
        step.ensure(NodeSettings::new(&host.name, &host.labels, &host.taints));
    }
    Ok(step)
}
