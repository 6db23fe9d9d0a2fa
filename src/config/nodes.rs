//! The nodes: names, addresses, labels and taints, and what no two of them may share.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;

use super::file::{File, NodeSection};
use super::finding::{Finding, Findings};
use super::harden;
use super::network;
use super::reach;
use super::syntax;
use super::written::Written;
use crate::cluster::{Host, Role, Taint};

/// Reads every node; one that is wrong is missing in the answer.
pub fn read(file: &File, out: &mut Findings) -> Vec<Host> {
    harden::check(file, out);
    let mut hosts: Vec<Host> = file.node.iter().filter_map(|node| host(node, file, out)).collect();
    network::find_nat(file, &mut hosts);
    unique(file, out);
    reach::check(file, out);
    servers(file, out);
    hosts
}

fn host(node: &NodeSection, file: &File, out: &mut Findings) -> Option<Host> {
    let mut read = |key, text: &Option<Written<String>>, grammar: fn(&str) -> _| {
        text.as_ref().map(|text| out.read::<()>(key, text, grammar))
    };
    read("name", &node.name, syntax::node_name);
    read("address", &node.address, syntax::host);
    read("interface", &node.interface, syntax::interface);
    read("host-key", &node.host_key, syntax::host_key);
    let mut ip = |key, text: &Option<Written<String>>| {
        text.as_ref().and_then(|text| out.read(key, text, syntax::ip))
    };
    let node_ip = ip("node-ip", &node.node_ip);
    let external_ip = ip("external-ip", &node.external_ip);
    let labels = labels(node, out);
    let taints = taints(node, out);
    let ssh = reach::ssh(node, file, out);
    Some(Host {
        name: node.name.as_deref()?.clone(),
        role: *node.role.as_deref()?,
        address: node.address.as_deref()?.clone(),
        local: *node.local.value(),
        ssh,
        node_ip,
        external_ip,
        interface: node.interface.as_deref().cloned(),
        site: node.site.as_deref().cloned(),
        labels,
        taints,
        gpu: *node.gpu.value(),
        behind_nat: node.behind_nat.as_ref().is_some_and(|nat| *nat.value()),
        harden: harden::of(node, file),
    })
}

fn labels(node: &NodeSection, out: &mut Findings) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (key, value) in &node.labels {
        out.read("labels", key, syntax::qualified_name);
        out.read("labels", value, syntax::label_value);
        if let Some(reason) = syntax::reserved(key.value()) {
            let title = format!("the label `{}` is reserved", key.value());
            out.push(Finding::error(key.span(), title).hint(reason));
        }
        labels.insert(key.value().clone(), value.value().clone());
    }
    labels
}

fn taints(node: &NodeSection, out: &mut Findings) -> Vec<Taint> {
    let mut taints: Vec<Taint> = Vec::new();
    for text in &node.taints {
        let Some(taint) = out.read("taints", text, syntax::taint) else { continue };
        let same = |other: &Taint| other.key == taint.key && other.effect == taint.effect;
        if taints.iter().any(same) {
            let title =
                format!("a second taint `{}` with the effect `{}`", taint.key, taint.effect);
            out.push(Finding::error(text.span(), title));
        }
        taints.push(taint);
    }
    taints
}

/// No two nodes share a name, a place to connect to, or an address in the cluster.
fn unique(file: &File, out: &mut Findings) {
    let names = file.node.iter().filter_map(|node| node.name.as_ref());
    let names = names.map(|name| (name.to_lowercase(), name.span()));
    duplicates(names, |name| format!("two nodes are called `{name}`"), None, out);
    let places = file.node.iter().filter_map(|node| {
        let address = node.address.as_ref()?;
        let key = address.parse().map_or_else(|_| address.to_lowercase(), canonical);
        // The same private address may be another machine behind another jump host.
        let jumps = reach::jumps(node, file).iter().map(|jump| jump.value().as_str()).collect();
        Some(((key, reach::port(node, file).unwrap_or(22), jumps), address.span()))
    });
    let hint = "two hosts behind one address differ in `port` or `jump`";
    let say = |(name, port, _): &(String, u16, Vec<&str>)| {
        format!("two nodes have the address `{name}`, port {port}")
    };
    duplicates(places, say, Some(hint), out);
    let ips = file.node.iter().filter_map(|node| {
        let ip = node.node_ip.as_ref()?;
        Some((ip.parse().ok().map(canonical)?, ip.span()))
    });
    duplicates(ips, |ip| format!("two nodes have the `node-ip` {ip}"), None, out);
    let local = file.node.iter().filter(|node| *node.local.value());
    let local = local.map(|node| ((), node.local.span()));
    duplicates(
        local,
        |()| "two nodes are local, but oceanid runs on one host".to_owned(),
        None,
        out,
    );
}

fn canonical(ip: std::net::IpAddr) -> String {
    ip.to_canonical().to_string()
}

fn duplicates<K: PartialEq + Debug>(
    values: impl Iterator<Item = (K, Range<usize>)>,
    title: impl Fn(&K) -> String,
    hint: Option<&str>,
    out: &mut Findings,
) {
    let mut seen: Vec<(K, Range<usize>)> = Vec::new();
    for (value, span) in values {
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == value) {
            let finding = Finding::error(span, title(&value)).also(first.clone(), "the first one");
            out.push(finding.maybe_hint(hint.map(str::to_owned)));
        } else {
            seen.push((value, span));
        }
    }
}

fn servers(file: &File, out: &mut Findings) {
    let roles: Option<Vec<_>> = file.node.iter().map(|node| node.role.as_ref()).collect();
    // Without every role nothing can be said.
    let Some(roles) = roles else { return };
    if let Some(first) = roles.first()
        && roles.iter().all(|role| *role.value() == Role::Agent)
    {
        let title = "no node is a server: there is nothing that agents could join";
        let hint = "give the node that runs the control plane `role = \"server\"`";
        out.push(Finding::error(first.span(), title).hint(hint));
    }
}
