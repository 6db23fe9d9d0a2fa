//! What the server says of the cluster's network.

use super::programs::ip;
use anyhow::Context;
use ipnet::Ipv4Net;
use serde_json::Value;
use std::net::Ipv4Addr;

/// How pods of different nodes reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Packets in UDP, on port 8472.
    Vxlan,
    /// Routes to the other nodes, all of them on one network.
    HostGateway,
    /// Encrypted; not in the kernels of a lab, so that only a node's own pods reach each other.
    Wireguard,
    /// Another network plugin, which nobody brings.
    None,
}

impl Backend {
    fn parse(name: &str) -> Self {
        match name {
            "host-gw" => Self::HostGateway,
            "wireguard-native" => Self::Wireguard,
            "none" => Self::None,
            _ => Self::Vxlan,
        }
    }

    /// Returns the name that flannel publishes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::HostGateway => "host-gw",
            Self::Wireguard => "wireguard",
            Self::None => "none",
        }
    }

    /// Says whether the kernel can carry packets so; it may have no `WireGuard`.
    fn is_possible(self) -> bool {
        let probe = "oceanid-wg";
        self != Self::Wireguard
            || (ip(&format!("link add {probe} type wireguard")).is_ok()
                && ip(&format!("link del {probe}")).is_ok())
    }

    /// Returns the bytes that a packet between nodes grows by.
    pub fn overhead(self) -> u32 {
        match self {
            Self::Vxlan => 50,
            Self::Wireguard => 80,
            Self::HostGateway | Self::None => 0,
        }
    }
}

/// What all nodes of a cluster share.
#[derive(Debug, Clone)]
pub struct Control {
    /// The network of all pods.
    pub cluster: Ipv4Net,
    /// The address of the cluster's DNS.
    pub dns: Ipv4Addr,
    /// The first address of the services: the API server.
    pub api: Ipv4Addr,
    /// `cluster.local`
    pub domain: String,
    /// How pods of different nodes reach each other.
    pub backend: Backend,
    /// Whether nodes reach each other by their external addresses.
    pub by_external_address: bool,
    /// Whether kube-proxy runs.
    pub has_proxy: bool,
}

impl Control {
    /// Says whether the kernel can carry packets between nodes as the cluster wants it.
    pub fn carries(&self) -> bool {
        self.backend.is_possible()
    }

    /// Reads what `/v1-k3s/config` answers.
    ///
    /// # Errors
    /// A network is none.
    pub fn parse(config: &Value) -> anyhow::Result<Self> {
        let text = |key: &str| config[key].as_str().unwrap_or_default();
        let network = |key: &str| {
            text(key).parse::<Ipv4Net>().with_context(|| format!("{key} {:?}", text(key)))
        };
        let services = network("ServiceIPRange")?;
        let dns = text("ClusterDNS").split(',').find_map(|address| address.parse().ok());
        Ok(Self {
            cluster: network("ClusterIPRange")?.trunc(),
            dns: dns.unwrap_or_else(|| address_in(services, 10)),
            api: address_in(services, 1),
            domain: text("ClusterDomain").to_owned(),
            backend: Backend::parse(text("FlannelBackend")),
            by_external_address: config["FlannelExternalIP"] == true,
            has_proxy: config["DisableKubeProxy"] != true,
        })
    }
}

/// Returns the `number`th address of a network.
pub fn address_in(network: Ipv4Net, number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(network.network().to_bits() + number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_servers_word_is_read() {
        let control = Control::parse(&json!({
            "ClusterIPRange": "10.44.0.0/16", "ServiceIPRange": "10.45.0.0/16",
            "ClusterDNS": "10.45.0.10", "ClusterDomain": "cluster.local",
            "FlannelBackend": "host-gw", "FlannelExternalIP": true, "DisableKubeProxy": false,
        }));
        let control = control.expect("complete");
        assert_eq!(control.api, Ipv4Addr::new(10, 45, 0, 1));
        assert_eq!(control.backend, Backend::HostGateway);
        assert!(control.by_external_address && control.has_proxy);
        assert!(Control::parse(&json!({ "ClusterIPRange": "fd00::/56" })).is_err());
    }
}
