//! Pods: a network namespace on the node's bridge, and a process in it that outlives k3s.

use super::control::{Control, address_in};
use super::links::BRIDGE;
use super::programs::{detach, device_exists, ip, ip_json, run};
use crate::k3s::{shim, token};
use anyhow::Context;
use ipnet::Ipv4Net;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

const NAMESPACES: &str = "/run/netns";
/// Where containerd keeps what belongs to a pod, below k3s' data.
const SANDBOXES: &str = "agent/containerd/io.containerd.grpc.v1.cri/sandboxes";

/// A pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Which address of the node's network it has.
    pub number: u32,
    /// What it does: the last arguments of its process.
    pub words: Vec<String>,
}

/// What the pods of a node have in common.
#[derive(Debug, Clone)]
pub struct Sandboxes<'a> {
    /// The name of the node.
    pub node: &'a str,
    /// What the server says of the network.
    pub control: &'a Control,
    /// The network of the node's pods.
    pub network: Ipv4Net,
    /// The largest packet of a pod, in bytes.
    pub mtu: u32,
    /// Where k3s keeps its data.
    pub data: &'a Path,
    /// This program.
    pub program: &'a Path,
}

impl Sandboxes<'_> {
    /// Starts `pods` as far as they do not run, and ends those of a network that the node had.
    pub fn ensure(&self, pods: &[Pod]) -> anyhow::Result<()> {
        let wanted: Vec<String> = pods.iter().map(|pod| self.id(pod)).collect();
        let own = format!("cni-{}-", digits(self.node, 8));
        let present = fs::read_dir(NAMESPACES).into_iter().flatten().flatten();
        for name in present.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
            if name.starts_with(&own) && !wanted.contains(&name) {
                remove(&name)?;
            }
        }
        for (pod, id) in pods.iter().zip(&wanted) {
            self.plug(pod, id).with_context(|| format!("failed to set up pod {id}"))?;
            if processes(id).is_empty() {
                self.start(pod, id).with_context(|| format!("failed to start pod {id}"))?;
            }
        }
        Ok(())
    }

    /// Returns the pod's name: `cni-` and a UUID that ends in the pod's number.
    fn id(&self, pod: &Pod) -> String {
        let (node, network) = (digits(self.node, 8), digits(&self.network.to_string(), 10));
        let (first, rest) = network.split_at(4);
        let (second, third) = rest.split_at(3);
        format!("cni-{node}-{first}-4{second}-a{third}-{:012}", pod.number)
    }

    /// Gives the pod its interface, on the bridge.
    fn plug(&self, pod: &Pod, id: &str) -> anyhow::Result<()> {
        let outside = format!("veth{}", digits(id, 8));
        let address =
            format!("{}/{}", address_in(self.network, pod.number), self.network.prefix_len());
        if !Path::new(NAMESPACES).join(id).exists() {
            ip(&format!("netns add {id}"))?;
        }
        let inside = ip_json(&format!("-n {id} -4 addr show")).unwrap_or_default();
        let is_plugged = inside.iter().any(|link| {
            let first = &link["addr_info"][0];
            link["ifname"] == "eth0"
                && address
                    == format!(
                        "{}/{}",
                        first["local"].as_str().unwrap_or_default(),
                        first["prefixlen"]
                    )
        });
        if is_plugged && device_exists(&outside) {
            // The bridge may be another one than before.
            return ip(&format!("link set {outside} master {BRIDGE} up")).map(drop);
        }
        if device_exists(&outside) {
            ip(&format!("link del {outside}"))?;
        }
        let (mtu, gateway) = (self.mtu, address_in(self.network, 1));
        ip(&format!("link add {outside} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {id}"))?;
        ip(&format!("link set {outside} master {BRIDGE} up"))?;
        ip(&format!("link set {outside} type bridge_slave hairpin on"))?;
        ip(&format!("-n {id} link set lo up"))?;
        ip(&format!("-n {id} addr add {address} broadcast + dev eth0"))?;
        ip(&format!("-n {id} link set eth0 up"))?;
        ip(&format!("-n {id} route add default via {gateway}"))?;
        ip(&format!("-n {id} route add {} via {gateway}", self.control.cluster)).map(drop)
    }

    /// Starts the pod's process, which outlives k3s.
    fn start(&self, pod: &Pod, id: &str) -> anyhow::Result<()> {
        let folder = self.data.join(SANDBOXES).join(id);
        fs::create_dir_all(&folder)?;
        let domain = &self.control.domain;
        let resolv = format!(
            "search default.svc.{domain} svc.{domain} {domain}\nnameserver {}\noptions ndots:5\n",
            self.control.dns
        );
        fs::write(folder.join("resolv.conf"), resolv)?;
        let namespace = format!("--net={NAMESPACES}/{id}");
        let program = self.shim()?.display().to_string();
        let mut arguments = vec![namespace.as_str(), "--", &program, "-namespace", "k8s.io"];
        arguments.extend(["-id", id, "-address", "/run/k3s/containerd/containerd.sock"]);
        arguments.extend(pod.words.iter().map(String::as_str));
        detach("nsenter", &arguments)
    }

    // The name and the folder by which scripts that end pods find them.
    fn shim(&self) -> anyhow::Result<PathBuf> {
        let path = fs::canonicalize(self.data.join("data/current"))?.join("bin").join(shim::NAME);
        if fs::read_link(&path).ok().as_deref() != Some(self.program) {
            let _ = fs::remove_file(&path);
            symlink(self.program, &path)?;
        }
        Ok(path)
    }
}

fn digits(text: &str, count: usize) -> String {
    token::sha256(text.as_bytes()).chars().take(count).collect()
}

/// Returns the processes of a pod; not those that a visitor started in its network.
fn processes(id: &str) -> Vec<u32> {
    let Ok(namespace) = fs::metadata(Path::new(NAMESPACES).join(id)) else { return Vec::new() };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    all.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let first =
            String::from_utf8_lossy(line.split(|byte| *byte == 0).next().unwrap_or_default())
                .into_owned();
        first.ends_with(shim::NAME)
            && fs::metadata(format!("/proc/{pid}/ns/net"))
                .is_ok_and(|net| (net.dev(), net.ino()) == (namespace.dev(), namespace.ino()))
    })
    .collect()
}

fn remove(id: &str) -> anyhow::Result<()> {
    for pid in processes(id) {
        // It may have ended meanwhile.
        let _ = run("kill", &[&pid.to_string()]);
    }
    ip(&format!("netns del {id}")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pods_name_is_a_uuid_of_its_node_its_network_and_its_number() {
        let control = Control::parse(&json!({
            "ClusterIPRange": "10.42.0.0/16", "ServiceIPRange": "10.43.0.0/16",
            "ClusterDNS": "10.43.0.10", "ClusterDomain": "cluster.local",
        }));
        let control = control.expect("complete");
        let id = |node: &str, network: &str, number: u32| {
            let network = network.parse().expect("a network");
            let (data, program) = (Path::new("/"), Path::new("/"));
            let all = Sandboxes { node, control: &control, network, mtu: 1450, data, program };
            all.id(&Pod { number, words: Vec::new() })
        };
        let one = id("tethys", "10.42.0.0/24", 2);
        let groups: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(groups, [3, 8, 4, 4, 4, 12]);
        assert!(one.ends_with("-000000000002"), "{one}");
        assert_ne!(one, id("styx", "10.42.0.0/24", 2));
        assert_ne!(one, id("tethys", "10.42.1.0/24", 2));
        assert_ne!(one, id("tethys", "10.42.0.0/24", 3));
    }
}
