//! The sections beside nodes and k3s: GPU, Triton and tunnel.

use super::file::{File, TritonSection, TunnelSection};
use super::finding::{Finding, Findings};
use super::suggest::closest;
use super::syntax::{self, Parsed, Wrong};
use super::written::Written;
use crate::cluster::Tunnel;

/// Checks what no step of this version takes from a [`crate::cluster::Cluster`].
pub fn check(file: &File, out: &mut Findings) {
    if let Some(name) = &file.cluster.name {
        out.read("name", name, cluster_name);
    }
    if let Some(domain) = &file.cluster.domain {
        out.read("domain", domain, domain_name);
    }
    if let Some(triton) = &file.triton {
        check_triton(triton, file, out);
    }
    if let Some(tunnel) = &file.tunnel {
        check_tunnel(tunnel, file, out);
    }
}

/// What is locked besides k3s: cloudflared, and the images of containers.
pub fn beside(file: &File) -> (Option<Tunnel>, Vec<String>) {
    let tunnel = file.tunnel.as_ref().and_then(|tunnel| {
        let node = tunnel.node.as_ref()?.value().clone();
        Some(Tunnel { node, version: tunnel.version.value().clone() })
    });
    let image = file.triton.as_ref().and_then(|triton| triton.image.as_ref());
    (tunnel, image.map(|image| image.value().clone()).into_iter().collect())
}

/// Passes where `fits` holds.
fn unless(fits: impl Fn(&str) -> bool, text: &str, what: &str, hint: &str) -> Parsed<()> {
    if fits(text) { Ok(()) } else { Err(wrong(what, hint)) }
}

fn wrong(what: &str, hint: &str) -> Wrong {
    Wrong { what: what.to_owned(), hint: Some(hint.to_owned()) }
}

fn cluster_name(text: &str) -> Parsed<()> {
    let hint = "lower-case letters, digits and `-`";
    unless(syntax::is_dns_label, text, "not a name for a cluster", hint)
}

fn models(text: &str) -> Parsed<()> {
    let absolute = |path: &str| path.starts_with('/');
    unless(absolute, text, "not an absolute path", "an example is `/opt/triton/models`")
}

fn image(text: &str) -> Parsed<()> {
    let last = text.rsplit('/').next().unwrap_or_default();
    let pinned = |text: &str| last.contains([':', '@']) && !text.contains(char::is_whitespace);
    let hint = "an example is `nvcr.io/nvidia/tritonserver:26.02-py3`";
    unless(pinned, text, "an image without a tag or digest", hint)
}

fn domain_name(text: &str) -> Parsed<()> {
    let name = text.contains('.') && text.parse::<std::net::IpAddr>().is_err();
    if name && syntax::is_dns_name(text) {
        return Ok(());
    }
    Err(wrong("not a domain name", "an example is `example.com`"))
}

fn check_triton(triton: &Written<TritonSection>, file: &File, out: &mut Findings) {
    if let Some(folder) = &triton.models {
        out.read("models", folder, models);
    }
    if let Some(name) = &triton.image {
        out.read("image", name, image);
    }
    if !file.node.iter().any(|node| *node.gpu.value()) {
        let hint = "give the node that has one `gpu = true`, or take the section out";
        let title = "`[triton]` needs a GPU, but no node has one";
        out.push(Finding::error(triton.span(), title).hint(hint));
    }
}

fn check_tunnel(tunnel: &Written<TunnelSection>, file: &File, out: &mut Findings) {
    if let Some(hostname) = &tunnel.hostname {
        out.read("hostname", hostname, domain_name);
    }
    out.read("version", &tunnel.version, syntax::cloudflared);
    let Some(node) = &tunnel.node else { return };
    let names = || file.node.iter().filter_map(|node| Some(node.name.as_ref()?.as_str()));
    if names().any(|name| name == node.value()) {
        return;
    }
    let title = format!("`node`: no node is called `{}`", node.value());
    let finding = Finding::error(node.span(), title);
    out.push(match closest(node, names()) {
        Some(meant) => finding.label(format!("did you mean `{meant}`?")),
        None => finding,
    });
}
