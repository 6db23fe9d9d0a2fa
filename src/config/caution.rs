//! Warnings: what may be meant so, but often is not.

use std::net::IpAddr;

use super::file::{File, NodeSection};
use super::finding::{Finding, Findings};
use super::network::is_private;
use super::reach;
use super::suggest::all;
use super::written::Written;
use crate::cluster::Role;

/// Adds every warning that concerns more than one value.
pub fn check(file: &File, out: &mut Findings) {
    for node in &file.node {
        private_node(node, file, out);
    }
    private_server(file, out);
    if let (Some(gpu), false) = (&file.gpu, file.node.iter().any(|node| *node.gpu.value())) {
        let title = "`[gpu]` is for nodes with `gpu = true`, but there are none";
        out.push(Finding::warning(gpu.span(), title));
    }
    unenforced(file, out);
    unused(file, out);
}

/// The zones are namespaces with network policies, which somebody must enforce.
fn unenforced(file: &File, out: &mut Findings) {
    let mut settings = file.k3s.server.iter();
    let off = settings.find(|(key, value)| {
        key.value() == "disable-network-policy" && *value.value() != serde_json::json!(false)
    });
    if let (Some((key, _)), true) = (off, *file.baseline.zones.value()) {
        let title = "nothing enforces the zones' network policies: k3s' own controller is disabled";
        let hint = "install another one, or take out `disable-network-policy`";
        out.push(Finding::warning(key.span(), title).hint(hint));
    }
}

fn private(node: &NodeSection) -> Option<IpAddr> {
    let address = node.address.as_ref()?;
    address.parse().ok().filter(|ip| is_private(*ip))
}

fn private_node(node: &NodeSection, file: &File, out: &mut Findings) {
    let direct = !*node.local.value() && reach::jumps(node, file).is_empty();
    let (Some(ip), Some(address), true) = (private(node), &node.address, direct) else { return };
    let title = format!("{ip} is a private address: only its own network reaches it");
    let hint = "from elsewhere add `jump = [\"…\"]`; on the node itself add `local = true`";
    out.push(Finding::warning(address.span(), title).hint(hint));
}

/// Agents join through the address of the server, wherever oceanid itself runs.
fn private_server(file: &File, out: &mut Findings) {
    let role =
        |node: &&NodeSection, role| node.role.as_ref().is_some_and(|own| *own.value() == role);
    let Some(server) = file.node.iter().find(|node| role(node, Role::Server)) else { return };
    let is_public = |node: &NodeSection| {
        let ip = node.address.as_ref().and_then(|address| address.parse::<IpAddr>().ok());
        node.external_ip.is_some() || ip.is_some_and(|ip| !is_private(ip) && !ip.is_loopback())
    };
    let mut agents = file.node.iter().filter(|node| role(node, Role::Agent));
    let Some(agent) = agents.find(|node| is_public(node)) else { return };
    let endpoint = match &file.k3s.endpoint {
        Some(endpoint) => Some(endpoint),
        None => server.external_ip.as_ref().or(server.address.as_ref()),
    };
    let Some(endpoint) = endpoint else { return };
    let Some(ip) = endpoint.parse().ok().filter(|ip| is_private(*ip)) else { return };
    let elsewhere = agent.name.as_ref().map_or("an agent", |name| name.as_str());
    let title = format!("agents join through {ip}, but `{elsewhere}` has a public address");
    let hint = "give the server an `external-ip`, or set `k3s.endpoint`, if they share no network";
    out.push(Finding::warning(endpoint.span(), title).hint(hint));
}

/// Sections that are read and checked, but that no step of this version uses.
fn unused(file: &File, out: &mut Findings) {
    let sections = [("[[tunnel]]", file.tunnel.first().map(Written::span))];
    let present = || sections.iter().filter_map(|(name, span)| Some((*name, span.clone()?)));
    let Some((_, first)) = present().min_by_key(|(_, span)| span.start) else { return };
    let names = all(present().map(|(name, _)| name));
    let title = format!("no step of this version uses {names} yet");
    out.push(
        Finding::warning(first, title).hint("what stands there is checked, and has no effect"),
    );
}
