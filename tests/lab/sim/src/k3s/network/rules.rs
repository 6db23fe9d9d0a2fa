//! The rules that flannel, kube-proxy and the kubelet put into the packet filter.

use super::control::{Backend, Control};
use super::service::Service;
use super::tables::{Chain, Jump, Tables};
use ipnet::Ipv4Net;

const NEW: &[&str] = &["-m", "conntrack", "--ctstate", "NEW"];

/// Returns what a node wants whose pods are `pods`.
pub fn tables(control: &Control, pods: Ipv4Net, services: &[Service]) -> Tables {
    let mut all = Tables::default();
    if control.backend != Backend::None {
        flannel(&mut all, control.cluster, pods);
    }
    kubelet(&mut all);
    if control.has_proxy {
        proxy(&mut all, control.cluster, services);
    }
    all
}

fn flannel(all: &mut Tables, cluster: Ipv4Net, pods: Ipv4Net) {
    let (forward, masquerade) = ("flanneld forward", "flanneld masq");
    let jump =
        |table, from, comment, to| Jump { table, from, verb: "-A", matches: &[], comment, to };
    all.jumps.push(jump("filter", "FORWARD", forward, "FLANNEL-FWD"));
    all.jumps.push(jump("nat", "POSTROUTING", masquerade, "FLANNEL-POSTRTG"));
    let rules = [format!("-s {cluster}"), format!("-d {cluster}")]
        .map(|which| format!("{which} -m comment --comment \"{forward}\" -j ACCEPT"));
    all.chains.push(Chain { table: "filter", name: "FLANNEL-FWD".to_owned(), rules: rules.into() });
    let rules = [
        // kube-proxy has its own rule for these.
        ("-m mark --mark 0x4000/0x4000".to_owned(), "RETURN"),
        (format!("-s {pods} -d {cluster}"), "RETURN"),
        (format!("-s {cluster} -d {pods}"), "RETURN"),
        (format!("! -s {cluster} -d {pods}"), "RETURN"),
        (format!("-s {cluster} ! -d 224.0.0.0/4"), "MASQUERADE --random-fully"),
        (format!("! -s {cluster} -d {cluster}"), "MASQUERADE --random-fully"),
    ]
    .map(|(which, target)| format!("{which} -m comment --comment \"{masquerade}\" -j {target}"));
    let name = "FLANNEL-POSTRTG".to_owned();
    all.chains.push(Chain { table: "nat", name, rules: rules.into() });
}

fn kubelet(all: &mut Tables) {
    let localnet = "! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment \"block incoming localnet connections\" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP";
    all.chains.push(Chain::new("filter", "KUBE-FIREWALL", &[localnet]));
    for table in ["filter", "nat", "mangle"] {
        all.chains.push(Chain::new(table, "KUBE-KUBELET-CANARY", &[]));
    }
    all.jumps.extend(["INPUT", "OUTPUT"].map(|from| Jump {
        table: "filter",
        from,
        verb: "-I",
        matches: &[],
        comment: "",
        to: "KUBE-FIREWALL",
    }));
}

/// Where kube-proxy's chains are entered: table, chain, match, comment, target.
type Entrance = (&'static str, &'static str, &'static [&'static str], &'static str, &'static str);

const ENTRANCES: &[Entrance] = &[
    (
        "filter",
        "INPUT",
        NEW,
        "kubernetes externally-visible service portals",
        "KUBE-EXTERNAL-SERVICES",
    ),
    (
        "filter",
        "FORWARD",
        NEW,
        "kubernetes externally-visible service portals",
        "KUBE-EXTERNAL-SERVICES",
    ),
    ("filter", "INPUT", &[], "kubernetes health check service ports", "KUBE-NODEPORTS"),
    ("filter", "FORWARD", NEW, "kubernetes service portals", "KUBE-SERVICES"),
    ("filter", "OUTPUT", NEW, "kubernetes service portals", "KUBE-SERVICES"),
    ("filter", "FORWARD", &[], "kubernetes forwarding rules", "KUBE-FORWARD"),
    ("filter", "INPUT", NEW, "kubernetes load balancer firewall", "KUBE-PROXY-FIREWALL"),
    ("filter", "OUTPUT", NEW, "kubernetes load balancer firewall", "KUBE-PROXY-FIREWALL"),
    ("filter", "FORWARD", NEW, "kubernetes load balancer firewall", "KUBE-PROXY-FIREWALL"),
    ("nat", "OUTPUT", &[], "kubernetes service portals", "KUBE-SERVICES"),
    ("nat", "PREROUTING", &[], "kubernetes service portals", "KUBE-SERVICES"),
    ("nat", "POSTROUTING", &[], "kubernetes postrouting rules", "KUBE-POSTROUTING"),
];

fn proxy(all: &mut Tables, cluster: Ipv4Net, services: &[Service]) {
    all.jumps.extend(ENTRANCES.iter().map(|(table, from, matches, comment, to)| Jump {
        table,
        from,
        verb: "-I",
        matches,
        comment,
        to,
    }));
    for name in ["KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL"] {
        all.chains.push(Chain::new("filter", name, &[]));
    }
    for table in ["filter", "nat", "mangle"] {
        all.chains.push(Chain::new(table, "KUBE-PROXY-CANARY", &[]));
    }
    all.chains.push(Chain::new("filter", "KUBE-FORWARD", &[
        "-m conntrack --ctstate INVALID -j DROP",
        "-m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x4000/0x4000 -j ACCEPT",
        "-m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ]));
    all.chains.push(Chain::new("nat", "KUBE-MARK-MASQ", &["-j MARK --set-xmark 0x4000/0x4000"]));
    all.chains.push(Chain::new("nat", "KUBE-NODEPORTS", &[]));
    all.chains.push(Chain::new("nat", "KUBE-POSTROUTING", &[
        "-m mark ! --mark 0x4000/0x4000 -j RETURN",
        "-j MARK --set-xmark 0x4000/0x0",
        "-m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully",
    ]));
    let mut portals = Chain::new("nat", "KUBE-SERVICES", &[]);
    let mut refused = Chain::new("filter", "KUBE-SERVICES", &[]);
    for service in services {
        if service.endpoints.is_empty() {
            refused.rules.push(service.refusal());
        } else {
            portals.rules.push(service.portal());
            all.chains.extend(service.chains(cluster));
        }
    }
    portals.rules.push("-m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS".to_owned());
    all.chains.extend([portals, refused]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_jump_leads_to_a_chain_that_is_there() {
        let control = |backend: &str| {
            let config = json!({
                "ClusterIPRange": "10.42.0.0/16", "ServiceIPRange": "10.43.0.0/16",
                "ClusterDNS": "10.43.0.10", "ClusterDomain": "cluster.local",
                "FlannelBackend": backend,
            });
            Control::parse(&config).expect("complete")
        };
        let pods = "10.42.0.0/24".parse().expect("a network");
        for backend in ["vxlan", "none"] {
            let all = tables(&control(backend), pods, &[]);
            for jump in &all.jumps {
                let found = all
                    .chains
                    .iter()
                    .any(|one| (one.table, one.name.as_str()) == (jump.table, jump.to));
                assert!(found, "{jump:?}");
            }
            let has_flannel = all.jumps.iter().any(|jump| jump.to == "FLANNEL-FWD");
            assert_eq!(has_flannel, backend == "vxlan");
        }
    }
}
