//! `oceanid facts`: what the hosts are.

use std::fmt::Write as _;

use super::context::Context;
use super::print;
use crate::facts::{Facts, Gpu};
use crate::guard::Guard;
use crate::report::Exit;

/// Asks every selected host, and prints what it said.
pub async fn run(context: &Context, nodes: Vec<String>) -> anyhow::Result<Exit> {
    let selection = context.whole(nodes)?;
    let dialer = context.dialer()?;
    let fleet = context.fleet(&dialer, &selection, 10, "facts");
    let members = match context.muster(&fleet).await {
        Ok(members) => members,
        Err(exit) => return Ok(exit),
    };
    let shown = members.iter().filter(|member| fleet.is_selected(&member.host.name));
    for member in shown {
        let name = &member.host.name;
        if context.json {
            let line = serde_json::json!({"schema": 1, "event": "facts", "host": name, "facts": member.facts});
            print(&format!("{line}\n"))?;
        } else {
            print(&described(name, &member.facts))?;
        }
    }
    Ok(Exit::Done)
}

fn described(name: &str, facts: &Facts) -> String {
    let mut text = format!("{name}\n");
    let mut row = |key: &str, value: &str| {
        let _ = writeln!(text, "  {key:<15}{value}");
    };
    row("system", &format!("{} {}, kernel {}", facts.os, facts.os_version, facts.kernel));
    row("hostname", &facts.hostname);
    row(
        "machine",
        &format!("{}, {} cpus, {} MiB memory", facts.machine, facts.cpus, facts.memory_mib),
    );
    row("free disk", &format!("{} MiB in /var/lib", facts.disk_free_mib));
    row("hardware", &facts.hardware);
    row("cgroups", &facts.cgroups.join(" "));
    row("clock", &format!("{:+.1} s to this machine's", facts.ahead()));
    for address in &facts.addresses {
        row("address", address);
    }
    for line in facts.gpu.iter().flat_map(Gpu::lines) {
        row("gpu", &line);
    }
    match &facts.guard {
        Some(Guard::Armed(marker)) => {
            row("guard", &format!("waits to take `{}` back", marker.step));
        }
        Some(Guard::Fired(marker)) => row("guard", &format!("took `{}` back", marker.step)),
        None => {}
    }
    if let Some(lock) = &facts.lock {
        row("locked by", &format!("{} of {} until {}", lock.purpose, lock.owner, lock.expires));
    }
    text
}
