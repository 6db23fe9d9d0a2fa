//! `oceanid lock`: resolves every version anew, and shows what moved.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::json;

use super::context::Context;
use super::print;
use crate::facts::Arch;
use crate::releases::{Moved, Releases};
use crate::report::{Event, Exit, Observer as _};

/// Resolves everything anew and writes `oceanid.lock` beside cluster.toml.
pub async fn run(context: &Context) -> anyhow::Result<Exit> {
    context.caution();
    let path = Releases::path(&context.file);
    let old = Releases::load(&path)?;
    let arches = match tunnel_arches(context, &old).await? {
        Ok(arches) => arches,
        Err(exit) => return Ok(exit),
    };
    let teller = &context.teller;
    let node = context.cluster.tunnels.first().map(|tunnel| tunnel.node.as_str());
    let progress = |text: &str| {
        if let Some(host) = node {
            teller.on(&Event::Progress { host, text });
        }
    };
    let new = old.resolve_anew(&context.cluster, &arches, &progress).await?;
    let moved = old.moved(&new);
    if new != old || !path.exists() {
        new.save(&path)?;
    }
    if context.json {
        let moved: Vec<_> = moved.iter().map(as_json).collect();
        let answer = json!({
            "schema": 1, "event": "lock", "file": path, "k3s": new.k3s.version, "moved": moved,
        });
        print(&format!("{answer}\n"))?;
    } else {
        print(&shown(&new, &moved))?;
    }
    if let Some(text) = replaced(&moved) {
        teller.on(&Event::Warning { host: None, text: &text });
    }
    Ok(Exit::Done)
}

/// The architectures that cloudflared is locked for: those that were, and those of the tunnels' nodes.
async fn tunnel_arches(
    context: &Context,
    old: &Releases,
) -> anyhow::Result<Result<Vec<Arch>, Exit>> {
    let nodes: Vec<String> =
        context.cluster.tunnels.iter().map(|tunnel| tunnel.node.clone()).collect();
    if nodes.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let locked = old.cloudflared.as_ref().map(|release| &release.sha256);
    let known = |arch: &Arch| locked.is_some_and(|sums| sums.contains_key(arch.name()));
    let known: Vec<Arch> = Arch::ALL.into_iter().filter(known).collect();
    if !known.is_empty() {
        return Ok(Ok(known));
    }
    let selection = context.whole(nodes.clone())?;
    let dialer = context.dialer()?;
    let fleet = context.fleet(&dialer, &selection, 10, "lock");
    let members = match context.muster(&fleet).await {
        Ok(members) => members,
        Err(exit) => return Ok(Err(exit)),
    };
    let mut arches = Vec::new();
    for member in members.iter().filter(|member| nodes.contains(&member.host.name)) {
        let name = &member.host.name;
        arches.push(member.facts.arch().with_context(|| format!("`{name}` is not fit"))?);
    }
    arches.sort_unstable();
    arches.dedup();
    Ok(Ok(arches))
}

/// A hash that changes under a version that does not: somebody replaced what was released.
fn replaced(moved: &[Moved]) -> Option<String> {
    let same = |name: &str| moved.iter().all(|one| one.what != name);
    let other = |one: &&Moved| {
        let name = one.what.split(' ').next().unwrap_or_default();
        name != "image" && one.old.is_some() && one.new.is_some() && one.what != name && same(name)
    };
    let one = moved.iter().find(other)?;
    Some(format!(
        "{}: the same version has another sha256 than before: ask why before you commit this",
        one.what
    ))
}

fn as_json(moved: &Moved) -> serde_json::Value {
    json!({ "what": moved.what, "old": moved.old, "new": moved.new })
}

fn shown(new: &Releases, moved: &[Moved]) -> String {
    if moved.is_empty() {
        return format!("nothing moved: k3s {}\n", new.k3s.version);
    }
    let mut text = String::new();
    for Moved { what, old, new } in moved {
        let _ = match (old.as_deref().map(short), new.as_deref().map(short)) {
            (Some(old), Some(new)) => writeln!(text, "{what}: {old} -> {new}"),
            (None, Some(new)) => writeln!(text, "{what}: {new} (new)"),
            (old, None) => writeln!(text, "{what}: {} (gone)", old.unwrap_or_default()),
        };
    }
    text
}

/// The beginning of a hash says which; a version is shown whole.
fn short(text: &str) -> &str {
    let hash = text.strip_prefix("sha256:").unwrap_or(text);
    if hash.len() == 64 { hash.get(..12).unwrap_or(hash) } else { text }
}
