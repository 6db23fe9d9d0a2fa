//! The other nodes, as flannel learns of them, and the ways to their pods.

use super::control::{Backend, Control, address_in};
use super::links::{TUNNEL, Uplink};
use super::programs::{bridge, bridge_json, ip, ip_json};
use ipnet::Ipv4Net;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

const PREFIX: &str = "flannel.alpha.coreos.com";

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The network of its pods.
    pub pods: Ipv4Net,
    /// Where it takes packets for them.
    pub address: Ipv4Addr,
    /// The hardware address of its end of the tunnel, where there are tunnels.
    pub hardware: Option<String>,
}

impl Peer {
    /// Reads a node; none while it has not published what `backend` needs.
    pub fn read(node: &Value, backend: Backend) -> Option<Self> {
        let annotation = |key: &str| annotation(node, key);
        if annotation("backend-type")? != backend.name() {
            return None;
        }
        let hardware = tunnel_of(node);
        if backend == Backend::Vxlan && hardware.is_none() {
            return None;
        }
        Some(Self { pods: pods(node)?, address: annotation("public-ip")?.parse().ok()?, hardware })
    }
}

/// Returns the network of a node's pods.
pub fn pods(node: &Value) -> Option<Ipv4Net> {
    node["spec"]["podCIDR"].as_str()?.parse().ok()
}

/// Returns the hardware address of a node's end of the tunnel.
pub fn tunnel_of(node: &Value) -> Option<String> {
    let data: Value = serde_json::from_str(annotation(node, "backend-data")?).ok()?;
    data["VtepMAC"].as_str().map(str::to_owned)
}

fn annotation<'a>(node: &'a Value, key: &str) -> Option<&'a str> {
    node["metadata"]["annotations"][format!("{PREFIX}/{key}")].as_str()
}

/// Returns what a node has to publish that it has not published: a patch, or none.
pub fn unpublished(
    node: &Value,
    control: &Control,
    address: Ipv4Addr,
    external: Option<Ipv4Addr>,
    hardware: Option<&str>,
) -> Option<Value> {
    let data = match hardware {
        Some(hardware) => json!({ "VNI": 1, "VtepMAC": hardware }).to_string(),
        None => "null".to_owned(),
    };
    let overwrite = external.filter(|_| control.by_external_address);
    let mut wanted = vec![
        ("backend-data", data),
        ("backend-type", control.backend.name().to_owned()),
        ("kube-subnet-manager", "true".to_owned()),
        ("public-ip", overwrite.unwrap_or(address).to_string()),
    ];
    wanted.extend(overwrite.map(|address| ("public-ip-overwrite", address.to_string())));
    if wanted.iter().all(|(key, value)| annotation(node, key) == Some(value)) {
        return None;
    }
    let all = wanted.into_iter().map(|(key, value)| (format!("{PREFIX}/{key}"), value.into()));
    let annotations: serde_json::Map<String, Value> = all.collect();
    Some(json!({ "metadata": { "annotations": annotations } }))
}

/// Two things that belong together: a network and its gateway, an address and its hardware.
type Pairs = BTreeSet<(String, String)>;

/// Makes the ways to `peers`, and removes those to nodes that are gone.
pub fn connect(control: &Control, uplink: &Uplink, peers: &[Peer]) -> anyhow::Result<()> {
    match control.backend {
        Backend::Vxlan => connect_tunnels(peers),
        Backend::HostGateway => connect_routes(control.cluster, uplink, peers),
        Backend::Wireguard | Backend::None => Ok(()),
    }
}

fn connect_tunnels(peers: &[Peer]) -> anyhow::Result<()> {
    let hardware = |peer: &Peer| peer.hardware.clone().unwrap_or_default();
    let first = |peer: &Peer| address_in(peer.pods, 0).to_string();
    let present = bridge_json(&format!("fdb show dev {TUNNEL}"))?;
    settle(
        &peers.iter().map(|peer| (hardware(peer), peer.address.to_string())).collect(),
        &pairs(&present, "mac", "dst"),
        |mac, dst| bridge(&format!("fdb del {mac} dev {TUNNEL} dst {dst} self")),
        |mac, dst| bridge(&format!("fdb replace {mac} dev {TUNNEL} dst {dst} self permanent")),
    )?;
    let present = ip_json(&format!("-4 neigh show dev {TUNNEL} nud permanent"))?;
    settle(
        &peers.iter().map(|peer| (first(peer), hardware(peer))).collect(),
        &pairs(&present, "dst", "lladdr"),
        |dst, _| ip(&format!("neigh del {dst} dev {TUNNEL}")),
        |dst, mac| ip(&format!("neigh replace {dst} lladdr {mac} dev {TUNNEL} nud permanent")),
    )?;
    let present = ip_json(&format!("-4 route show dev {TUNNEL}"))?;
    settle(
        &peers.iter().map(|peer| (peer.pods.to_string(), first(peer))).collect(),
        &pairs(&present, "dst", "gateway"),
        |dst, _| ip(&format!("route del {dst} dev {TUNNEL}")),
        |dst, via| ip(&format!("route replace {dst} via {via} dev {TUNNEL} onlink")),
    )
}

fn connect_routes(cluster: Ipv4Net, uplink: &Uplink, peers: &[Peer]) -> anyhow::Result<()> {
    let device = &uplink.name;
    let mut present = pairs(&ip_json(&format!("-4 route show dev {device}"))?, "dst", "gateway");
    // The interface has routes that are not flannel's.
    present.retain(|(dst, _)| dst.parse::<Ipv4Net>().is_ok_and(|dst| cluster.contains(&dst)));
    settle(
        &peers.iter().map(|peer| (peer.pods.to_string(), peer.address.to_string())).collect(),
        &present,
        |dst, _| ip(&format!("route del {dst} dev {device}")),
        |dst, via| ip(&format!("route replace {dst} via {via} dev {device}")),
    )
}

fn pairs(objects: &[Value], one: &str, other: &str) -> Pairs {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    objects.iter().filter_map(|object| Some((text(&object[one])?, text(&object[other])?))).collect()
}

fn settle(
    wanted: &Pairs,
    present: &Pairs,
    remove: impl Fn(&str, &str) -> anyhow::Result<String>,
    add: impl Fn(&str, &str) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    for (one, other) in present.difference(wanted) {
        remove(one, other)?;
    }
    for (one, other) in wanted.difference(present) {
        add(one, other)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(external: bool) -> Control {
        let config = json!({
            "ClusterIPRange": "10.42.0.0/16", "ServiceIPRange": "10.43.0.0/16",
            "ClusterDNS": "10.43.0.10", "ClusterDomain": "cluster.local",
            "FlannelBackend": "vxlan", "FlannelExternalIP": external,
        });
        Control::parse(&config).expect("complete")
    }

    #[test]
    fn what_a_node_publishes_its_peers_read() {
        let address = Ipv4Addr::new(192, 0, 2, 2);
        let external = Ipv4Addr::new(198, 51, 100, 2);
        let mac = "0a:11:22:33:44:55";
        for (control, seen) in [(control(false), address), (control(true), external)] {
            let bare = json!({ "spec": { "podCIDR": "10.42.1.0/24" } });
            let patch = unpublished(&bare, &control, address, Some(external), Some(mac));
            let mut node = patch.expect("nothing was published");
            node["spec"] = bare["spec"].clone();
            assert_eq!(unpublished(&node, &control, address, Some(external), Some(mac)), None);
            let peer = Peer::read(&node, Backend::Vxlan).expect("complete");
            assert_eq!((peer.address, peer.hardware.as_deref()), (seen, Some(mac)));
            assert_eq!(Peer::read(&node, Backend::HostGateway), None);
        }
    }

    #[test]
    fn what_is_wanted_is_added_after_the_rest_is_removed() {
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        let log = std::cell::RefCell::new(Vec::new());
        let note = |verb: &str, one: &str, other: &str| {
            log.borrow_mut().push(format!("{verb} {one} {other}"));
            Ok(String::new())
        };
        let wanted: Pairs = [pair("a", "1"), pair("b", "2")].into();
        let present: Pairs = [pair("a", "1"), pair("b", "3")].into();
        settle(&wanted, &present, |a, b| note("del", a, b), |a, b| note("add", a, b))
            .expect("done");
        assert_eq!(log.into_inner(), ["del b 3", "add b 2"]);
    }
}
