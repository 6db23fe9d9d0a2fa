//! What nodes with a GPU get, as it is meant to be.

use crate::config::GpuRuntime;

/// What nodes with a GPU get.
#[derive(Debug, Clone)]
pub struct Gpu {
    /// The container runtime that hands GPUs to pods.
    pub runtime: GpuRuntime,
    /// The branch of the driver that is installed; absent, it is only checked.
    pub driver: Option<u32>,
    /// The version of the container toolkit's packages.
    pub toolkit: String,
    /// How many GPUs each node has; absent, as many as are on its PCI bus.
    pub count: Option<u32>,
    /// Pods are run by NVIDIA's runtime unless they ask for another.
    pub default_runtime: bool,
    /// A pod proves each node by a CUDA call.
    pub prove: bool,
    /// What pods get.
    pub pods: Pods,
    /// The image of the device plugin.
    pub plugin: String,
    /// The image that makes a CUDA call.
    pub prove_image: String,
}

/// What pods get of the GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pods {
    /// None.
    Nothing,
    /// Whole GPUs.
    Whole,
    /// Turns on a GPU that this many pods share.
    Turns(u32),
}

impl Gpu {
    /// How many `nvidia.com/gpu` a node with `gpus` of them has to show.
    #[must_use]
    pub fn allocatable(&self, gpus: u32) -> u32 {
        match self.pods {
            Pods::Nothing => 0,
            Pods::Whole => gpus,
            Pods::Turns(replicas) => gpus * replicas,
        }
    }

    /// The container images that it takes, as cluster.toml names them.
    #[must_use]
    pub fn images(&self) -> Vec<&str> {
        if self.pods == Pods::Nothing {
            return Vec::new();
        }
        let proof = self.prove.then_some(self.prove_image.as_str());
        [self.plugin.as_str()].into_iter().chain(proof).collect()
    }
}
