//! A way in: a tunnel, the names that lead to it, and what answers there.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cluster::{Certificates, Cluster, Managed, Origin, Rule, Tunnel};

/// A way in.
#[derive(Debug)]
pub struct Way<'a> {
    /// As cluster.toml says.
    pub tunnel: &'a Tunnel,
    /// Only the service token comes in.
    pub gated: bool,
    /// The tunnel that cluster.toml has credentials for: oceanid neither makes nor removes it.
    pub given: Option<Given>,
}

/// A tunnel that somebody else made.
#[derive(Debug)]
pub struct Given {
    /// Its account.
    pub account: String,
    /// Its id.
    pub id: String,
}

impl<'a> Way<'a> {
    /// The way through `tunnel`.
    ///
    /// # Errors
    /// When its credentials cannot be used.
    pub fn new(tunnel: &'a Tunnel, gated: bool) -> anyhow::Result<Self> {
        let own = tunnel.token.as_ref().filter(|token| !token.is_brought());
        let Some(token) = own else { return Ok(Self { tunnel, gated, given: None }) };
        token
            .fetch_lines()
            .with_context(|| format!("cannot get what opens the tunnel `{}`", tunnel.name))?;
        let given = tunnel.credentials()?.map(|credentials| Given {
            account: credentials.account().to_owned(),
            id: credentials.id().to_owned(),
        });
        Ok(Self { tunnel, gated, given })
    }

    /// What the tunnel is called at Cloudflare.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.tunnel.name
    }

    /// The names that lead to it.
    pub fn hostnames(&self) -> impl Iterator<Item = &'a str> {
        hostnames(self.tunnel)
    }

    /// Where Cloudflare says which services answer: what it says.
    #[must_use]
    pub fn ingress(&self) -> Option<Value> {
        if self.tunnel.managed == Managed::Local {
            return None;
        }
        let rules = self.tunnel.rules.iter().map(rule);
        Some(rules.chain([json!({ "service": "http_status:404" })]).collect())
    }
}

/// The names that lead to `tunnel`, each once.
pub fn hostnames(tunnel: &Tunnel) -> impl Iterator<Item = &str> {
    let further = tunnel.rules.iter().map(|rule| rule.hostname.as_str());
    let mut all = vec![tunnel.hostname.as_str()];
    for name in further {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all.into_iter()
}

/// The names of which every request goes to Triton.
pub fn of_triton(cluster: &Cluster) -> Vec<&str> {
    let Some(triton) = &cluster.triton else { return Vec::new() };
    let service = format!("http://127.0.0.1:{}", triton.ports.http);
    let mut names = Vec::new();
    for tunnel in &cluster.tunnels {
        names.extend(hostnames(tunnel).filter(|name| {
            let mut rules = tunnel.rules.iter().filter(|rule| rule.hostname == *name);
            rules.all(|rule| rule.service == service)
        }));
    }
    names
}

/// A rule as Cloudflare keeps it.
fn rule(rule: &Rule) -> Value {
    let mut kept = json!({ "hostname": rule.hostname, "service": rule.service });
    if let Some(path) = &rule.path {
        kept["path"] = json!(path);
    }
    let origin = origin(&rule.origin);
    if origin.as_object().is_some_and(|fields| !fields.is_empty()) {
        kept["originRequest"] = origin;
    }
    kept
}

fn origin(origin: &Origin) -> Value {
    let mut kept = json!({});
    if let Some(limit) = origin.connect {
        // Whole seconds here, a text in a file.
        kept["connectTimeout"] = json!(limit.as_secs());
    }
    if let Some(host) = &origin.host_header {
        kept["httpHostHeader"] = json!(host);
    }
    if let Some(name) = &origin.server_name {
        kept["originServerName"] = json!(name);
    }
    if origin.certificates == Certificates::Any {
        kept["noTLSVerify"] = json!(true);
    }
    kept
}
