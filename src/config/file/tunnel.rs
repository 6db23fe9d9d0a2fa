//! `[[tunnel]]` and `[cloudflared]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::access::AccessSection;
use crate::cluster::{EdgeIp, EdgeProtocol, Managed};
use crate::config::written::Written;
use crate::secret::SecretRef;

/// `[[tunnel]]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TunnelSection {
    /// The public name.
    #[schemars(extend("x-required" = true))]
    pub hostname: Option<Written<String>>,
    /// The node that the tunnel ends on; each has at most one.
    #[schemars(extend("x-required" = true))]
    pub node: Option<Written<String>>,
    /// The name of the tunnel at Cloudflare. Without it `<cluster>-<node>`.
    pub name: Option<Written<String>>,
    /// What answers under the public name, as cloudflared on the node reaches it:
    /// `http://127.0.0.1:8000`, `unix:/run/app.sock`, `http_status:404`. Without it Triton, on a
    /// node with a GPU.
    pub service: Option<Written<String>>,
    /// How that service is asked.
    pub origin: Option<Written<OriginSection>>,
    /// Further public names and paths, each with a service. Those with a path are tried first; who
    /// asks for none of them gets 404.
    pub ingress: Vec<Written<IngressSection>>,
    /// Who tells cloudflared which service answers: never both.
    pub managed: Written<Managed>,
    /// What opens the tunnel: its token, or its credentials file, or that in base64; each is taken
    /// in any of these forms. Without it oceanid asks Cloudflare, where `[cloudflare]` is there.
    pub token: Option<Written<SecretRef>>,
    /// As `token`; one of the two may be there.
    pub credentials: Option<Written<SecretRef>>,
    /// The id of the account, 32 hexadecimal digits: credentials for another one are refused.
    pub account: Option<Written<String>>,
    /// The id of the tunnel, a UUID: credentials for another one are refused.
    pub id: Option<Written<String>>,
    /// A cloudflared.service that somebody else laid down on the node is replaced. Without it
    /// nothing is changed there.
    pub take_over: Written<bool>,
    /// Who may come in. `{ open = true }`: everybody. `{ client-id = …, client-secret = … }`, each
    /// a reference to a secret: a service token of Cloudflare Access, with which `oceanid verify`
    /// comes in. Without `open`, an answer to a call without credentials is an alarm of
    /// `oceanid verify`.
    pub access: Option<Written<AccessSection>>,
}

/// A further rule of a tunnel's ingress.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct IngressSection {
    /// A public name, or `*.example.com`. Without it the tunnel's own.
    pub hostname: Option<Written<String>>,
    /// A regular expression, as Go has them, that the path must match: `^/v2/`.
    pub path: Option<Written<String>>,
    /// What answers, as `service` of the tunnel.
    #[schemars(extend("x-required" = true))]
    pub service: Option<Written<String>>,
    /// How it is asked.
    pub origin: Option<Written<OriginSection>>,
}

/// How a service is asked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct OriginSection {
    /// How many seconds a connection to it may take to come about.
    #[schemars(range(min = 1, max = 600))]
    pub connect_seconds: Option<Written<u64>>,
    /// The `Host` that it is asked by.
    pub http_host_header: Option<Written<String>>,
    /// The name that its certificate must have.
    pub origin_server_name: Option<Written<String>>,
    /// Any certificate will do.
    pub no_tls_verify: Written<bool>,
}

/// `[cloudflared]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CloudflaredSection {
    /// The exact version of cloudflared. `oceanid lock` keeps its SHA-256 in `oceanid.lock`.
    pub version: Written<String>,
    /// How it reaches Cloudflare's edge, on port 7844.
    pub protocol: Written<EdgeProtocol>,
    /// By which IP it does so.
    pub edge_ip_version: Written<EdgeIp>,
    /// How many seconds the edge may take to be connected.
    #[schemars(range(min = 15, max = 900))]
    pub edge_seconds: Written<u64>,
    /// The port on 127.0.0.1 where it tells how it is.
    #[schemars(range(min = 1))]
    pub metrics_port: Written<u16>,
    /// For how many seconds no connection may be ready before the node restarts it by itself; after
    /// each restart in vain it waits twice as long, up to an hour.
    #[schemars(range(min = 10, max = 3600))]
    pub watchdog_seconds: Written<u64>,
}

impl Default for CloudflaredSection {
    fn default() -> Self {
        Self {
            version: "2026.8.2".to_owned().into(),
            protocol: EdgeProtocol::default().into(),
            edge_ip_version: EdgeIp::default().into(),
            edge_seconds: 120.into(),
            metrics_port: 20241.into(),
            watchdog_seconds: 180.into(),
        }
    }
}

impl Default for Written<Managed> {
    fn default() -> Self {
        Managed::default().into()
    }
}
