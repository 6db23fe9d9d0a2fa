//! `[[tunnel]]` and `[cloudflared]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::access::AccessSection;
use crate::config::written::Written;
use crate::secret::SecretRef;

/// `[[tunnel]]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TunnelSection {
    /// The public name.
    #[schemars(extend("x-required" = true))]
    pub hostname: Option<Written<String>>,
    /// The node that the tunnel ends on.
    #[schemars(extend("x-required" = true))]
    pub node: Option<Written<String>>,
    /// The token of the tunnel, from the dashboard of Cloudflare.
    pub token: Option<Written<SecretRef>>,
    /// Who may come in. `{ open = true }`: everybody. `{ client-id = …, client-secret = … }`, each
    /// a reference to a secret: a service token of Cloudflare Access, with which `oceanid verify`
    /// comes in. Without `open`, an answer to a call without credentials is an alarm of
    /// `oceanid verify`.
    pub access: Option<Written<AccessSection>>,
}

/// `[cloudflared]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CloudflaredSection {
    /// The exact version of cloudflared. `oceanid lock` keeps its SHA-256 in `oceanid.lock`.
    pub version: Written<String>,
}

impl Default for CloudflaredSection {
    fn default() -> Self {
        Self { version: "2026.8.2".to_owned().into() }
    }
}
