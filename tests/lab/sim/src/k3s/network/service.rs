//! A port of a service, as kube-proxy sees it.

use super::tables::Chain;
use data_encoding::BASE32_NOPAD;
use ipnet::Ipv4Net;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::net::Ipv4Addr;

/// A port of a service and who answers on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// `kube-system/kube-dns:dns`
    pub name: String,
    /// `tcp` or `udp`
    pub protocol: String,
    /// The service's address.
    pub address: Ipv4Addr,
    /// The service's port.
    pub port: u64,
    /// `address:port` of everyone who answers.
    pub endpoints: Vec<String>,
}

impl Service {
    /// Reads every port of `services`, with the endpoints in `slices`.
    pub fn read(services: &[Value], slices: &[Value]) -> Vec<Self> {
        services.iter().flat_map(|service| ports(service, slices)).collect()
    }

    fn hash(&self, kind: &str, more: &str) -> String {
        let digest = Sha256::digest(format!("{}{}{more}", self.name, self.protocol));
        let text: String = BASE32_NOPAD.encode(&digest).chars().take(16).collect();
        format!("KUBE-{kind}-{text}")
    }

    // What a packet to the service's own address is.
    fn matches(&self, comment: &str) -> String {
        let (address, protocol, port) = (self.address, &self.protocol, self.port);
        format!(
            "-d {address}/32 -p {protocol} -m comment --comment \"{} {comment}\" -m {protocol} --dport {port}",
            self.name
        )
    }

    /// Returns the rule that leads to the service's chain.
    pub fn portal(&self) -> String {
        format!("{} -j {}", self.matches("cluster IP"), self.hash("SVC", ""))
    }

    /// Returns the rule for a service that nobody answers for.
    pub fn refusal(&self) -> String {
        format!("{} -j REJECT", self.matches("has no endpoints"))
    }

    /// Returns the service's chain and those of its endpoints.
    pub fn chains(&self, cluster: Ipv4Net) -> Vec<Chain> {
        let (name, protocol) = (&self.name, &self.protocol);
        let from_outside =
            format!("! -s {cluster} {} -j KUBE-MARK-MASQ", self.matches("cluster IP"));
        let mut own = Chain { table: "nat", name: self.hash("SVC", ""), rules: vec![from_outside] };
        let mut all = Vec::new();
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let left = self.endpoints.len() - index;
            let chain = self.hash("SEP", endpoint);
            let share = match u32::try_from(left) {
                Ok(left @ 2..) => format!(
                    " -m statistic --mode random --probability {:.10}",
                    1.0 / f64::from(left)
                ),
                _ => String::new(),
            };
            own.rules
                .push(format!("-m comment --comment \"{name} -> {endpoint}\"{share} -j {chain}"));
            let address = endpoint.split(':').next().unwrap_or_default();
            let rules = vec![
                // To itself: the answer must come back this way.
                format!("-s {address}/32 -m comment --comment \"{name}\" -j KUBE-MARK-MASQ"),
                format!(
                    "-p {protocol} -m comment --comment \"{name}\" -m {protocol} -j DNAT --to-destination {endpoint}"
                ),
            ];
            all.push(Chain { table: "nat", name: chain, rules });
        }
        all.insert(0, own);
        all
    }
}

fn ports(service: &Value, slices: &[Value]) -> Vec<Service> {
    let meta = &service["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let Ok(address) = text(&service["spec"]["clusterIP"]).parse() else { return Vec::new() };
    let owned = slices.iter().filter(|slice| {
        slice["metadata"]["namespace"] == meta["namespace"]
            && slice["metadata"]["labels"]["kubernetes.io/service-name"] == meta["name"]
    });
    let whole = format!("{}/{}", text(&meta["namespace"]), text(&meta["name"]));
    let listed = service["spec"]["ports"].as_array();
    let made = listed.into_iter().flatten().map(|port| {
        let name = match port["name"].as_str() {
            Some(name) if !name.is_empty() => format!("{whole}:{name}"),
            _ => whole.clone(),
        };
        Service {
            name,
            protocol: port["protocol"].as_str().unwrap_or("TCP").to_lowercase(),
            address,
            port: port["port"].as_u64().unwrap_or_default(),
            endpoints: owned.clone().flat_map(|slice| endpoints(slice, &port["name"])).collect(),
        }
    });
    made.collect()
}

fn endpoints(slice: &Value, port: &Value) -> Vec<String> {
    let ports = slice["ports"].as_array();
    let Some(number) = ports.into_iter().flatten().find(|one| one["name"] == *port) else {
        return Vec::new();
    };
    let listed = slice["endpoints"].as_array();
    let ready = listed.into_iter().flatten().filter(|one| one["conditions"]["ready"] != false);
    let addresses = ready.flat_map(|one| one["addresses"].as_array().into_iter().flatten());
    addresses
        .filter_map(Value::as_str)
        .map(|address| format!("{address}:{}", number["port"]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kubernetes(endpoints: &[&str]) -> Vec<Service> {
        let service = json!({ "metadata": { "name": "kubernetes", "namespace": "default" },
            "spec": { "clusterIP": "10.43.0.1",
                "ports": [{ "name": "https", "port": 443, "protocol": "TCP" }] } });
        let slice = json!({ "metadata": { "name": "kubernetes", "namespace": "default",
                "labels": { "kubernetes.io/service-name": "kubernetes" } },
            "endpoints": [{ "addresses": endpoints, "conditions": { "ready": true } }],
            "ports": [{ "name": "https", "port": 6443, "protocol": "TCP" }] });
        Service::read(&[service], &[slice])
    }

    /// The names of these chains are the same in every cluster.
    #[test]
    fn chains_are_named_as_kube_proxy_names_them() {
        let services = kubernetes(&["192.0.2.1"]);
        assert_eq!(services.len(), 1);
        assert_eq!(services[0].hash("SVC", ""), "KUBE-SVC-NPX46M4PTMTKRN6Y");
        let dns = |port: &str, protocol: &str| Service {
            name: format!("kube-system/kube-dns:{port}"),
            protocol: protocol.to_owned(),
            ..services[0].clone()
        };
        assert_eq!(dns("dns", "udp").hash("SVC", ""), "KUBE-SVC-TCOU7JCQXEZGVUNU");
        assert_eq!(dns("dns-tcp", "tcp").hash("SVC", ""), "KUBE-SVC-ERIFXISQEP7F7OF4");
    }

    #[test]
    fn endpoints_share_the_packets() {
        let cluster = "10.42.0.0/16".parse().expect("a network");
        let services = kubernetes(&["192.0.2.1", "192.0.2.2"]);
        let chains = services[0].chains(cluster);
        assert_eq!(chains.len(), 3);
        let rules = &chains[0].rules;
        assert!(rules[0].starts_with("! -s 10.42.0.0/16 -d 10.43.0.1/32 -p tcp"), "{rules:?}");
        assert!(rules[1].contains("--probability 0.5000000000 -j KUBE-SEP-"), "{rules:?}");
        assert!(!rules[2].contains("probability"), "{rules:?}");
        assert!(chains[2].rules[1].ends_with("--to-destination 192.0.2.2:6443"), "{chains:?}");
        assert!(kubernetes(&[])[0].refusal().ends_with("-j REJECT"));
    }
}
