//! What nodes with a GPU get, as it is meant to be.

use crate::config::GpuRuntime;

/// What nodes with a GPU get.
#[derive(Debug, Clone)]
pub struct Gpu {
    /// The container runtime that hands GPUs to pods.
    pub runtime: GpuRuntime,
}
