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
    /// The branch of the driver that is installed from the distribution's packages: `535`. Without
    /// it the driver is only checked, and what installs it is said.
    pub driver: Option<Written<String>>,
    /// The version of NVIDIA's container toolkit: all of its packages have it, and are held at it.
    pub toolkit: Written<String>,
    /// How many GPUs each node with `gpu = true` has. Without it those count that are on its PCI bus.
    #[schemars(range(min = 1, max = 64))]
    pub count: Option<Written<u32>>,
    /// Has pods run by NVIDIA's runtime also where they do not ask for its runtime class.
    pub default_runtime: Written<bool>,
    /// Keeps pods that do not ask for a GPU away: the taint `nvidia.com/gpu=present:NoSchedule`.
    pub taint: Written<bool>,
    /// Proves each GPU node by a pod that makes a CUDA call, once for each driver.
    pub prove: Written<bool>,
    /// How pods, and `[triton]` beside them, share a GPU. Without it each pod has a GPU of its own.
    pub sharing: Option<Written<Sharing>>,
    /// How many pods may share a GPU with `sharing = "time-slicing"`.
    #[schemars(range(min = 2, max = 64))]
    pub replicas: Option<Written<u32>>,
    /// The image of the device plugin. `oceanid lock` keeps its digest in `oceanid.lock`.
    pub plugin: Written<String>,
    /// The image whose program makes the CUDA call, and ends with 0 only if that worked.
    pub prove_image: Written<String>,
}

impl Default for GpuSection {
    fn default() -> Self {
        let written = |text: &str| Written::from(text.to_owned());
        Self {
            runtime: GpuRuntime::Nvidia.into(),
            driver: None,
            toolkit: written("1.20.0-1"),
            count: None,
            default_runtime: false.into(),
            taint: false.into(),
            prove: false.into(),
            sharing: None,
            replicas: None,
            plugin: written("nvcr.io/nvidia/k8s-device-plugin:v0.20.0"),
            prove_image: written("nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0"),
        }
    }
}

/// The container runtime that hands GPUs to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GpuRuntime {
    /// The NVIDIA container toolkit.
    Nvidia,
}

/// How pods, and Triton beside them, share a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Triton has the GPUs: pods get none, and there is no device plugin.
    TritonOnly,
    /// Each pod that asks for a GPU has one that no other pod has.
    Exclusive,
    /// Several pods take turns on a GPU, and so does Triton.
    TimeSlicing,
}
