//! The sections beside nodes and k3s: hardening, GPU, Triton, tunnel and sources.

use std::path::PathBuf;

use reqwest::Url;

use super::file::{File, SourcesSection, TritonSection, TunnelSection};
use super::finding::{Finding, Findings};
use super::suggest::closest;
use super::syntax::{self, Parsed, Wrong};
use super::written::Written;
use crate::cluster::Sources;

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

/// Reads where downloads come from.
pub fn sources(section: &SourcesSection, out: &mut Findings) -> Option<Sources> {
    let k3s = source("k3s", &section.k3s, out);
    source("cloudflared", &section.cloudflared, out);
    source("nvidia", &section.nvidia, out);
    source("nvidia-key", &section.nvidia_key, out);
    let channels = source("channels", &section.channels, out);
    Some(Sources {
        k3s: k3s?,
        channels: channels?,
        proxy: section.proxy.as_deref().cloned(),
        no_proxy: section.no_proxy.iter().map(|name| name.value().clone()).collect(),
        ca: section.ca.as_deref().map(PathBuf::from),
    })
}

fn source(key: &str, text: &Written<String>, out: &mut Findings) -> Option<String> {
    let url = Url::parse(text).ok().filter(Url::has_host);
    if url.as_ref().is_some_and(|url| url.password().is_some() || !url.username().is_empty())
        || text.contains('@')
    {
        out.hide(text.span());
        let title = format!("`{key}` holds a user or password");
        let hint = "a mirror that asks for one is given through a proxy of your own";
        out.push(Finding::error(text.span(), title).hint(hint));
        return None;
    }
    let bare = |url: &Url| url.query().is_none() && url.fragment().is_none();
    match url.filter(bare) {
        Some(url) if url.scheme() == "https" => {}
        Some(url) if url.scheme() == "http" => {
            let title = format!("`{key}` is fetched without encryption");
            let hint = "what is fetched is compared with its SHA-256, but others see what it is";
            out.push(Finding::warning(text.span(), title).hint(hint));
        }
        _ => {
            let hint = "an example is `https://mirror.example.com/k3s`";
            out.read::<()>(key, text, |_| Err(wrong("not an https address", hint)));
            return None;
        }
    }
    Some(text.trim_end_matches('/').to_owned())
}
