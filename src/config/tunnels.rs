//! The tunnels, and the program that keeps them open.

use super::access;
use super::file::{File, TunnelSection};
use super::finding::{Finding, Findings};
use super::names::domain_name;
use super::suggest::closest;
use super::syntax;
use super::written::Written;
use crate::cluster::{Cloudflared, Tunnel};
use crate::secret::Secret;

/// Reads the tunnels; those that miss something needed are left out.
pub fn read(file: &File, out: &mut Findings) -> Vec<Tunnel> {
    file.tunnel.iter().filter_map(|section| tunnel(section, file, out)).collect()
}

/// Reads what is said of the program.
pub fn program(file: &File, out: &mut Findings) -> Cloudflared {
    let version = &file.cloudflared.version;
    out.read("version", version, syntax::cloudflared);
    Cloudflared { version: version.value().clone() }
}

fn tunnel(section: &Written<TunnelSection>, file: &File, out: &mut Findings) -> Option<Tunnel> {
    if let Some(hostname) = &section.hostname {
        out.read("hostname", hostname, domain_name);
    }
    let node = section.node.as_ref()?;
    ends_on(node, file, out);
    Some(Tunnel {
        node: node.value().clone(),
        hostname: section.hostname.as_ref()?.value().clone(),
        access: access::read(section.access.as_ref(), out),
        token: match &section.token {
            Some(token) => Some(token.value().clone().into()),
            // Cloudflare tells it.
            None => file.cloudflare.as_ref().map(|_| Secret::pending()),
        },
    })
}

/// The node must be there, and have no other tunnel.
fn ends_on(node: &Written<String>, file: &File, out: &mut Findings) {
    let names = || file.node.iter().filter_map(|node| Some(node.name.as_ref()?.as_str()));
    if !names().any(|name| name == node.value()) {
        let title = format!("`node`: no node is called `{}`", node.value());
        let finding = Finding::error(node.span(), title);
        return out.push(match closest(node, names()) {
            Some(meant) => finding.label(format!("did you mean `{meant}`?")),
            None => finding,
        });
    }
    let mut others = file.tunnel.iter().filter_map(|other| other.node.as_ref());
    let first = others.find(|other| other.value() == node.value());
    if let Some(first) = first.filter(|first| first.span() != node.span()) {
        let title = format!("two tunnels end on `{}`", node.value());
        out.push(Finding::error(node.span(), title).also(first.span(), "the first one"));
    }
}
