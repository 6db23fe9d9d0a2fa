//! Whether a node is as it should be: Ready, heard of lately, at the wanted version and addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::Context;
use jiff::Timestamp;
use serde_json::{Deserializer, Value};

use super::{Identity, Node, get_with_leases, nodes};
use crate::cluster::{Cluster, Host, Taint};

/// How long a node's last word counts, seconds: kubelets renew a lease of 40 s every 10 s.
pub const FRESH: i64 = 40;

/// The taint that a node has until its network is up.
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// What a node must show beside being Ready.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The version that runs; any when empty.
    pub version: String,
    /// One of its internal addresses.
    pub internal: Option<IpAddr>,
    /// One of its external addresses.
    pub external: Option<IpAddr>,
}

impl Wanted {
    /// What cluster.toml wants of the node of `host`, at `version`.
    #[must_use]
    pub fn of(cluster: &Cluster, host: &Host, version: &str) -> Self {
        // It is the cloud controller that tells the API of them.
        let controller = cluster.k3s.server.get("disable-cloud-controller");
        let shows_external = controller.and_then(Value::as_bool) != Some(true);
        Self {
            version: version.to_owned(),
            internal: host.node_ip,
            external: host.external_ip.filter(|_| shows_external),
        }
    }
}

/// The nodes of a cluster, when each was last heard of, and what time it was.
#[derive(Debug, Clone, Default)]
pub struct Census {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// When each renewed its lease.
    heard: BTreeMap<String, Timestamp>,
    /// The clock of the host that asked, seconds since 1970.
    now: i64,
}

impl Census {
    /// The read-only script that asks on a host; it fails when the API does not answer.
    #[must_use]
    pub fn ask(identity: Identity, node: &str) -> String {
        format!("{}date +%s\n", get_with_leases(identity, node))
    }

    /// Reads what [`Self::ask`] printed.
    ///
    /// # Errors
    /// When that is not leases, nodes and a time.
    pub fn read(said: &str) -> anyhow::Result<Self> {
        let mut said = Deserializer::from_str(said).into_iter::<Value>();
        let mut next = |what: &'static str| -> anyhow::Result<Value> {
            let value = said.next().with_context(|| format!("the API's answer has no {what}"))?;
            value.with_context(|| format!("the API's answer is no JSON where {what} should be"))
        };
        let (leases, found, now) = (next("leases")?, next("nodes")?, next("time")?);
        let all = leases.get("items").and_then(Value::as_array);
        let all = all.map_or_else(|| vec![&leases], |items| items.iter().collect());
        Ok(Self {
            nodes: nodes(&found.to_string())?,
            heard: all.into_iter().filter_map(renewed).collect(),
            now: now.as_i64().context("the host's clock is not a number")?,
        })
    }

    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.metadata.name == name)
    }

    /// Why the node `name` is not ready to take pods; `None` when it is.
    ///
    /// What it said before `since`, seconds since 1970, does not count.
    #[must_use]
    pub fn unready(&self, name: &str, wanted: &Wanted, since: Option<i64>) -> Option<String> {
        let Some(node) = self.node(name) else { return Some("it is not in the cluster".into()) };
        let ready = node.status.conditions.iter().find(|condition| condition.kind == "Ready");
        if ready.is_none_or(|ready| ready.status != "True") {
            let message = ready.map_or("", |ready| ready.message.as_str());
            return Some(format!("Ready is {}: {message}", node.condition("Ready")));
        }
        if let Some(reason) = self.silent(name, since) {
            return Some(reason);
        }
        let runs = &node.status.node_info.kubelet_version;
        if !wanted.version.is_empty() && *runs != wanted.version {
            return Some(format!("it still runs {runs}"));
        }
        for (kind, address) in [("InternalIP", wanted.internal), ("ExternalIP", wanted.external)] {
            if let Some(reason) = address.and_then(|address| misses(node, kind, address)) {
                return Some(reason);
            }
        }
        let tainted = node.spec.taints.iter().any(|taint| taint.key == NOT_READY);
        tainted.then(|| format!("it still has the taint {NOT_READY}"))
    }

    /// Which label or taint of `host` its node does not show; `None` when it shows all.
    #[must_use]
    pub fn unmarked(&self, host: &Host) -> Option<String> {
        let node = self.node(&host.name)?;
        let mut labels = host.labels.iter();
        if let Some((key, value)) =
            labels.find(|(key, value)| node.metadata.labels.get(*key) != Some(value))
        {
            return Some(format!("it lacks the label {key}={value}"));
        }
        let has = |taint: &&Taint| {
            node.spec.taints.iter().any(|shown| {
                (&shown.key, &shown.value, &shown.effect)
                    == (&taint.key, &taint.value, &taint.effect)
            })
        };
        let missing = host.taints.iter().find(|taint| !has(taint))?;
        Some(format!("it lacks the taint {}={}:{}", missing.key, missing.value, missing.effect))
    }

    /// Why the node's word for being Ready does not count: Ready may stay True long after it died.
    fn silent(&self, name: &str, since: Option<i64>) -> Option<String> {
        let Some(heard) = self.heard.get(name).map(|time| time.as_second()) else {
            return Some(String::from("Ready is True, but it has never renewed its lease"));
        };
        let age = self.now - heard;
        if age > FRESH {
            return Some(format!("Ready is True, but it was last heard of {age} s ago"));
        }
        let old = since.is_some_and(|since| heard < since);
        old.then(|| String::from("Ready is True, but from before its k3s was started"))
    }
}

fn renewed(lease: &Value) -> Option<(String, Timestamp)> {
    let name = lease.pointer("/metadata/name")?.as_str()?;
    let time = lease.pointer("/spec/renewTime")?.as_str()?;
    Some((name.to_owned(), time.parse().ok()?))
}

fn misses(node: &Node, kind: &'static str, wanted: IpAddr) -> Option<String> {
    let has = |address: &str| address.parse::<IpAddr>().is_ok_and(|address| address == wanted);
    if node.addresses(kind).any(has) {
        return None;
    }
    let shown: Vec<&str> = node.addresses(kind).collect();
    let shown = if shown.is_empty() { String::from("none") } else { shown.join(", ") };
    Some(format!("its {kind} is {shown}, not {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::{Census, Wanted};

    /// A node that is Ready by its condition, and that renewed its lease at second 1000.
    fn census(now: i64) -> Census {
        let said = format!(
            r#"{{"kind": "LeaseList", "items": [{{"metadata": {{"name": "styx"}}, "spec": {{"renewTime": "1970-01-01T00:16:40.500000Z"}}}}]}}
            {{"kind": "NodeList", "items": [{{"metadata": {{"name": "styx"}}, "status": {{
                "conditions": [{{"type": "Ready", "status": "True"}}],
                "addresses": [{{"type": "InternalIP", "address": "fd00::1"}}],
                "nodeInfo": {{"kubeletVersion": "v1.36.3+k3s1", "machineID": "abc"}}}}}}]}}
            {now}"#
        );
        Census::read(&said).expect("leases, nodes and a time")
    }

    fn said(census: &Census, wanted: &Wanted, since: Option<i64>) -> String {
        census.unready("styx", wanted, since).unwrap_or_default()
    }

    #[test]
    fn a_word_for_being_ready_counts_for_40_seconds() {
        let any = Wanted::default();
        assert_eq!(said(&census(1040), &any, None), "");
        assert_eq!(
            said(&census(1041), &any, None),
            "Ready is True, but it was last heard of 41 s ago"
        );
        let before = said(&census(1010), &any, Some(1001));
        assert_eq!(before, "Ready is True, but from before its k3s was started");
        assert_eq!(said(&census(1010), &any, Some(1000)), "");
    }

    #[test]
    fn version_and_addresses_are_those_of_cluster_toml() {
        let wanted = |version: &str, internal: &str, external: Option<&str>| Wanted {
            version: version.to_owned(),
            internal: internal.parse().ok(),
            external: external.and_then(|text| text.parse().ok()),
        };
        let now = census(1001);
        assert_eq!(said(&now, &wanted("v1.36.3+k3s1", "fd00:0::1", None), None), "");
        assert_eq!(
            said(&now, &wanted("v1.37.1+k3s1", "", None), None),
            "it still runs v1.36.3+k3s1"
        );
        let internal = said(&now, &wanted("", "10.0.0.1", None), None);
        assert_eq!(internal, "its InternalIP is fd00::1, not 10.0.0.1");
        let external = said(&now, &wanted("", "", Some("192.0.2.1")), None);
        assert_eq!(external, "its ExternalIP is none, not 192.0.2.1");
        assert_eq!(
            now.unready("x", &Wanted::default(), None).as_deref(),
            Some("it is not in the cluster")
        );
    }
}
