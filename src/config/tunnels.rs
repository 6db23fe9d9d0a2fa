//! The tunnels, and the program that keeps them open.

use std::time::Duration;

use super::access;
use super::file::{File, IngressSection, OriginSection, TunnelSection};
use super::finding::{Finding, Findings};
use super::names::{domain_name, unless};
use super::service::service;
use super::suggest::closest;
use super::syntax::{self, Parsed};
use super::written::Written;
use crate::cluster::{Certificates, Cloudflared, Foreign, Managed, Origin, Rule, Tunnel};
use crate::secret::Secret;

/// Reads the tunnels; those that miss something needed are left out.
pub fn read(file: &File, out: &mut Findings) -> Vec<Tunnel> {
    let tunnels = file.tunnel.iter().filter_map(|section| tunnel(section, file, out)).collect();
    only_once(file, out);
    tunnels
}

/// Reads what is said of the program.
pub fn program(file: &File, out: &mut Findings) -> Cloudflared {
    let section = &file.cloudflared;
    out.read("version", &section.version, syntax::cloudflared);
    Cloudflared {
        version: section.version.value().clone(),
        protocol: *section.protocol.value(),
        edge_ip: *section.edge_ip_version.value(),
        edge: Duration::from_secs(*section.edge_seconds.value()),
        metrics_port: *section.metrics_port.value(),
        watchdog: Duration::from_secs(*section.watchdog_seconds.value()),
    }
}

fn tunnel(section: &Written<TunnelSection>, file: &File, out: &mut Findings) -> Option<Tunnel> {
    if let Some(hostname) = &section.hostname {
        out.read("hostname", hostname, domain_name);
    }
    if let Some(name) = &section.name {
        out.read("name", name, tunnel_name);
    }
    if let Some(account) = &section.account {
        out.read("account", account, account_id);
    }
    if let Some(id) = &section.id {
        out.read("id", id, tunnel_id);
    }
    opened_by(section, file, out);
    let access = access::read(section.access.as_ref(), out);
    let node = section.node.as_ref()?;
    ends_on(node, file, out);
    let rules = rules(section, file, out);
    let cluster = file.cluster.name.as_ref().map_or("", |name| name.as_str());
    let named = || format!("{cluster}-{}", node.value());
    let token = section.token.as_ref().or(section.credentials.as_ref());
    let text = |text: &Option<Written<String>>| text.as_ref().map(|text| text.value().clone());
    Some(Tunnel {
        name: text(&section.name).unwrap_or_else(named),
        node: node.value().clone(),
        hostname: text(&section.hostname)?,
        rules: rules?,
        managed: *section.managed.value(),
        token: match token {
            Some(token) => Some(token.value().clone().into()),
            // Cloudflare tells it.
            None => file.cloudflare.as_ref().map(|_| Secret::pending()),
        },
        account: text(&section.account),
        id: text(&section.id),
        foreign: if *section.take_over.value() { Foreign::TakenOver } else { Foreign::Refused },
        access,
    })
}

/// What opens the tunnel is said once, or is Cloudflare's to say.
fn opened_by(section: &Written<TunnelSection>, file: &File, out: &mut Findings) {
    match (&section.token, &section.credentials) {
        (Some(token), Some(credentials)) => {
            let title = "`token` and `credentials` both say what opens the tunnel";
            let finding = Finding::error(credentials.span(), title).also(token.span(), "the other");
            out.push(finding.hint("either is taken in any form: take one of them out"));
        }
        (None, None) if file.cloudflare.is_none() => {
            let title = "nothing says what opens the tunnel";
            let hint =
                "write `token`, or a section `[cloudflare]`, by which oceanid asks for it itself";
            out.push(Finding::error(section.span(), title).hint(hint));
        }
        _ => {}
    }
    let said = section.service.as_ref().map(Written::span);
    let said = said.or_else(|| section.ingress.first().map(Written::span));
    if let (Managed::Remote, None, Some(span)) = (section.managed.value(), &file.cloudflare, said) {
        let title = "which services answer is Cloudflare's to say, but there is no `[cloudflare]`";
        let hint = "`managed = \"local\"` has the node's own file say it; without, only `oceanid verify` \
                    counts on it";
        out.push(Finding::warning(span, title).hint(hint));
    }
}

/// Every rule in the order in which it is tried; `None` where the tunnel's own service is not known.
fn rules(section: &TunnelSection, file: &File, out: &mut Findings) -> Option<Vec<Rule>> {
    let hostname = section.hostname.as_ref().map_or("", |name| name.as_str());
    let mut further = Vec::new();
    for rule in &section.ingress {
        further.extend(ingress(rule, hostname, out));
    }
    let own = own_service(section, file, out)?;
    let origin = origin(section.origin.as_deref(), out);
    let own = Rule { hostname: hostname.to_owned(), path: None, service: own, origin };
    let (mut rules, rest): (Vec<_>, Vec<_>) =
        further.into_iter().partition(|(rule, _)| rule.path.is_some());
    rules.push((own, 0..0));
    rules.extend(rest);
    for (index, (rule, span)) in rules.iter().enumerate() {
        let same =
            |(other, _): &(Rule, _)| (&other.hostname, &other.path) == (&rule.hostname, &rule.path);
        let before = rules.iter().take(index).find(|other| same(other));
        if let Some((_, first)) = before {
            let title =
                format!("nothing gets to this service: another answers all of `{}`", rule.hostname);
            out.push(Finding::error(span.clone(), title).also(first.clone(), "this one"));
        }
    }
    Some(rules.into_iter().map(|(rule, _)| rule).collect())
}

fn ingress(
    section: &Written<IngressSection>,
    tunnel: &str,
    out: &mut Findings,
) -> Option<(Rule, std::ops::Range<usize>)> {
    if let Some(hostname) = &section.hostname {
        out.read("hostname", hostname, |text| domain_name(text.strip_prefix("*.").unwrap_or(text)));
    }
    if let Some(path) = &section.path {
        out.read("path", path, pattern);
    }
    let answers = section.service.as_ref()?;
    check_service(answers, out);
    let hostname = section.hostname.as_ref().map_or(tunnel, |name| name.as_str());
    let rule = Rule {
        hostname: hostname.to_owned(),
        path: section.path.as_ref().map(|path| path.value().clone()),
        service: answers.value().clone(),
        origin: origin(section.origin.as_deref(), out),
    };
    Some((rule, section.span()))
}

/// What answers under the tunnel's own name: Triton, where it is on the node.
fn own_service(section: &TunnelSection, file: &File, out: &mut Findings) -> Option<String> {
    if let Some(written) = &section.service {
        check_service(written, out);
        return Some(written.value().clone());
    }
    let node = section.node.as_ref()?;
    let has_gpu = file.node.iter().any(|one| {
        *one.gpu.value() && one.name.as_ref().is_some_and(|name| name.value() == node.value())
    });
    match &file.triton {
        Some(triton) if has_gpu => Some(format!("http://127.0.0.1:{}", triton.http_port.value())),
        _ => {
            let title = format!("`service` is missing: there is no Triton on `{}`", node.value());
            let hint = "it says what answers: `service = \"http://127.0.0.1:80\"`";
            out.push(Finding::error(node.span(), title).hint(hint));
            None
        }
    }
}

/// A login would stand in a file that everybody on the node may read.
fn check_service(text: &Written<String>, out: &mut Findings) {
    if text.contains('@') {
        out.hide(text.span());
        let title = "`service` holds a user or password";
        let hint = "cloudflared passes on what visitors send, and logs in nowhere itself";
        return out.push(Finding::error(text.span(), title).hint(hint));
    }
    out.read("service", text, service);
}

fn origin(section: Option<&OriginSection>, out: &mut Findings) -> Origin {
    let Some(section) = section else { return Origin::default() };
    for (key, name) in [
        ("http-host-header", &section.http_host_header),
        ("origin-server-name", &section.origin_server_name),
    ] {
        if let Some(name) = name {
            out.read(key, name, syntax::host);
        }
    }
    let text = |text: &Option<Written<String>>| text.as_ref().map(|text| text.value().clone());
    Origin {
        connect: section.connect_seconds.as_ref().map(|count| Duration::from_secs(*count.value())),
        host_header: text(&section.http_host_header),
        server_name: text(&section.origin_server_name),
        certificates: if *section.no_tls_verify.value() {
            Certificates::Any
        } else {
            Certificates::Verified
        },
    }
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

/// Two tunnels of one public name, or connectors of one tunnel on two nodes: each would get half of what comes.
fn only_once(file: &File, out: &mut Findings) {
    type Get = fn(&TunnelSection) -> Option<&Written<String>>;
    let keys: [(&str, Get); 3] = [
        ("hostname", |tunnel| tunnel.hostname.as_ref()),
        ("name", |tunnel| tunnel.name.as_ref()),
        ("id", |tunnel| tunnel.id.as_ref()),
    ];
    for (key, get) in keys {
        let values: Vec<_> = file.tunnel.iter().filter_map(|tunnel| get(tunnel.value())).collect();
        for (index, value) in values.iter().enumerate() {
            let before = values.iter().take(index).find(|one| one.value() == value.value());
            if let Some(first) = before {
                let title = format!("`{key}`: two tunnels have `{}`", value.value());
                out.push(Finding::error(value.span(), title).also(first.span(), "the first one"));
            }
        }
    }
}

fn tunnel_name(text: &str) -> Parsed<()> {
    let fits = |text: &str| {
        (1..=100).contains(&text.chars().count())
            && text.trim() == text
            && !text.chars().any(char::is_control)
    };
    unless(fits, text, "not the name of a tunnel", "an example is `lab-calypso`")
}

/// The id of an account of Cloudflare.
pub fn account_id(text: &str) -> Parsed<()> {
    let hint = "it is 32 hexadecimal digits, as in the address of Cloudflare's dashboard";
    unless(|text| is_hex(text, 32), text, "not the id of an account", hint)
}

/// The id of a tunnel.
fn tunnel_id(text: &str) -> Parsed<()> {
    let fits = |text: &str| {
        let parts: Vec<&str> = text.split('-').collect();
        let lengths = [8, 4, 4, 4, 12];
        parts.len() == 5 && parts.iter().zip(lengths).all(|(part, length)| is_hex(part, length))
    };
    let hint = "an example is `6ff42ae2-765d-4adf-8112-31c55c1551ef`";
    unless(fits, text, "not the id of a tunnel", hint)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What the path must match; whether it is a regular expression, cloudflared itself says on the node.
fn pattern(text: &str) -> Parsed<()> {
    let fits = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    unless(fits, text, "not a pattern for paths", "an example is `^/v2/`")
}
