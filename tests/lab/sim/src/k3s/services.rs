//! The services that every cluster has: its API, and its DNS.

use super::cluster::Cluster;
use super::network::{DNS_POD, address_in};
use super::store::{ENDPOINT_SLICES, NODES, Resource, SERVICES, Store};
use serde_json::{Value, json};

const DNS: &str = "kube-dns";

/// Says whether the cluster has its DNS: it is one of the packaged components.
pub fn has_dns(cluster: &Cluster) -> bool {
    !cluster.options.list("disable").iter().any(|name| name == "coredns")
}

/// Keeps the services and their endpoints as they should be.
pub fn settle(cluster: &Cluster, store: &mut Store) {
    let api = service(
        ("default", "kubernetes"),
        &json!({ "component": "apiserver", "provider": "kubernetes" }),
        &cluster.service_address(1).to_string(),
        &json!([{ "name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443 }]),
    );
    keep(store, &SERVICES, api);
    let port = cluster.options.text("https-listen-port").and_then(|port| port.parse().ok());
    let ports = json!([{ "name": "https", "port": port.unwrap_or(6443_u16), "protocol": "TCP" }]);
    keep(
        store,
        &ENDPOINT_SLICES,
        slice(("default", "kubernetes"), "kubernetes", &cluster.addresses(), &ports),
    );
    if !has_dns(cluster) {
        store.delete(&SERVICES, "kube-system", DNS);
        store.delete(&ENDPOINT_SLICES, "kube-system", DNS);
        return;
    }
    let ports = json!([{ "name": "dns", "protocol": "UDP", "port": 53, "targetPort": 53 },
        { "name": "dns-tcp", "protocol": "TCP", "port": 53, "targetPort": 53 }]);
    let labels = json!({ "k8s-app": DNS, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS" });
    let address = cluster.options.text("cluster-dns").map(str::to_owned);
    let address = address.unwrap_or_else(|| cluster.service_address(10).to_string());
    keep(store, &SERVICES, service(("kube-system", DNS), &labels, &address, &ports));
    let node = store.get(&NODES, "", &cluster.node);
    let pods = node.and_then(|node| node["spec"]["podCIDR"].as_str()?.parse().ok());
    let Some(pod) = pods.map(|pods| address_in(pods, DNS_POD)) else { return };
    let ports = json!([{ "name": "dns", "port": 53, "protocol": "UDP" },
        { "name": "dns-tcp", "port": 53, "protocol": "TCP" }]);
    keep(store, &ENDPOINT_SLICES, slice(("kube-system", DNS), DNS, &[pod.to_string()], &ports));
}

fn service(name: (&str, &str), labels: &Value, address: &str, ports: &Value) -> Value {
    json!({
        "metadata": { "name": name.1, "namespace": name.0, "labels": labels },
        "spec": { "clusterIP": address, "clusterIPs": [address], "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "ports": ports,
            "sessionAffinity": "None", "type": "ClusterIP" },
        "status": { "loadBalancer": {} },
    })
}

fn slice(name: (&str, &str), service: &str, addresses: &[String], ports: &Value) -> Value {
    let one = |address| json!({ "addresses": [address], "conditions": { "ready": true } });
    let endpoints: Vec<Value> = addresses.iter().map(one).collect();
    json!({
        "metadata": { "name": name.1, "namespace": name.0,
            "labels": { "kubernetes.io/service-name": service } },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    })
}

// Whatever somebody else put into the object beside this stays.
fn keep(store: &mut Store, resource: &Resource, wanted: Value) {
    let text = |key: &str| wanted["metadata"][key].as_str().unwrap_or_default();
    let Some(present) = store.get(resource, text("namespace"), text("name")) else {
        let _ = store.create(resource, wanted);
        return;
    };
    let mut object = present.clone();
    for key in ["spec", "endpoints", "ports"] {
        if let Some(value) = wanted.get(key) {
            object[key] = value.clone();
        }
    }
    if object != *present {
        // The next round looks again.
        let _ = store.replace(resource, object);
    }
}
