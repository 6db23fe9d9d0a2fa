//! `access` of `[[tunnel]]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::written::Written;
use crate::secret::SecretRef;

/// `access` of `[[tunnel]]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AccessSection {
    /// Everybody may come in. Otherwise an answer without credentials is an alarm of
    /// `oceanid verify`.
    pub open: Written<bool>,
    /// The client id of a service token of Cloudflare Access, with which `oceanid verify` comes in.
    pub client_id: Option<Written<SecretRef>>,
    /// The client secret of that service token.
    pub client_secret: Option<Written<SecretRef>>,
}

impl Default for AccessSection {
    fn default() -> Self {
        Self { open: false.into(), client_id: None, client_secret: None }
    }
}
