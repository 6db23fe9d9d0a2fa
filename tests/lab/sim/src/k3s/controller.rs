//! What the control plane does by itself: addresses for pods, roles, taints, lost nodes.

use super::cluster::Cluster;
use super::etcd::Member;
use super::gpus;
use super::packaged;
use super::services;
use super::store::{LEASES, NODE_LEASES, NODES, Store};
use crate::clock;
use ipnet::Ipv4Net;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ETCD: &str = "EtcdIsVoter";
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";

/// Completes a node that registers: its pod network, and the taint until it is ready.
pub fn admit_node(cluster: &Cluster, store: &Store, node: &mut Value) {
    let nodes = store.list(&NODES, "");
    let used: Vec<&str> =
        nodes.iter().filter_map(|node| node["spec"]["podCIDR"].as_str()).collect();
    if let Some(cidr) = free_network(cluster.pod_network(), &used) {
        node["spec"]["podCIDR"] = json!(cidr);
        node["spec"]["podCIDRs"] = json!([cidr]);
    }
    add_taint(node, NOT_READY, "NoSchedule");
    add_taint(node, UNINITIALIZED, "NoSchedule");
}

/// Returns the first part of the pods' network that no node has: 254 pods a node.
fn free_network(cluster: Ipv4Net, used: &[&str]) -> Option<String> {
    let mut parts = cluster.subnets(24).ok()?.map(|part| part.to_string());
    parts.find(|part| !used.contains(&part.as_str()))
}

/// Looks after the nodes and the cluster's own services for ever.
pub async fn run(cluster: Arc<Cluster>) {
    let mut ready_since: HashMap<String, Instant> = HashMap::new();
    let mut last_seen: HashMap<String, (String, Instant)> = HashMap::new();
    let grace = grace(&cluster);
    loop {
        if cluster.decides() {
            let mut store = cluster.store();
            let nodes: Vec<Value> = store.list(&NODES, "").into_iter().cloned().collect();
            for node in nodes {
                let name = node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let beat = heartbeat(&store, &node);
                let seen = last_seen.entry(name.clone()).or_insert((beat.clone(), Instant::now()));
                if seen.0 != beat {
                    *seen = (beat, Instant::now());
                }
                let mut after = node.clone();
                if seen.1.elapsed() > grace {
                    lose(&mut after);
                }
                settle_roles(&cluster, &mut after);
                settle_taints(&cluster, &mut after, &mut ready_since);
                if after != node {
                    // Someone else's write in between wins; the next round looks again.
                    let _ = store.replace(&NODES, after);
                }
            }
            services::settle(&cluster, &mut store);
            packaged::settle(&mut store);
            gpus::settle(&mut store);
            store.save();
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn grace(cluster: &Cluster) -> Duration {
    let named = cluster
        .options
        .component_argument("kube-controller-manager-arg", "node-monitor-grace-period");
    let named = named.and_then(|text| clock::go_duration(&text));
    let named = named.and_then(|span| Duration::try_from(span).ok());
    // Kubernetes raised its default with 1.32.
    let default = if cluster.version.minor() < 32 { 40 } else { 50 };
    cluster.settings.grace.or(named).unwrap_or(Duration::from_secs(default))
}

/// Returns the status of the condition `Ready`.
fn ready(node: &Value) -> &str {
    let conditions = node["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|one| one["type"] == "Ready");
    found.and_then(|one| one["status"].as_str()).unwrap_or("Unknown")
}

/// Returns what changes while a node lives: the times of its lease and of its status.
fn heartbeat(store: &Store, node: &Value) -> String {
    let name = node["metadata"]["name"].as_str().unwrap_or_default();
    let lease = store.get(&LEASES, NODE_LEASES, name);
    let renewed = lease.map_or_else(String::new, |lease| lease["spec"]["renewTime"].to_string());
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    let own = conditions.filter(|one| one["type"] != ETCD);
    own.map(|one| one["lastHeartbeatTime"].to_string()).chain([renewed]).collect()
}

fn lose(node: &mut Value) {
    if ready(node) == "Unknown" {
        return;
    }
    let name = node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    crate::log::info(format!("Node {name} has not posted its status: NodeStatusUnknown"));
    let now = clock::now();
    let conditions = node["status"]["conditions"].as_array_mut().into_iter().flatten();
    for one in conditions.filter(|one| one["type"] != ETCD) {
        one["status"] = json!("Unknown");
        one["reason"] = json!("NodeStatusUnknown");
        one["message"] = json!("Kubelet stopped posting node status.");
        one["lastTransitionTime"] = json!(now);
    }
}

fn settle_roles(cluster: &Cluster, node: &mut Value) {
    let name = node["metadata"]["name"].as_str().unwrap_or_default();
    let members = cluster.etcd.as_ref().map(super::etcd::Etcd::members).unwrap_or_default();
    let member = members.iter().find(|member| member.node == name).cloned();
    if member.is_none() && name != cluster.node {
        return;
    }
    let mut roles = vec!["control-plane"];
    if let Some(member) = &member {
        roles.push("etcd");
        settle_member(member, node);
    }
    if cluster.version.minor() < 34 {
        roles.push("master");
    }
    for role in roles {
        node["metadata"]["labels"][format!("node-role.kubernetes.io/{role}")] = json!("true");
    }
}

fn settle_member(member: &Member, node: &mut Value) {
    let annotations = &mut node["metadata"]["annotations"];
    annotations["etcd.k3s.cattle.io/node-name"] = json!(member.name);
    annotations["etcd.k3s.cattle.io/node-address"] = json!(member.address);
    let (status, reason, message) = if member.learner {
        let message = "Node has not been promoted to voting member of the etcd cluster";
        ("False", "MemberIsLearner", message)
    } else {
        ("True", "MemberNotLearner", "Node is a voting member of the etcd cluster")
    };
    let Some(conditions) = node["status"]["conditions"].as_array_mut() else { return };
    if conditions.iter().any(|one| one["type"] == ETCD && one["status"] == status) {
        return;
    }
    conditions.retain(|one| one["type"] != ETCD);
    let now = clock::now();
    conditions.push(json!({ "type": ETCD, "status": status, "lastHeartbeatTime": now,
        "lastTransitionTime": now, "reason": reason, "message": message }));
}

fn settle_taints(cluster: &Cluster, node: &mut Value, since: &mut HashMap<String, Instant>) {
    let name = node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let status = ready(node).to_owned();
    if status == "True" {
        remove_taint(node, NOT_READY, "NoSchedule");
        remove_taint(node, UNREACHABLE, "NoSchedule");
        remove_taint(node, UNINITIALIZED, "NoSchedule");
        if since.entry(name).or_insert_with(Instant::now).elapsed() >= cluster.settings.taint {
            remove_taint(node, NOT_READY, "NoExecute");
            remove_taint(node, UNREACHABLE, "NoExecute");
        }
        return;
    }
    since.remove(&name);
    let (wrong, other) =
        if status == "Unknown" { (UNREACHABLE, NOT_READY) } else { (NOT_READY, UNREACHABLE) };
    for effect in ["NoSchedule", "NoExecute"] {
        add_taint(node, wrong, effect);
        remove_taint(node, other, effect);
    }
}

fn add_taint(node: &mut Value, key: &str, effect: &str) {
    if !node["spec"]["taints"].is_array() {
        node["spec"]["taints"] = json!([]);
    }
    let Some(taints) = node["spec"]["taints"].as_array_mut() else { return };
    if taints.iter().any(|one| one["key"] == key && one["effect"] == effect) {
        return;
    }
    let mut taint = json!({ "key": key, "effect": effect });
    if key == UNINITIALIZED {
        taint["value"] = json!("true");
    } else if effect == "NoExecute" {
        taint["timeAdded"] = json!(clock::now());
    }
    taints.push(taint);
}

fn remove_taint(node: &mut Value, key: &str, effect: &str) {
    let Some(spec) = node["spec"].as_object_mut() else { return };
    let Some(taints) = spec.get_mut("taints").and_then(Value::as_array_mut) else { return };
    taints.retain(|one| one["key"] != key || one["effect"] != effect);
    if taints.is_empty() {
        spec.shift_remove("taints");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_gets_the_first_free_part_of_the_pods_network() {
        let cluster = "10.44.128.0/17".parse().expect("a network");
        let free = |used: &[&str]| free_network(cluster, used);
        assert_eq!(free(&[]).as_deref(), Some("10.44.128.0/24"));
        assert_eq!(free(&["10.44.128.0/24"]).as_deref(), Some("10.44.129.0/24"));
        let small = "10.44.0.0/24".parse().expect("a network");
        assert_eq!(free_network(small, &["10.44.0.0/24"]), None);
        assert_eq!(free_network("10.44.0.0/25".parse().expect("a network"), &[]), None);
    }
}
