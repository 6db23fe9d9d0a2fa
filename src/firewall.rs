//! What a host's firewall should let in, and what ufw and the kernel say that it does.

use std::net::IpAddr;

use anyhow::bail;
use ipnet::IpNet;

use crate::cluster::{Cluster, Host};
use crate::facts::Facts;

pub use live::Live;
pub use paths::{as_pods_resolve, paths_hold, pods_dns};
pub use rule::{End, Rule};
pub use rules::{Wanted, wanted};
pub use ufw::{Family, QUESTION, State};

mod live;
mod paths;
mod rule;
mod rules;
mod ufw;

/// What the comment of every rule of ours begins with.
pub const MARK: &str = "oceanid: ";

/// Refuses networks that would lock the operator out.
///
/// # Errors
/// When the address that the host sees the operator come from is not in `admin-networks`.
pub fn admits_operator(cluster: &Cluster, host: &Host, facts: &Facts) -> anyhow::Result<()> {
    let networks = &host.harden.admin_networks;
    let Some(from) = facts.login.from else { return Ok(()) };
    let within = networks.iter().any(|network| network.contains(&from));
    let by_node = jump_addresses(cluster, host).contains(&from);
    if networks.is_empty() || within || by_node || host.harden.trust_admin_networks {
        return Ok(());
    }
    bail!(
        "it sees you come from {from}, which is not in `admin-networks`: you would be locked out\n\
         hint: add `{}`, or set `trust-admin-networks = true` if you will come from elsewhere",
        IpNet::from(from)
    )
}

/// Where the connections of the last host on the way to `host` come from.
fn jump_addresses(cluster: &Cluster, host: &Host) -> Vec<IpAddr> {
    let Some(last) = host.ssh.jump.last() else { return Vec::new() };
    if let Some(node) = cluster.host(last) {
        return node.addresses();
    }
    let place = last.rsplit_once('@').map_or(last.as_str(), |(_, place)| place);
    let without_port = place.rsplit_once(':').map_or(place, |(name, _)| name);
    let parse = |text: &str| text.trim_matches(['[', ']']).parse().ok();
    parse(place).or_else(|| parse(without_port)).into_iter().collect()
}
