//! `[gpu]`, `[triton]` and `[tunnel]` as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::written::Written;
use crate::secret::SecretRef;

/// `[gpu]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GpuSection {
    /// The container runtime that hands GPUs to pods.
    pub runtime: Written<GpuRuntime>,
}

impl Default for GpuSection {
    fn default() -> Self {
        Self { runtime: GpuRuntime::Nvidia.into() }
    }
}

/// The container runtime that hands GPUs to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GpuRuntime {
    /// The NVIDIA container toolkit.
    Nvidia,
}

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

/// `[tunnel]`.
#[derive(Debug, Deserialize, JsonSchema)]
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
    /// The exact version of cloudflared. `oceanid lock` keeps its SHA-256 in `oceanid.lock`.
    pub version: Written<String>,
}

impl Default for TunnelSection {
    fn default() -> Self {
        Self { hostname: None, node: None, token: None, version: "2026.8.2".to_owned().into() }
    }
}
