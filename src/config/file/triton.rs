//! `[triton]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::written::Written;

/// `[triton]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TritonSection {
    /// The container image, with a tag or digest.
    #[schemars(extend("x-required" = true))]
    pub image: Option<Written<String>>,
    /// The folder on the node that holds the models: an absolute path.
    #[schemars(extend("x-required" = true))]
    pub models: Option<Written<String>>,
}
