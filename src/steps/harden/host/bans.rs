//! Who fails to log in again and again is shut out for a while.

use std::collections::BTreeSet;

use crate::actions::{File, Unit};
use crate::cluster::{Host, Part};
use crate::step::Step;
use crate::steps::Inputs;
use crate::steps::harden::operators;
use crate::templates::host::Fail2ban;
use crate::templates::render;

/// fail2ban, what it reads the journal with, and what it bans with.
pub const PACKAGES: [&str; 3] = ["fail2ban", "python3-systemd", "nftables"];

/// Whether fail2ban has to do it: a newer sshd does it by itself.
pub fn needed(inputs: &Inputs<'_>) -> bool {
    let sshd = &inputs.facts.sshd;
    // Of an sshd that says nothing nobody knows what it can.
    let able = sshd.settings.is_empty() || sshd.value("persourcepenalties").is_some();
    inputs.host.harden.has(Part::Bans) && !able
}

/// fail2ban for sshd alone.
pub fn bans(step: &mut Step, inputs: &Inputs<'_>) -> anyhow::Result<()> {
    if !needed(inputs) {
        return Ok(());
    }
    let ports: Vec<String> = inputs.facts.sshd.ports().map(|port| port.to_string()).collect();
    let jail = Fail2ban { ports: ports.join(","), ignored: ignored(inputs) };
    let file = File::new("/etc/fail2ban/jail.d/oceanid.conf", render(&jail)?);
    step.ensure(file.clone());
    step.ensure(Unit::running("fail2ban.service").restarts_with(&file));
    Ok(())
}

/// The host itself, the operator, and the other nodes.
fn ignored(inputs: &Inputs<'_>) -> String {
    let mut all: Vec<String> = ["127.0.0.0/8", "::1"].map(str::to_owned).into();
    all.extend(operators(inputs));
    let nodes = inputs.cluster.hosts.iter().flat_map(Host::addresses);
    all.extend(nodes.map(|address| address.to_string()));
    let mut known = BTreeSet::new();
    all.retain(|address| known.insert(address.clone()));
    all.join(" ")
}
