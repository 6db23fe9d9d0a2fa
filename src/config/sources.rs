//! `[sources]`: where downloads come from, through which proxy, and whom they trust.

use std::net::IpAddr;

use ipnet::IpNet;
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::file::SourcesSection;
use super::finding::{Finding, Findings};
use super::syntax::{self, Parsed, Wrong};
use super::written::Written;
use crate::cluster::Sources;

/// Reads where downloads come from.
pub fn read(section: &SourcesSection, out: &mut Findings) -> Option<Sources> {
    let k3s = source("k3s", &section.k3s, out);
    let cloudflared = source("cloudflared", &section.cloudflared, out);
    let nvidia = source("nvidia", &section.nvidia, out);
    let nvidia_key = source("nvidia-key", &section.nvidia_key, out);
    let nvidia_fingerprint = out.read("nvidia-fingerprint", &section.nvidia_fingerprint, print);
    let docker = source("docker", &section.docker, out);
    let cloudflare_api = api(&section.cloudflare_api, out);
    let channels = source("channels", &section.channels, out);
    let proxy = section.proxy.as_ref().map(|text| proxy(text, out));
    let no_proxy = section.no_proxy.iter().map(|text| out.read("no-proxy", text, around));
    let no_proxy = no_proxy.flatten().collect();
    if let (None, Some(first)) = (&section.proxy, section.no_proxy.first()) {
        let title = "`no-proxy` has no effect without `proxy`";
        out.push(Finding::warning(first.span(), title));
    }
    let ca = section.ca.as_ref().map(|path| out.read("ca", path, certificates));
    Some(Sources {
        k3s: k3s?,
        channels: channels?,
        cloudflared: cloudflared?,
        nvidia: nvidia?,
        nvidia_key: nvidia_key?,
        nvidia_fingerprint: nvidia_fingerprint?,
        docker: docker?,
        cloudflare_api: cloudflare_api?,
        // What is wrong was said; without it the rest can still be checked.
        proxy: proxy.flatten(),
        no_proxy,
        ca: ca.flatten(),
    })
}

fn wrong<T>(what: &str, hint: &str) -> Parsed<T> {
    Err(Wrong { what: what.to_owned(), hint: Some(hint.to_owned()) })
}

/// Refuses an address with a user or password in it, and hides it.
fn open(key: &str, text: &Written<String>, hint: &str, out: &mut Findings) -> Option<Url> {
    let url = Url::parse(text).ok().filter(Url::has_host);
    let login = |url: &Url| url.password().is_some() || !url.username().is_empty();
    if url.as_ref().is_some_and(login) || text.contains('@') {
        out.hide(text.span());
        let title = format!("`{key}` holds a user or password");
        out.push(Finding::error(text.span(), title).hint(hint));
        return None;
    }
    let bare = |url: &Url| url.query().is_none() && url.fragment().is_none();
    let url = url.filter(bare).filter(|url| ["http", "https"].contains(&url.scheme()));
    if url.is_none() {
        let example = match key {
            "proxy" => "an example is `http://proxy.example.com:3128`",
            "channels" => "an example is `https://update.k3s.io/v1-release/channels`",
            _ => "an example is `https://mirror.example.com/k3s`",
        };
        let what =
            if key == "proxy" { "not the address of a proxy" } else { "not an https address" };
        out.read::<()>(key, text, |_| wrong(what, example));
    }
    url
}

fn source(key: &str, text: &Written<String>, out: &mut Findings) -> Option<String> {
    let hint = "a mirror that asks for one is given through a proxy of your own";
    let url = open(key, text, hint, out)?;
    if url.scheme() == "http" {
        let title = format!("`{key}` is fetched without encryption");
        let hint = match key {
            "channels" => "whoever is in between chooses the version; `oceanid.lock` keeps it",
            "nvidia" | "nvidia-key" => "what is fetched is signed, but others see what it is",
            _ => "what is fetched is compared with its SHA-256, but others see what it is",
        };
        out.push(Finding::warning(text.span(), title).hint(hint));
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// An API that gets a token: unencrypted only on this very machine.
fn api(text: &Written<String>, out: &mut Findings) -> Option<String> {
    let hint = "the token for it stands in `[cloudflare]`";
    let url = open("cloudflare-api", text, hint, out)?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if url.scheme() == "http" && !here {
        let title = "`cloudflare-api` would get the token without encryption";
        out.push(Finding::error(text.span(), title).hint("write `https://`"));
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

fn proxy(text: &Written<String>, out: &mut Findings) -> Option<String> {
    let hint = "a proxy that asks for one is reached through a proxy of your own, without login";
    let url = open("proxy", text, hint, out)?;
    let fits = |_: &str| {
        if url.path() == "/" {
            Ok(())
        } else {
            wrong("more than the address of a proxy", "leave out the path")
        }
    };
    out.read("proxy", text, fits)?;
    Some(text.trim_end_matches('/').to_owned())
}

/// The fingerprint of a key, with or without spaces, as gpg shows it.
fn print(text: &str) -> Parsed<String> {
    let digits: String = text.split_whitespace().collect();
    if digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(digits.to_uppercase());
    }
    wrong("not the fingerprint of a key", "40 hex digits, as `gpg --show-keys` prints them")
}

/// A name, a domain with its names, an address or a network.
fn around(text: &str) -> Parsed<String> {
    let name = text.strip_prefix('.').unwrap_or(text);
    let address = text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok();
    // Digits and dots only: a mistyped address, which DNS would accept as a name.
    let numeric = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if address || (syntax::is_dns_name(name) && !numeric) {
        return Ok(text.to_owned());
    }
    let hint = match text.strip_prefix('*') {
        Some(rest) if syntax::is_dns_name(rest.trim_start_matches('.')) => {
            format!("write `.{}`", rest.trim_start_matches('.'))
        }
        _ => "examples are `mirror.example.com`, `.example.com` and `10.0.0.0/8`".to_owned(),
    };
    Err(Wrong {
        what: "neither a name, a domain, an address nor a network".to_owned(),
        hint: Some(hint),
    })
}

/// The certificates in a file on this machine.
fn certificates(text: &str) -> Parsed<String> {
    let path = syntax::local_path(text)?;
    let pem = match std::fs::read_to_string(&path) {
        Ok(pem) => pem,
        Err(error) => {
            return wrong("a file that cannot be read", &error.to_string().to_lowercase());
        }
    };
    if pem.contains("PRIVATE KEY-----") {
        return wrong("a file with a private key", "name the file with the CA's certificate alone");
    }
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(all) if !all.is_empty() => Ok(pem),
        _ => wrong(
            "not a file of certificates",
            "it holds `-----BEGIN CERTIFICATE-----` and what follows (PEM)",
        ),
    }
}
