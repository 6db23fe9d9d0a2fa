//! This host as a Kubernetes node.

use super::flags::{Options, Role};
use crate::clock;
use crate::stamp::Version;
use serde_json::{Value, json};
use std::net::UdpSocket;
use std::path::Path;
use std::{env, fs};

/// Returns the name of this node.
pub fn name(options: &Options) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    options.text("node-name").unwrap_or(host.trim()).to_lowercase()
}

/// Returns the addresses of this node: those of `node-ip`, else the one that routes outward.
///
/// # Errors
/// There is neither: the message that k3s logs.
pub fn addresses(options: &Options) -> Result<Vec<String>, String> {
    let named = options.list("node-ip");
    if !named.is_empty() {
        return Ok(named);
    }
    // Connecting a datagram socket sends nothing; it only asks for the route.
    let found = UdpSocket::bind("0.0.0.0:0")
        .and_then(|socket| socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()));
    match found {
        Ok(address) => Ok(vec![address.ip().to_string()]),
        Err(_) => {
            Err("no default routes found in \"/proc/net/route\" or \"/proc/net/ipv6_route\""
                .to_owned())
        }
    }
}

/// Returns the architecture as Go names it.
pub fn architecture() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Builds the object that the kubelet registers.
pub fn object(role: Role, options: &Options, version: &Version, addresses: &[String]) -> Value {
    let name = name(options);
    let mut labels = json!({
        "beta.kubernetes.io/arch": architecture(), "beta.kubernetes.io/instance-type": "k3s",
        "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": architecture(),
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "k3s",
    });
    for label in options.list("node-label") {
        let (key, value) = label.split_once('=').unwrap_or((&label, ""));
        labels[key] = json!(value);
    }
    json!({
        "kind": "Node", "apiVersion": "v1",
        "metadata": { "name": name, "labels": labels,
            "annotations": annotations(role, options, &name, addresses),
            "finalizers": ["wrangler.cattle.io/node"] },
        "spec": { "providerID": format!("k3s://{name}"), "taints": taints(options) },
        "status": status(options, version, addresses),
    })
}

/// Returns the annotations that k3s keeps on its node.
pub fn annotations(role: Role, options: &Options, name: &str, addresses: &[String]) -> Value {
    let mut arguments = vec![role.name().to_owned()];
    for argument in &options.arguments {
        // The flag and its value are two entries; secrets are hidden.
        let (flag, value) = argument.split_once('=').unwrap_or((argument, ""));
        arguments.push(flag.to_owned());
        let secret =
            ["--token", "--agent-token", "--datastore-endpoint", "--etcd-s3-secret-key", "-t"]
                .contains(&flag);
        if !value.is_empty() {
            arguments.push(if secret { "********".to_owned() } else { value.to_owned() });
        }
    }
    let hash = super::token::sha256(arguments.join("\u{0}").as_bytes()).to_uppercase();
    let mut all = json!({
        "k3s.io/hostname": name,
        "k3s.io/internal-ip": addresses.join(","),
        "k3s.io/node-args": json!(arguments).to_string(),
        "k3s.io/node-config-hash": format!("{hash}===="),
        "k3s.io/node-env": "{}",
        "node.alpha.kubernetes.io/ttl": "0",
        "volumes.kubernetes.io/controller-managed-attach-detach": "true",
    });
    let data = options.text("data-dir").unwrap_or("/var/lib/rancher/k3s");
    super::gpus::annotate(&mut all, Path::new(data));
    all
}

fn taints(options: &Options) -> Vec<Value> {
    options
        .list("node-taint")
        .iter()
        .filter_map(|text| {
            let (rest, effect) = text.rsplit_once(':')?;
            let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
            let mut taint = json!({ "key": key, "effect": effect });
            if !value.is_empty() {
                taint["value"] = json!(value);
            }
            Some(taint)
        })
        .collect()
}

fn status(options: &Options, version: &Version, addresses: &[String]) -> Value {
    let mut listed: Vec<Value> =
        addresses.iter().map(|ip| json!({ "type": "InternalIP", "address": ip })).collect();
    let external = options.list("node-external-ip");
    listed.extend(external.iter().map(|ip| json!({ "type": "ExternalIP", "address": ip })));
    listed.push(json!({ "type": "Hostname", "address": name(options) }));
    let amounts = json!({
        "cpu": std::thread::available_parallelism().map_or(1, usize::from).to_string(),
        "ephemeral-storage": "20145724Ki", "hugepages-1Gi": "0", "hugepages-2Mi": "0",
        "memory": memory(), "pods": "110",
    });
    json!({
        "capacity": amounts, "allocatable": amounts, "conditions": conditions(Condition::Starting),
        "addresses": listed, "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
        "nodeInfo": info(version),
    })
}

fn info(version: &Version) -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let release = read("/etc/os-release");
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    json!({
        "machineID": read("/etc/machine-id"),
        "systemUUID": read("/sys/class/dmi/id/product_uuid"),
        "bootID": read("/proc/sys/kernel/random/boot_id"),
        "kernelVersion": read("/proc/sys/kernel/osrelease"),
        "osImage": pretty.unwrap_or("Linux").trim_matches('"'),
        "containerRuntimeVersion": "containerd://2.2.3-k3s1",
        "kubeletVersion": version.as_str(), "kubeProxyVersion": "",
        "operatingSystem": "linux", "architecture": architecture(),
    })
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let number = total.and_then(|rest| rest.split_whitespace().next()).unwrap_or("0");
    format!("{number}Ki")
}

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The network plugin has not started.
    Starting,
    /// It can run pods.
    Ready,
}

/// Returns the conditions as the kubelet posts them now.
pub fn conditions(condition: Condition) -> Value {
    let now = clock::now();
    let one = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({ "type": kind, "status": status, "lastHeartbeatTime": now,
            "lastTransitionTime": now, "reason": reason, "message": message })
    };
    let ready = match condition {
        Condition::Ready => one("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        Condition::Starting => one(
            "Ready",
            "False",
            "KubeletNotReady",
            "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
        ),
    };
    let sufficient = [
        ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ];
    let mut all: Vec<Value> = sufficient
        .iter()
        .map(|(kind, reason, message)| one(kind, "False", reason, message))
        .collect();
    all.push(ready);
    json!(all)
}
