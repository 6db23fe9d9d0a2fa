//! What there is: tunnels, names, Access. The file is written by whoever plays Cloudflare's API.

use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Everything.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct State {
    /// The tunnels.
    pub tunnels: Vec<Tunnel>,
    /// The names.
    pub dns: Vec<Record>,
    /// Who may come to which name.
    pub access_apps: Vec<App>,
    /// The tokens of programs.
    pub service_tokens: Vec<ServiceToken>,
}

/// A tunnel.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tunnel {
    /// Its id.
    pub id: String,
    /// Its account.
    pub account_tag: String,
    /// Its secret, base64.
    pub secret: String,
    /// `cloudflare`, or `local`.
    pub config_src: String,
    /// When it was deleted.
    pub deleted_at: Option<String>,
    /// Its remote configuration.
    pub config: Value,
}

/// A DNS record.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The name.
    pub name: String,
    /// `CNAME`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it leads.
    pub content: String,
    /// Whether it leads through the edge.
    pub proxied: bool,
}

/// An Access application.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct App {
    /// The name, and perhaps a path.
    pub domain: String,
    /// Whether who is refused gets 401.
    pub service_auth_401_redirect: bool,
    /// Who may come.
    pub policies: Vec<Policy>,
}

/// A policy of an Access application.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// `allow`, `deny`, `non_identity`, `bypass`.
    pub decision: String,
    /// Rules, one of which must fit.
    pub include: Vec<Value>,
}

/// A token of a program.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServiceToken {
    /// Its id.
    pub id: String,
    /// The public half.
    pub client_id: String,
    /// The secret half.
    pub client_secret: String,
    /// When it ends, RFC 3339.
    pub expires_at: Option<String>,
}

impl State {
    /// Reads the file; one that is just being written is read again.
    pub async fn read(path: &Path) -> Self {
        for _ in 0..20 {
            if let Some(state) = Self::read_now(path) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Self::default()
    }

    /// Reads the file, once.
    pub fn read_now(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        serde_json::from_str(&text).ok()
    }

    /// Returns the tunnel of that id, unless it was deleted.
    pub fn tunnel(&self, id: &str) -> Option<&Tunnel> {
        self.tunnels.iter().find(|tunnel| tunnel.id == id && tunnel.deleted_at.is_none())
    }

    /// Returns the proxied record for a name: its own, else that of a wildcard.
    pub fn record(&self, host: &str) -> Option<&Record> {
        let wildcard = host.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        let named = |name: &str| {
            self.dns.iter().find(|record| record.proxied && record.name.eq_ignore_ascii_case(name))
        };
        named(host).or_else(|| named(&wildcard?))
    }
}

impl Tunnel {
    /// Returns the configuration that the edge hands to connectors.
    pub fn remote(&self) -> Option<&Value> {
        let remote = self.config_src == "cloudflare" && self.config["ingress"].is_array();
        remote.then_some(&self.config)
    }
}
