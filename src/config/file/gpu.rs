//! `[gpu]` as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::written::Written;

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
