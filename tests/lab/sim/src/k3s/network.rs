//! The pod network of a node: flannel, kube-proxy, and the pods themselves.

mod control;
mod links;
mod peers;
mod plan;
mod programs;
mod rules;
mod sandbox;
mod service;
mod tables;

pub use control::{Control, address_in};

use super::client::Client;
use super::kubelet::Kubelet;
use super::layout::Paths;
use crate::log;
use crate::settings::{PodNetwork, Settings};
use anyhow::{Context, bail};
use control::Backend;
use ipnet::Ipv4Net;
use peers::Peer;
use plan::{Place, Plan, State};
use sandbox::Pod;
use serde_json::Value;
use service::Service;
use std::env;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Which address of its node's network a pod has that every node runs.
const PROBE: u32 = 2;
/// Which address of the server's network the pod of the cluster's DNS has.
pub const DNS_POD: u32 = 3;
/// How often the API is asked for nodes and services, at the least.
const POLL: Duration = Duration::from_secs(2);
/// How often it is asked for a node that is about to register.
const EARLY_POLL: Duration = Duration::from_millis(200);
const PATCH: &[(&str, &str)] = &[("Content-Type", "application/strategic-merge-patch+json")];

/// The network of one node.
pub struct Network {
    place: Arc<Place>,
    settings: Settings,
    api: Clients,
}

/// The API as the parts of k3s reach it that see to the network.
pub struct Clients {
    /// As flannel.
    pub flannel: Client,
    /// As kube-proxy.
    pub proxy: Client,
}

/// Whether the cluster's DNS runs on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dns {
    /// It does.
    Here,
    /// It does not.
    Elsewhere,
}

impl Network {
    /// Prepares the network of the node of `kubelet`.
    pub fn new(
        kubelet: &Kubelet,
        paths: &Paths,
        control: Control,
        dns: Dns,
        api: Clients,
    ) -> anyhow::Result<Self> {
        if control.backend == Backend::Wireguard {
            links::ensure_wireguard()
                .context("flannel exited: failed to register flannel network")?;
        }
        let version_4 = |list: &[String]| list.iter().find_map(|text| text.parse().ok());
        let options = &kubelet.options;
        let node = super::node::name(options);
        let mut pods = vec![Pod { number: PROBE, words: vec!["http".to_owned(), node.clone()] }];
        if dns == Dns::Here {
            pods.push(Pod { number: DNS_POD, words: zone(&control) });
        }
        let place = Place {
            node,
            // No interface has this one: a node without IPv4 runs without a pod network.
            address: version_4(&kubelet.addresses).unwrap_or(Ipv4Addr::UNSPECIFIED),
            external: version_4(&options.list("node-external-ip")),
            interface: options.text("flannel-iface").map(str::to_owned),
            control,
            pods,
            data: paths.data.clone(),
            program: env::current_exe()?,
        };
        Ok(Self { place: Arc::new(place), settings: kubelet.settings, api })
    }

    /// Keeps the network as it should be, for ever; says through `started` when it first is.
    pub async fn run(self, started: watch::Sender<bool>) {
        plan::forward();
        let (mut state, mut said) = (State::default(), String::new());
        loop {
            let outcome = self.round(&mut state).await;
            let message = outcome.err().map(|error| format!("{error:#}")).unwrap_or_default();
            if message != said && !message.is_empty() {
                log::error(&message);
            }
            said = message;
            let pause = if state.pods.is_some() {
                // Also where it failed: a host without iptables is a node all the same.
                let _ = started.send(true);
                self.settings.heartbeat.min(POLL)
            } else {
                EARLY_POLL
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn round(&self, state: &mut State) -> anyhow::Result<()> {
        let nodes = list(&self.api.flannel, "/api/v1/nodes").await?;
        let own = nodes.iter().find(|node| self.is_own(node));
        // A node that was deleted keeps its pods until it registers again.
        state.pods = own.and_then(peers::pods).or(state.pods);
        let Some(pods) = state.pods else { return Ok(()) };
        let applied = match self.settings.network {
            PodNetwork::Real => self.apply(&nodes, own, pods, state).await,
            PodNetwork::None => Ok(()),
        };
        if let Some(own) = own {
            self.publish(own, state.hardware.as_deref()).await?;
        }
        applied
    }

    fn is_own(&self, node: &Value) -> bool {
        node["metadata"]["name"] == self.place.node.as_str()
    }

    async fn apply(
        &self,
        nodes: &[Value],
        own: Option<&Value>,
        pods: Ipv4Net,
        state: &mut State,
    ) -> anyhow::Result<()> {
        let services = list(&self.api.proxy, "/api/v1/services").await?;
        let slices = list(&self.api.proxy, "/apis/discovery.k8s.io/v1/endpointslices").await?;
        let control = &self.place.control;
        let others = nodes.iter().filter(|node| !self.is_own(node));
        let plan = Plan {
            pods,
            kept: own.and_then(peers::tunnel_of),
            peers: others.filter_map(|node| Peer::read(node, control.backend)).collect(),
            tables: rules::tables(control, pods, &Service::read(&services, &slices)),
        };
        let (place, mut carried) = (Arc::clone(&self.place), std::mem::take(state));
        let applied = tokio::task::spawn_blocking(move || {
            let outcome = plan.apply(&place, &mut carried);
            (outcome, carried)
        });
        let outcome;
        (outcome, *state) = applied.await?;
        outcome
    }

    /// Tells the other nodes how this one is reached, where they do not know.
    async fn publish(&self, own: &Value, hardware: Option<&str>) -> anyhow::Result<()> {
        let place = &self.place;
        let control = &place.control;
        if control.backend == Backend::None {
            return Ok(());
        }
        let change = peers::unpublished(own, control, place.address, place.external, hardware);
        let Some(change) = change else { return Ok(()) };
        let path = format!("/api/v1/nodes/{}/status", place.node);
        let answer = self.api.flannel.send("PATCH", &path, PATCH, change.to_string()).await?;
        if !answer.code.is_success() {
            bail!("failed to acquire lease: {}: {}", answer.code, answer.text().trim());
        }
        Ok(())
    }
}

/// The names that the cluster's DNS knows: what its pod is started with.
fn zone(control: &Control) -> Vec<String> {
    let domain = &control.domain;
    vec![
        "dns".to_owned(),
        domain.clone(),
        format!("kubernetes.default.svc.{domain}={}", control.api),
        format!("kube-dns.kube-system.svc.{domain}={}", control.dns),
    ]
}

async fn list(api: &Client, path: &str) -> anyhow::Result<Vec<Value>> {
    let answer = api.get(path, &[]).await?;
    if !answer.code.is_success() {
        bail!("failed to list {path}: {}", answer.code);
    }
    let body: Value = serde_json::from_slice(&answer.body).context(path.to_owned())?;
    Ok(body["items"].as_array().cloned().unwrap_or_default())
}
