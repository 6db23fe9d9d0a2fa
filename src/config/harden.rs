//! What is tightened: `[harden]` for all nodes, and what a node says of its own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::file::{File, HardenSection, NodeSection};
use super::finding::{Finding, Findings};
use super::network;
use super::syntax::{Parsed, Wrong};
use super::written::Written;
use crate::cluster::{Firewall, Harden, Part};

/// What is tightened on `node`: its own word goes before `[harden]`'s.
pub fn of(node: &NodeSection, file: &File) -> Harden {
    let sections: Vec<&HardenSection> =
        [&node.harden, &file.harden].into_iter().flatten().map(Written::value).collect();
    let mut switches = BTreeMap::new();
    for section in sections.iter().rev() {
        switches.extend(switched(section));
    }
    let lines = sections.iter().find_map(|section| section.sshd.as_ref());
    let firewall = sections.iter().find_map(|section| section.firewall.as_ref());
    let networks = sections.iter().find_map(|section| section.admin_networks.as_ref());
    let trust = sections.iter().find_map(|section| section.trust_admin_networks.as_ref());
    Harden {
        switches,
        sshd: lines.into_iter().flatten().map(|line| line.value().clone()).collect(),
        firewall: firewall.map_or_else(Firewall::default, |firewall| *firewall.value()),
        admin_networks: networks
            .into_iter()
            .flatten()
            .filter_map(|text| network_or_address(text).ok())
            .collect(),
        trust_admin_networks: trust.is_some_and(|trust| *trust.value()),
    }
}

fn switched(section: &HardenSection) -> impl Iterator<Item = (Part, bool)> {
    let written = [
        (Part::Ssh, &section.ssh),
        (Part::Bans, &section.bans),
        (Part::Kernel, &section.kernel),
        (Part::Journal, &section.journal),
        (Part::Upgrades, &section.upgrades),
        (Part::Needrestart, &section.needrestart),
        (Part::Time, &section.time),
        (Part::Audit, &section.audit),
        (Part::Swap, &section.swap),
        (Part::Sleep, &section.sleep),
        (Part::NetworkManager, &section.network_manager),
        (Part::Files, &section.files),
        (Part::Passwords, &section.passwords),
    ];
    written.into_iter().filter_map(|(part, switch)| Some((part, *switch.as_ref()?.value())))
}

/// Checks `[harden]`, and what nodes say of their own.
pub fn check(file: &File, out: &mut Findings) {
    let own = file.node.iter().filter_map(|node| node.harden.as_ref());
    for section in file.harden.iter().chain(own) {
        for text in section.admin_networks.iter().flatten() {
            out.read("admin-networks", text, network_or_address);
        }
        for text in section.sshd.iter().flatten() {
            out.read("sshd", text, sshd_line);
        }
    }
    addressless(file, out);
}

/// One address is a network, too.
fn network_or_address(text: &str) -> Parsed<IpNet> {
    text.parse().map_or_else(|_| network::cidr(text), |address: IpAddr| Ok(address.into()))
}

/// One setting of sshd on one line; the rest is for `sshd -t` on the host.
fn sshd_line(text: &str) -> Parsed<()> {
    let word = text.split_whitespace().next().unwrap_or_default();
    let wrong =
        |what: &str, hint: &str| Err(Wrong { what: what.to_owned(), hint: Some(hint.to_owned()) });
    let keyword = |c: char| c.is_ascii_alphanumeric();
    if text.contains(['\n', '\r', '\0']) || word.is_empty() || !word.chars().all(keyword) {
        return wrong("not a line of sshd_config", "an example is `AllowUsers admin`");
    }
    if ["Match", "Include"].iter().any(|block| word.eq_ignore_ascii_case(block)) {
        let hint = "put it into a file of your own in /etc/ssh/sshd_config.d";
        return wrong("not a single setting", hint);
    }
    Ok(())
}

/// A firewall can let in only nodes whose address it knows.
fn addressless(file: &File, out: &mut Findings) {
    let walled = file.node.iter().any(|node| of(node, file).firewall == Firewall::Ufw);
    if !walled || file.node.len() < 2 {
        return;
    }
    for node in &file.node {
        let Some(address) = &node.address else { continue };
        let is_ip = |text: &Written<String>| text.parse::<IpAddr>().is_ok();
        let named = node.node_ip.is_some() || node.external_ip.is_some();
        let nat = node.behind_nat.as_ref().is_some_and(|nat| *nat.value());
        if !is_ip(address) && !named && !nat && !*node.local.value() {
            let title =
                format!("the firewalls of the other nodes cannot know `{}`", address.value());
            let hint = "give the node its `node-ip` or `external-ip`, or set `behind-nat = true`";
            out.push(Finding::error(address.span(), title).hint(hint));
        }
    }
}
