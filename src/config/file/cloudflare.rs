//! `[cloudflare]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::written::Written;
use crate::secret::SecretRef;

/// `[cloudflare]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CloudflareSection {
    /// A token for Cloudflare's API, of a user or of the account. It must be allowed: Zone, read;
    /// DNS, edit; Cloudflare Tunnel, edit; with `access` Access: Apps and Policies, edit, and
    /// Access: Service Tokens, edit; with `waf` or `rate-limit` Zone WAF, edit.
    #[schemars(extend("x-required" = true))]
    pub token: Option<Written<SecretRef>>,
    /// The id of the account, 32 hexadecimal digits. Without it, the account that has the zone.
    pub account: Option<Written<String>>,
    /// The zone. Without it `cluster.domain`.
    pub zone: Option<Written<String>>,
    /// Who may come in to nodes with a GPU: an application of Access for each of their names, and a
    /// service token that it lets in. On by default.
    pub access: Written<GateSection>,
    /// Rules of the web application firewall for the tunnels' names: paths that only scanners ask
    /// for are blocked, and on nodes with a GPU all but Triton's API.
    pub waf: Written<bool>,
    /// Countries, as `CN`, from which nobody comes in but known bots. They need `waf`.
    pub block_countries: Vec<Written<String>>,
    /// How many requests one address may make to nodes with a GPU.
    pub rate_limit: Option<Written<RateLimitSection>>,
}

impl Default for CloudflareSection {
    fn default() -> Self {
        Self {
            token: None,
            account: None,
            zone: None,
            access: GateSection::default().into(),
            waf: false.into(),
            block_countries: Vec::new(),
            rate_limit: None,
        }
    }
}

/// `[cloudflare.access]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GateSection {
    /// Whether Access is kept in order.
    pub enabled: Written<bool>,
    /// The name of the service token; at Cloudflare `oceanid:NAME-OF-THE-CLUSTER` stands before it.
    pub service_token: Written<String>,
    /// How long the service token is good, in hours, or `forever`. With less than 30 days left it is
    /// extended.
    pub duration: Written<String>,
    /// Where its secret goes, which Cloudflare shows once. Without it
    /// `~/.config/oceanid/NAME-OF-THE-CLUSTER.service-token`.
    pub store: Written<StoreSection>,
}

impl Default for GateSection {
    fn default() -> Self {
        Self {
            enabled: true.into(),
            service_token: String::from("calls").into(),
            duration: String::from("8760h").into(),
            store: StoreSection::default().into(),
        }
    }
}

/// `[cloudflare.access.store]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StoreSection {
    /// A file of this machine, which is then its user's alone.
    pub file: Option<Written<String>>,
    /// A command of this machine, with its arguments: the secret is its stdin, the client id is in
    /// the environment variable `CF_ACCESS_CLIENT_ID`.
    pub command: Vec<Written<String>>,
}

/// `[cloudflare.rate-limit]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RateLimitSection {
    /// How many requests within the period.
    #[schemars(extend("x-required" = true), range(min = 1, max = 1_000_000))]
    pub requests: Option<Written<u64>>,
    /// The period, in seconds: 10, and with a paid plan also 60, 120, 300, 600 or 3600.
    pub period: Written<u64>,
    /// For how many seconds an address is kept out that made more: 10, and with a paid plan also
    /// 60, 120, 300, 600, 3600 or 86400.
    pub timeout: Written<u64>,
    /// The paths that count begin with it. The free plan cannot tell names apart: there it counts
    /// on every name of the zone.
    pub path: Written<String>,
}

impl Default for RateLimitSection {
    fn default() -> Self {
        Self {
            requests: None,
            period: 10.into(),
            timeout: 10.into(),
            path: String::from("/v2/").into(),
        }
    }
}
