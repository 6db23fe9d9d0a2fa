//! Which of the hosts reach which, as far as their addresses tell.

use std::net::IpAddr;

use ipnet::IpNet;

use super::propose::Found;
use crate::config::is_private;
use crate::facts::Facts;

/// How a host stands towards the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// An interface of its own has the public address that we came by.
    Public(IpAddr),
    /// Its provider leads a public address to it.
    Mapped(IpAddr),
    /// A router leads a port of its public address to it.
    Forwarded,
    /// Only those on its own network reach it.
    Private,
}

impl Standing {
    /// How `found` stands towards the internet.
    #[must_use]
    pub fn of(found: &Found) -> Self {
        let Some(ip) = found.ip.filter(|ip| !is_private(*ip)) else { return Self::Private };
        let own = interfaces(&found.facts);
        // Without `ip` a bare host does not say its addresses.
        if own.is_empty() || own.iter().any(|(_, net)| net.addr() == ip) {
            return Self::Public(ip);
        }
        if found.sight.virtualised.is_some() { Self::Mapped(ip) } else { Self::Forwarded }
    }

    /// The address under which anybody reaches it.
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Public(ip) | Self::Mapped(ip) => Some(ip),
            Self::Forwarded | Self::Private => None,
        }
    }
}

/// The host's interfaces and their networks.
#[must_use]
pub fn interfaces(facts: &Facts) -> Vec<(&str, IpNet)> {
    let named = facts.addresses.iter().filter_map(|line| {
        let (name, address) = line.split_once(' ')?;
        Some((name, address.parse().ok()?))
    });
    let made = ["cni", "flannel", "veth", "docker", "br-", "virbr"];
    named.filter(|(name, _)| made.iter().all(|made| !name.starts_with(made))).collect()
}

/// The private network that all hosts are in, with the interface and address of each: every one was
/// reached there by the same way, so that equal numbers mean the same network.
#[must_use]
pub fn shared<'a>(found: &[&'a Found]) -> Option<Vec<(&'a str, IpAddr)>> {
    let (first, others) = found.split_first()?;
    let own = |one: &'a Found| {
        let ip = one.ip.filter(|ip| is_private(*ip))?;
        interfaces(&one.facts).into_iter().find(|(_, own)| own.addr() == ip)
    };
    let (name, network) = own(first)?;
    let mut members = vec![(name, network.addr())];
    for other in others {
        let (name, theirs) = own(other)?;
        if theirs.trunc() != network.trunc() || other.entry.jump != first.entry.jump {
            return None;
        }
        members.push((name, theirs.addr()));
    }
    Some(members)
}
