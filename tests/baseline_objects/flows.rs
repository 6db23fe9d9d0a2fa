//! Network policies, by a small evaluator: who may talk to whom.

use std::collections::BTreeMap;

use oceanid::kube::object::Object;
use serde_json::{Value, json};

use crate::{flux, objects};

/// A pod, or the world outside (no namespace).
#[derive(Debug, Clone)]
struct Party {
    name: &'static str,
    namespace: Option<&'static str>,
    labels: Value,
    address: &'static str,
}

fn pod(name: &'static str, namespace: &'static str, labels: Value) -> Party {
    Party { name, namespace: Some(namespace), labels, address: "10.42.0.9" }
}

const ZONES: [&str; 6] = ["dmz", "public", "internal", "data", "restricted", "admin"];
/// The flows between zones that are wanted; there are no others.
const FLOWS: [(&str, &str); 4] =
    [("dmz", "public"), ("public", "internal"), ("internal", "data"), ("admin", "restricted")];

#[test]
fn zones_talk_within_themselves_and_inwards_and_in_no_other_way() {
    let all = objects(&flux());
    let network = Network::of(&all);
    for from in ZONES {
        for to in ZONES {
            let wanted = from == to || FLOWS.contains(&(from, to));
            let (one, other) = (pod("a", from, json!({})), pod("b", to, json!({ "x": "y" })));
            assert_eq!(network.lets(&one, &other, "TCP", 8080), wanted, "{from} to {to}");
        }
    }
}

#[test]
fn zones_resolve_names_and_reach_nothing_else_outside() {
    let all = objects(&flux());
    let network = Network::of(&all);
    let dns = pod("coredns", "kube-system", json!({ "k8s-app": "kube-dns" }));
    let other = pod("other", "kube-system", json!({}));
    let world = Party { name: "world", namespace: None, labels: json!({}), address: "203.0.113.9" };
    let api = Party { name: "api", address: "192.0.2.1", ..world.clone() };
    for zone in ZONES {
        let own = pod("a", zone, json!({}));
        for protocol in ["UDP", "TCP"] {
            assert!(network.lets(&own, &dns, protocol, 53), "{zone} {protocol}");
        }
        assert!(!network.lets(&own, &dns, "TCP", 9153), "{zone}");
        assert!(!network.lets(&own, &other, "TCP", 53), "{zone}");
        assert!(!network.lets(&own, &world, "TCP", 443), "{zone}");
        assert!(!network.lets(&world, &own, "TCP", 443), "{zone}");
        assert_eq!(network.lets(&own, &api, "TCP", 6443), zone == "admin", "{zone}");
        assert!(!network.lets(&own, &api, "TCP", 10250), "{zone}");
    }
}

#[test]
fn what_k3s_brings_along_goes_on() {
    let all = objects(&flux());
    let network = Network::of(&all);
    let traefik = pod("traefik", "kube-system", json!({ "app.kubernetes.io/name": "traefik" }));
    let svclb =
        pod("svclb", "kube-system", json!({ "svccontroller.k3s.cattle.io/svcname": "shop" }));
    let metrics = pod("metrics", "kube-system", json!({ "k8s-app": "metrics-server" }));
    let dns = pod("coredns", "kube-system", json!({ "k8s-app": "kube-dns" }));
    let helm = pod("helm-install", "kube-system", json!({}));
    let world = Party { name: "world", namespace: None, labels: json!({}), address: "203.0.113.9" };
    for to in [&traefik, &svclb, &metrics] {
        assert!(network.lets(&world, to, "TCP", 8443), "{}", to.name);
    }
    assert!(!network.lets(&world, &helm, "TCP", 80));
    for from in [&traefik, &svclb, &helm] {
        assert!(network.lets(from, &world, "TCP", 443), "{} reaches out", from.name);
        assert!(network.lets(from, &dns, "UDP", 53), "{} resolves", from.name);
        for zone in ZONES {
            let wanted = from.name != "helm-install" && matches!(zone, "dmz" | "public");
            let own = pod("a", zone, json!({}));
            assert_eq!(network.lets(from, &own, "TCP", 80), wanted, "{} to {zone}", from.name);
        }
    }
}

/// Policies and the labels of namespaces.
struct Network<'a> {
    policies: Vec<&'a Object>,
    namespaces: BTreeMap<String, Value>,
}

impl<'a> Network<'a> {
    fn of(objects: &'a [Object]) -> Self {
        let mut namespaces = BTreeMap::new();
        for name in ["default", "kube-public", "kube-system"] {
            namespaces.insert(name.to_owned(), json!({}));
        }
        for space in objects.iter().filter(|one| one.kind.name == "Namespace") {
            namespaces.insert(space.name.clone(), space.body["metadata"]["labels"].clone());
        }
        for (name, labels) in &mut namespaces {
            labels["kubernetes.io/metadata.name"] = json!(name);
        }
        let policies = objects.iter().filter(|one| one.kind.name == "NetworkPolicy").collect();
        Self { policies, namespaces }
    }

    fn lets(&self, from: &Party, to: &Party, protocol: &str, port: u16) -> bool {
        self.side(from, to, ("Egress", "egress", "to"), protocol, port)
            && self.side(to, from, ("Ingress", "ingress", "from"), protocol, port)
    }

    /// What the policies on `own` say of `peer`; without one that is of this kind, everything goes.
    fn side(
        &self,
        own: &Party,
        peer: &Party,
        (kind, rules, peers): (&str, &str, &str),
        protocol: &str,
        port: u16,
    ) -> bool {
        let Some(namespace) = own.namespace else { return true };
        let mut policies = self.policies.iter().filter(|policy| {
            let spec = &policy.body["spec"];
            policy.namespace == namespace
                && selects(&spec["podSelector"], &own.labels)
                && spec["policyTypes"].as_array().is_some_and(|all| all.contains(&json!(kind)))
        });
        let first = policies.next();
        first.is_none()
            || first.into_iter().chain(policies).any(|policy| {
                let rules = policy.body["spec"][rules].as_array();
                rules.into_iter().flatten().any(|rule| {
                    self.is_peer(&rule[peers], peer) && is_port(&rule["ports"], protocol, port)
                })
            })
    }

    fn is_peer(&self, peers: &Value, party: &Party) -> bool {
        let Some(peers) = peers.as_array() else { return true };
        peers.iter().any(|peer| {
            if let Some(block) = peer["ipBlock"]["cidr"].as_str() {
                let network: ipnet::IpNet = block.parse().expect("a network");
                return party.namespace.is_none()
                    && network.contains(&party.address.parse::<std::net::IpAddr>().expect("one"));
            }
            let Some(namespace) = party.namespace else { return false };
            let labels = &self.namespaces[namespace];
            let pods = peer.get("podSelector").is_none_or(|one| selects(one, &party.labels));
            selects(&peer["namespaceSelector"], labels) && pods
        })
    }
}

fn is_port(ports: &Value, protocol: &str, port: u16) -> bool {
    let Some(ports) = ports.as_array() else { return true };
    ports.iter().any(|one| one["port"] == port && one["protocol"] == protocol)
}

fn selects(selector: &Value, labels: &Value) -> bool {
    let all = selector["matchLabels"].as_object();
    let equal = all.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let expressions = selector["matchExpressions"].as_array();
    equal
        && expressions.into_iter().flatten().all(|one| {
            assert_eq!(one["operator"], "Exists");
            labels.get(one["key"].as_str().expect("a key")).is_some()
        })
}
