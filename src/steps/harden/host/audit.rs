//! The kernel's record of who changes what lets people in.

use crate::actions::{AuditRules, File, Unit};
use crate::cluster::{Part, Role};
use crate::step::Step;
use crate::steps::Inputs;
use crate::templates::host::Audit;
use crate::templates::render;

/// auditd and its log are too much for less, MiB: what is sold as 2 GB.
const LEAST_MEMORY: u64 = 1900;

/// Only what is rarely written: rules on system calls would flood the log of a node.
const WATCHED: &[(&str, &str)] = &[
    ("/etc/ssh/sshd_config", "sshd"),
    ("/etc/ssh/sshd_config.d", "sshd"),
    ("/etc/sudoers", "sudoers"),
    ("/etc/sudoers.d", "sudoers"),
    ("/etc/passwd", "accounts"),
    ("/etc/shadow", "accounts"),
    ("/etc/group", "accounts"),
    ("/etc/gshadow", "accounts"),
    ("/etc/rancher/k3s", "k3s"),
    ("/var/lib/rancher/k3s/server/token", "k3s"),
    ("/var/lib/rancher/k3s/server/agent-token", "k3s"),
];

/// Whether the host gets it.
pub fn fits(inputs: &Inputs<'_>) -> bool {
    is_wanted(inputs) && !inputs.facts.container
}

fn is_wanted(inputs: &Inputs<'_>) -> bool {
    let large = inputs.facts.memory_mib >= LEAST_MEMORY;
    inputs.host.harden.choice(Part::Audit).unwrap_or(large)
}

/// Rules, and the daemon that writes down what they catch.
pub fn audit(step: &mut Step, inputs: &Inputs<'_>) -> anyhow::Result<()> {
    if !fits(inputs) {
        if is_wanted(inputs) {
            step.note("no audit: it is a container, and the kernel's record is the machine's");
        }
        return Ok(());
    }
    let file =
        File::new("/etc/audit/rules.d/50-oceanid.rules", render(&Audit { watched: WATCHED })?)
            .mode(0o640);
    let mut rules = AuditRules::of(&file).folder("/etc/rancher/k3s", 0o755);
    if inputs.host.role == Role::Server {
        rules = rules.folder("/var/lib/rancher/k3s/server", 0o700);
    }
    step.ensure(file);
    step.ensure(Unit::running("auditd.service"));
    step.ensure(rules);
    Ok(())
}
