//! What device plugins bring about: GPUs that nodes have to give, and pods that use them.

use super::store::{NODES, RESOURCES, Resource, Store};
use crate::nvidia;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The name of GPUs among a node's resources.
const GPU: &str = "nvidia.com/gpu";
/// Where the kubelet of the stand-in says how many cards a pod with NVIDIA's runtime would see.
const SEEN: &str = "sim/gpus";

/// Adds what a node says of its GPUs: nothing, unless containerd knows NVIDIA's runtime.
pub fn annotate(annotations: &mut Value, data: &Path) {
    let config = data.join("agent/etc/containerd/config.toml");
    let knows =
        fs::read_to_string(config).is_ok_and(|text| text.contains("nvidia-container-runtime"));
    let cards = nvidia::cards().len();
    if knows && cards > 0 {
        annotations[SEEN] = json!(cards.to_string());
    }
}

/// What takes back what [`annotate`] said before, where it says nothing now.
pub fn forget(annotations: &mut Value) {
    if annotations.get(SEEN).is_none() {
        annotations[SEEN] = Value::Null;
    }
}

/// The part of containerd's configuration that k3s adds when it finds NVIDIA's runtime.
pub fn runtime() -> &'static str {
    if !nvidia::has_runtime() {
        return "";
    }
    "\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.'nvidia']\n  runtime_type = \"io.containerd.runc.v2\"\n\
     \n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.'nvidia'.options]\n  BinaryName = \"/usr/bin/nvidia-container-runtime\"\n  SystemdCgroup = false\n"
}

fn resource(plural: &str) -> &'static Resource {
    RESOURCES.iter().find(|one| one.plural == plural).unwrap_or(&NODES)
}

/// Runs device plugins on the nodes that they are for, and pods on the nodes that have GPUs.
pub fn settle(store: &mut Store) {
    let sets: Vec<Value> = store.list(resource("daemonsets"), "").into_iter().cloned().collect();
    let nodes: Vec<Value> = store.list(&NODES, "").into_iter().cloned().collect();
    let mut shown: Vec<(String, u64)> = Vec::new();
    for set in sets {
        let template = &set["spec"]["template"]["spec"];
        let mine =
            |node: &&Value| selects(&template["nodeSelector"], node) && tolerates(template, node);
        let wanted: Vec<&Value> = nodes.iter().filter(mine).collect();
        let runs: Vec<&&Value> = wanted
            .iter()
            .filter(|node| template["runtimeClassName"] == "nvidia" && seen(node) > 0)
            .collect();
        if template["containers"][0]["image"]
            .as_str()
            .is_some_and(|image| image.contains("k8s-device-plugin"))
        {
            let replicas = replicas(store, &set);
            shown.extend(runs.iter().map(|node| (name(node), seen(node) * replicas)));
        }
        let mut after = set.clone();
        after["status"] = json!({ "currentNumberScheduled": wanted.len(), "numberMisscheduled": 0,
            "desiredNumberScheduled": wanted.len(), "numberReady": runs.len() });
        if after != set {
            let _ = store.replace(resource("daemonsets"), after);
        }
    }
    for node in &nodes {
        give(
            store,
            node,
            shown.iter().find(|(name_, _)| *name_ == name(node)).map(|(_, count)| *count),
        );
    }
    run_pods(store);
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn seen(node: &Value) -> u64 {
    node["metadata"]["annotations"][SEEN].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn selects(selector: &Value, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    selector.as_object().into_iter().flatten().all(|(key, value)| labels[key] == *value)
}

fn tolerates(template: &Value, node: &Value) -> bool {
    let tolerations = template["tolerations"].as_array().map_or(&[][..], Vec::as_slice);
    let taints = node["spec"]["taints"].as_array().map_or(&[][..], Vec::as_slice);
    let built_in =
        |key: &Value| key.as_str().is_some_and(|key| key.starts_with("node.kubernetes.io/"));
    taints.iter().all(|taint| {
        built_in(&taint["key"])
            || tolerations.iter().any(|one| one["key"].is_null() || one["key"] == taint["key"])
    })
}

/// How many pods share a card, by the configuration that a plugin mounts.
fn replicas(store: &Store, set: &Value) -> u64 {
    let space = set["metadata"]["namespace"].as_str().unwrap_or_default();
    let volumes = set["spec"]["template"]["spec"]["volumes"].as_array().into_iter().flatten();
    let config =
        volumes.filter_map(|volume| volume["configMap"]["name"].as_str()).find_map(|name| {
            store.get(resource("configmaps"), space, name)?["data"]["config.yaml"]
                .as_str()
                .map(str::to_owned)
        });
    let text = config.unwrap_or_default();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("replicas:"));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(1)
}

/// Without its plugin a node keeps the name, and has none to give.
fn give(store: &mut Store, node: &Value, count: Option<u64>) {
    let had = !node["status"]["allocatable"][GPU].is_null();
    if count.is_none() && !had {
        return;
    }
    let mut after = node.clone();
    for list in ["capacity", "allocatable"] {
        after["status"][list][GPU] = json!(count.unwrap_or(0).to_string());
    }
    if after != *node {
        // Someone else's write in between wins; the next round looks again.
        let _ = store.replace(&NODES, after);
    }
}

/// Pods that ask for a GPU end well where there is one, and wait where there is none.
fn run_pods(store: &mut Store) {
    let pods: Vec<Value> = store.list(resource("pods"), "").into_iter().cloned().collect();
    for pod in pods {
        let spec = &pod["spec"];
        if spec["containers"][0]["resources"]["limits"][GPU].is_null() {
            continue;
        }
        let fits = |node: &&Value| {
            let free = node["status"]["allocatable"][GPU].as_str().unwrap_or("0");
            selects(&spec["nodeSelector"], node) && tolerates(spec, node) && free != "0"
        };
        let nodes: Vec<Value> = store.list(&NODES, "").into_iter().cloned().collect();
        let node = nodes.iter().find(fits);
        let works = spec["runtimeClassName"] == "nvidia";
        let mut after = pod.clone();
        match node {
            Some(node) => {
                after["spec"]["nodeName"] = json!(name(node));
                after["status"] = json!({ "phase": if works { "Succeeded" } else { "Failed" } });
            }
            None => {
                after["status"] = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled",
                    "status": "False", "reason": "Unschedulable",
                    "message": format!("0/{} nodes are available: Insufficient {GPU}.", nodes.len()) }] });
            }
        }
        if after != pod {
            let _ = store.replace(resource("pods"), after);
        }
    }
}
