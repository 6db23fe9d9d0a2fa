//! The networks of pods and services, and what must not lie within them.

use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;

use super::file::{File, NodeSection};
use super::finding::{Finding, Findings};
use super::syntax::{self, Parsed, Wrong};
use super::written::Written;
use crate::cluster::{Host, Role};

/// How much of a pod network k3s gives each node.
const NODE_PREFIX: u8 = 24;

/// The networks of the cluster.
#[derive(Debug, Clone, Copy)]
pub struct Networks {
    pub pod: IpNet,
    pub service: IpNet,
}

/// Reads the networks.
pub fn read(file: &File, out: &mut Findings) -> Option<Networks> {
    let section = &file.cluster;
    let pod = out.read("pod-cidr", &section.pod_cidr, cidr);
    let service = out.read("service-cidr", &section.service_cidr, cidr);
    if let Some(pod) = pod {
        room(pod, file, out);
    }
    if let Some(service) = service
        && service.max_prefix_len() - service.prefix_len() > 20
    {
        let title = format!("`service-cidr` is too large: {service}");
        let hint = "Kubernetes takes at most 20 bits, such as `10.43.0.0/16`";
        out.push(Finding::error(section.service_cidr.span(), title).hint(hint));
    }
    for node in &file.node {
        outside(node, pod, service, file, out);
    }
    let networks = Networks { pod: pod?, service: service? };
    apart(networks, file, out);
    Some(networks)
}

/// A network without host bits.
pub fn cidr(text: &str) -> Parsed<IpNet> {
    let wrong = |what: &str, hint: String| Wrong { what: what.to_owned(), hint: Some(hint) };
    let network: IpNet = text
        .parse()
        .map_err(|_| wrong("not a network", "an example is `10.42.0.0/16`".to_owned()))?;
    let plain = network.trunc();
    if plain == network {
        return Ok(network);
    }
    Err(wrong("an address within a network, not a network", format!("did you mean `{plain}`?")))
}

fn apart(networks: Networks, file: &File, out: &mut Findings) {
    let (pods, services) = (&file.cluster.pod_cidr, &file.cluster.service_cidr);
    let Networks { pod, service } = networks;
    // The caret goes under what the user wrote.
    let (here, there, other) = if services.span().is_empty() {
        (pods.span(), services.span(), "service-cidr")
    } else {
        (services.span(), pods.span(), "pod-cidr")
    };
    let title = if pod.contains(&service) || service.contains(&pod) {
        format!("`pod-cidr` {pod} and `service-cidr` {service} overlap")
    } else if pod.addr().is_ipv4() != service.addr().is_ipv4() {
        "`pod-cidr` and `service-cidr` are not both IPv4 or both IPv6".to_owned()
    } else {
        return;
    };
    let default = there.is_empty().then(|| format!("`{other}` is at its default: set both"));
    let finding = Finding::error(here, title).maybe_hint(default);
    out.push(finding.also(there, "the other network"));
}

/// Each node needs a part of the pod network.
fn room(pod: IpNet, file: &File, out: &mut Findings) {
    if pod.addr().is_ipv6() {
        return;
    }
    let parts = NODE_PREFIX.checked_sub(pod.prefix_len()).map_or(0, |bits| 1_usize << bits);
    if parts < file.node.len() {
        let title = format!(
            "`pod-cidr` {pod} is too small for {} nodes: each takes a /{NODE_PREFIX}",
            file.node.len()
        );
        out.push(Finding::error(file.cluster.pod_cidr.span(), title));
    }
}

fn outside(
    node: &NodeSection,
    pod: Option<IpNet>,
    service: Option<IpNet>,
    file: &File,
    out: &mut Findings,
) {
    let networks = [
        ("pod-cidr", pod, file.cluster.pod_cidr.span()),
        ("service-cidr", service, file.cluster.service_cidr.span()),
    ];
    for (key, ip, span) in addresses(node) {
        for (name, network, place) in &networks {
            if let Some(network) = network.filter(|network| network.contains(&ip)) {
                let title = format!("`{key}` {ip} lies within `{name}` {network}");
                let finding = Finding::error(span.clone(), title)
                    .hint(format!("give `cluster.{name}` a network that no host is in"));
                out.push(finding.also(place.clone(), "this network"));
            }
        }
    }
}

/// Every address that a node names, with its key and place.
fn addresses(node: &NodeSection) -> Vec<(&'static str, IpAddr, Range<usize>)> {
    let named = [
        ("address", &node.address),
        ("node-ip", &node.node_ip),
        ("external-ip", &node.external_ip),
    ];
    let parsed = |(key, text): (&'static str, &Option<Written<String>>)| {
        let text = text.as_ref()?;
        Some((key, text.parse().ok()?, text.span()))
    };
    named.into_iter().filter_map(parsed).collect()
}

/// Whether only hosts of the same site reach an address: RFC 1918, CGNAT, link-local, ULA.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && second & 0b1100_0000 == 64;
            v4.is_private() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Finds the nodes behind NAT where the file leaves it open: private, while the first server is public and elsewhere.
pub fn find_nat(file: &File, hosts: &mut [Host]) {
    let is_public = |host: &Host| host.addresses().into_iter().any(|ip| !is_private(ip));
    let server = hosts.iter().find(|host| host.role == Role::Server);
    let Some(server) = server.filter(|server| is_public(server)) else { return };
    let site = server.site.clone();
    let beside = |host: &Host| site.is_some() && host.site == site;
    for host in hosts.iter_mut().filter(|host| !host.addresses().is_empty() && !is_public(host)) {
        let own = |node: &&NodeSection| node.name.as_deref().is_some_and(|name| *name == host.name);
        let written = file.node.iter().find(own).and_then(|node| node.behind_nat.as_ref());
        host.behind_nat = written.map_or(!beside(host), |nat| *nat.value());
    }
}

/// Reads names and addresses of hosts.
pub fn hosts(key: &str, names: &[Written<String>], out: &mut Findings) -> Vec<String> {
    let mut good = Vec::new();
    for name in names {
        if out.read(key, name, syntax::host).is_some() {
            good.push(name.value().clone());
        }
    }
    good
}
