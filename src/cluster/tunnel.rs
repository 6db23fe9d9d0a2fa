//! The ways in from outside, as they are meant to be.

use std::time::Duration;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Access;
use crate::secret::{Credentials, Secret};

/// A tunnel of Cloudflare that ends on a node.
#[derive(Debug, Clone)]
pub struct Tunnel {
    /// Its name at Cloudflare.
    pub name: String,
    /// The node that it ends on.
    pub node: String,
    /// The public name.
    pub hostname: String,
    /// What answers under that name, and under further ones, in the order in which they are tried.
    pub rules: Vec<Rule>,
    /// Who tells cloudflared of the rules.
    pub managed: Managed,
    /// What opens it, in any form; what it holds may not be known before Cloudflare was asked.
    pub token: Option<Secret>,
    /// The account that it must belong to.
    pub account: Option<String>,
    /// The id that it must have.
    pub id: Option<String>,
    /// What becomes of a cloudflared.service of somebody else.
    pub foreign: Foreign,
    /// Who may come in.
    pub access: Access,
}

impl Tunnel {
    /// What opens it, once that is known: checked against what cluster.toml says of it.
    ///
    /// # Errors
    /// When it is nothing that opens a tunnel, or opens another one.
    pub fn credentials(&self) -> anyhow::Result<Option<Credentials>> {
        let Some(whole) = self.token.as_ref().and_then(Secret::known) else { return Ok(None) };
        let read = Credentials::read(&whole).and_then(|read| {
            read.must_be(self.account.as_deref(), self.id.as_deref())?;
            Ok(read)
        });
        let read = read.with_context(|| {
            format!("what is to open the tunnel `{}` on `{}` cannot be used", self.name, self.node)
        })?;
        Ok(Some(read))
    }

    /// What answers under its public name.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        let own = |rule: &&Rule| rule.hostname == self.hostname && rule.path.is_none();
        self.rules.iter().find(own).map(|rule| rule.service.as_str())
    }
}

/// Which service answers requests for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The name, or `*.example.com`.
    pub hostname: String,
    /// A regular expression for the path.
    pub path: Option<String>,
    /// The service: `http://127.0.0.1:8000`, `unix:/run/app.sock`, `http_status:404`.
    pub service: String,
    /// How it is asked.
    pub origin: Origin,
}

/// How a service is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// How long a connection to it may take to come about.
    pub connect: Option<Duration>,
    /// The `Host` that it is asked by.
    pub host_header: Option<String>,
    /// The name that its certificate must have.
    pub server_name: Option<String>,
    /// Which certificates will do.
    pub certificates: Certificates,
}

/// Which certificates of a service will do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Certificates {
    /// Those that a known CA signed.
    #[default]
    Verified,
    /// Any.
    Any,
}

/// Who tells cloudflared which service answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Managed {
    /// A file on the node, which oceanid lays down.
    #[default]
    Local,
    /// Cloudflare: its dashboard, or `[cloudflare]`.
    Remote,
}

/// What becomes of a cloudflared.service that somebody else laid down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Foreign {
    /// It stays, and nothing is changed.
    #[default]
    Refused,
    /// It is replaced.
    TakenOver,
}

/// How cloudflared reaches the edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeProtocol {
    /// Over UDP, and over TCP where that is blocked.
    #[default]
    Auto,
    /// Over UDP alone.
    Quic,
    /// Over TCP alone.
    Http2,
}

/// By which IP cloudflared reaches the edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EdgeIp {
    /// By either.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// By IPv4 alone.
    #[serde(rename = "4")]
    V4,
    /// By IPv6 alone.
    #[serde(rename = "6")]
    V6,
}

/// The program that keeps tunnels open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloudflared {
    /// Its exact version.
    pub version: String,
    /// How it reaches the edge.
    pub protocol: EdgeProtocol,
    /// By which IP it does so.
    pub edge_ip: EdgeIp,
    /// How long the edge may take to be connected.
    pub edge: Duration,
    /// The port on 127.0.0.1 where it tells how it is.
    pub metrics_port: u16,
    /// How long no connection may be ready before the node restarts it by itself.
    pub watchdog: Duration,
}

impl EdgeProtocol {
    /// As cloudflared takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Quic => "quic",
            Self::Http2 => "http2",
        }
    }
}

impl EdgeIp {
    /// As cloudflared takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::V4 => "4",
            Self::V6 => "6",
        }
    }
}
