//! What is to be true on the host, and the way there.

use super::control::{Backend, Control, address_in};
use super::links::{self, Uplink};
use super::peers::{self, Peer};
use super::programs::missing;
use super::sandbox::{Pod, Sandboxes};
use super::tables::Tables;
use crate::log;
use anyhow::{Context, bail};
use ipnet::Ipv4Net;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// What the host must have.
const PROGRAMS: &[&str] = &["ip", "bridge", "iptables", "iptables-save", "iptables-restore"];

/// What of a node's network does not change while k3s runs.
#[derive(Debug)]
pub struct Place {
    /// The name of the node.
    pub node: String,
    /// Its address among the nodes.
    pub address: Ipv4Addr,
    /// Its address for everyone else.
    pub external: Option<Ipv4Addr>,
    /// The interface that leads to the other nodes, where one is named.
    pub interface: Option<String>,
    /// What the server says of the cluster's network.
    pub control: Control,
    /// What runs on the node.
    pub pods: Vec<Pod>,
    /// Where k3s keeps its data.
    pub data: PathBuf,
    /// This program.
    pub program: PathBuf,
}

/// What is known from the rounds before.
#[derive(Debug, Default)]
pub struct State {
    /// The network of the node's pods.
    pub pods: Option<Ipv4Net>,
    /// The hardware address of the node's end of the tunnels.
    pub hardware: Option<String>,
    /// What the tables were to be, and were, when they were last right.
    pub settled: Option<(Tables, String)>,
}

/// What is to be true.
#[derive(Debug)]
pub struct Plan {
    /// The network of the node's pods.
    pub pods: Ipv4Net,
    /// The hardware address that the node had published.
    pub kept: Option<String>,
    /// The other nodes.
    pub peers: Vec<Peer>,
    /// The packet filter.
    pub tables: Tables,
}

impl Plan {
    /// Makes it true, all of it that can be.
    ///
    /// # Errors
    /// The first of the things that failed.
    pub fn apply(&self, place: &Place, state: &mut State) -> anyhow::Result<()> {
        if let Some(program) = missing(PROGRAMS) {
            bail!(
                "Failed to setup IPTables. iptables binary was not found: exec: {program:?}: executable file not found in $PATH"
            );
        }
        let overlay = self.join(place, state);
        let pods = if place.control.backend == Backend::None { Ok(()) } else { self.run(place) };
        let tables = self.tables.sync(&mut state.settled);
        overlay.context("flannel")?;
        pods.context("cni")?;
        tables.context("Failed to ensure iptables rules")
    }

    /// Joins the node to the others.
    fn join(&self, place: &Place, state: &mut State) -> anyhow::Result<()> {
        let backend = place.control.backend;
        let uplink = Uplink::find(place.interface.as_deref(), place.address)?;
        if backend == Backend::Vxlan {
            let made =
                links::ensure_tunnel(&uplink, place.address, self.pods, self.kept.as_deref());
            state.hardware = Some(made?);
        }
        peers::connect(&place.control, &uplink, &self.peers)
    }

    /// Runs the node's pods.
    fn run(&self, place: &Place) -> anyhow::Result<()> {
        let control = &place.control;
        let uplink = Uplink::find(place.interface.as_deref(), place.address)?;
        let mtu = uplink.mtu - control.backend.overhead();
        links::ensure_bridge(self.pods, address_in(self.pods, 1), mtu)?;
        let sandboxes = Sandboxes {
            node: &place.node,
            control,
            network: self.pods,
            mtu,
            data: &place.data,
            program: &place.program,
        };
        sandboxes.ensure(&place.pods)
    }
}

/// Lets the host forward, as k3s does when it starts.
pub fn forward() {
    for key in [
        "net/ipv4/conf/all/forwarding",
        "net/ipv4/conf/default/forwarding",
        "net/bridge/bridge-nf-call-iptables",
    ] {
        let path = format!("/proc/sys/{key}");
        if let Err(error) = fs::write(&path, "1\n") {
            log::error(format!("Failed to set sysctl: open {path}: {error}"));
        }
    }
}
