//! Which of the hosts runs the control plane.

use super::super::network::Standing;
use super::{Found, SERVER_MEMORY, has_public};

/// The host that is the best server, and why.
pub fn choose(found: &[Found]) -> (usize, String) {
    if found.len() == 1 {
        return (0, String::from("The only node runs the control plane and the workloads."));
    }
    let public = has_public(found);
    let reached = |one: &Found| !public || Standing::of(one).address().is_some();
    let rank = |one: &Found| {
        let small = one.facts.memory_mib < SERVER_MEMORY;
        // Rounded: what is sold as 2 GB differs by some MiB.
        (reached(one), one.gpus().is_empty(), !small, (one.facts.memory_mib + 512) / 1024)
    };
    let best = found.iter().enumerate().rev().max_by_key(|(_, one)| rank(one));
    let index = best.map_or(0, |(index, _)| index);
    let why = found.get(index).map(|one| reason(one, index, found)).unwrap_or_default();
    (index, why)
}

fn reason(one: &Found, index: usize, found: &[Found]) -> String {
    let memory = |one: &Found| (one.facts.memory_mib + 512) / 1024;
    let mut others = found.iter().enumerate().filter(|(other, _)| *other != index);
    let mut why = String::from("Runs the control plane: ");
    why.push_str(if has_public(found) {
        "every other node reaches it"
    } else {
        "all nodes reach each other"
    });
    if others.clone().any(|(_, other)| !other.gpus().is_empty()) {
        why.push_str(", it leaves the GPU to workloads");
    }
    let comparable = |other: &Found| {
        other.gpus().is_empty() && (!has_public(found) || Standing::of(other).address().is_some())
    };
    if others.all(|(_, other)| !comparable(other) || memory(other) < memory(one)) {
        why.push_str(", and of those it has the most memory");
    } else {
        why.push_str(", and it is the first of those that are alike");
    }
    if one.facts.memory_mib < SERVER_MEMORY {
        why.push_str(". 2 GB would be better: a control plane alone takes most of this");
    }
    why.push('.');
    why
}
