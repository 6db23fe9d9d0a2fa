//! `[cloudflare]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::written::Written;
use crate::secret::SecretRef;

/// `[cloudflare]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CloudflareSection {
    /// A token for Cloudflare's API.
    #[schemars(extend("x-required" = true))]
    pub token: Option<Written<SecretRef>>,
}
