//! `firewall`: ufw lets in only what the cluster needs.

use super::remember_the_operator;
use crate::actions::{Firewall, KeptRules, Packages, RejectRules};
use crate::firewall::{admits_operator, paths_hold, wanted};
use crate::step::Step;
use crate::steps::Inputs;
use crate::templates::{RulesUnit, render};

/// What `firewall` makes true on a host, in order.
pub fn firewall(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let (cluster, host, facts) = (inputs.cluster, inputs.host, inputs.facts);
    admits_operator(cluster, host, facts)?;
    let mut step = Step::new("firewall");
    let wanted = wanted(cluster, host, facts);
    // A rule too few can lock us out, or cut the pods off: the host undoes this step unless all is well after it.
    step.guard(cluster.guard);
    step.must_hold(paths_hold(cluster, host));
    if is_visited(inputs) {
        step.ensure(Firewall::where_enabled(wanted.rules));
        note_others(inputs, &mut step);
        return Ok(step);
    }
    wanted.notes.into_iter().for_each(|note| step.note(note));
    // The API stays open to the address that the host was hardened from, wherever we come from later.
    remember_the_operator(&mut step, inputs);
    // ufw and netfilter-persistent exclude each other; what the latter loads at boot is needed still.
    step.ensure(KeptRules::loaded_by(render(&RulesUnit)?));
    step.ensure(
        Packages::installed(&["ufw"]).without(&["iptables-persistent", "netfilter-persistent"]),
    );
    // Before ufw, whose chains come after them, and before k3s, whose pods they would cut off.
    step.ensure(RejectRules);
    step.ensure(Firewall::enabled(wanted.rules));
    Ok(step)
}

/// Whether the host is looked at only because a node that was selected needs to get to it.
fn is_visited(inputs: &Inputs<'_>) -> bool {
    inputs.nodes.iter().all(|node| node.name != inputs.host.name)
}

/// Nodes that are not looked at now do not know of a new one.
fn note_others(inputs: &Inputs<'_>, step: &mut Step) {
    let is_away =
        |name: &str| name != inputs.host.name && inputs.nodes.iter().all(|node| node.name != name);
    let names = inputs.cluster.hosts.iter().map(|host| host.name.as_str());
    let away: Vec<&str> = names.filter(|name| is_away(name)).collect();
    if !away.is_empty() {
        step.note(format!(
            "the firewalls of {} learn of a new node by `oceanid bootstrap --only firewall`",
            away.join(", ")
        ));
    }
}
