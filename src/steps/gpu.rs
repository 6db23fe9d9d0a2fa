//! `gpu`: the GPU as the cluster sees it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::Inputs;
use crate::actions::{Allocatable, CudaPod, Objects, Removed};
use crate::cluster::{Cluster, Gpu, Host, Pods};
use crate::facts::{self, Smi};
use crate::gpu::NAMESPACE;
use crate::kube::object::{KINDS, Object};
use crate::kube::survey::Survey;
use crate::step::Step;
use crate::templates::baseline::{objects, quoted};
use crate::templates::gpu::DevicePlugin;

/// How long the device plugin may take: its image comes over the line.
const UP: Duration = Duration::from_secs(300);
/// What the namespace holds of ours.
const HELD: [&str; 4] = ["Namespace", "ConfigMap", "NetworkPolicy", "DaemonSet"];

/// Whether a cluster has GPUs that the step sees to.
#[must_use]
pub fn concerns(cluster: &Cluster) -> bool {
    cluster.gpu.is_some() && cluster.hosts.iter().any(|host| host.gpu)
}

/// What the device plugin consists of, with `image` by its digest.
///
/// # Errors
/// When the manifest cannot be rendered.
pub fn manifests(gpu: &Gpu, image: &str) -> anyhow::Result<Vec<Object>> {
    let replicas = match gpu.pods {
        Pods::Nothing => return Ok(Vec::new()),
        Pods::Whole => None,
        Pods::Turns(replicas) => Some(replicas),
    };
    objects(&DevicePlugin { namespace: NAMESPACE, image: &quoted(image), replicas })
}

/// What `gpu` makes true in the cluster, in order.
///
/// # Errors
/// When oceanid.lock has no digest of an image.
pub fn gpu(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let gpu = inputs.cluster.gpu.as_ref().context("cluster.toml has no `[gpu]`")?;
    let mut step = Step::new("gpu");
    let wanted = match gpu.pods {
        Pods::Nothing => Vec::new(),
        _ => manifests(gpu, &inputs.releases.image(&gpu.plugin)?)?,
    };
    let kinds: Vec<_> = KINDS.iter().filter(|kind| HELD.contains(&kind.name)).collect();
    let survey = Arc::new(Survey::of_kinds(&kinds, &wanted));
    if !wanted.is_empty() {
        step.ensure(Objects::new("device plugin", wanted.clone(), &survey));
    }
    step.ensure(Removed::but(wanted, &survey).within(NAMESPACE));
    if gpu.pods == Pods::Nothing {
        return Ok(step);
    }
    for host in inputs.nodes.iter().filter(|host| host.gpu) {
        proofs(&mut step, inputs, gpu, host)?;
    }
    Ok(step)
}

/// Nobody's word is taken for a GPU: the node must show it, and a pod must have used it.
fn proofs(step: &mut Step, inputs: &Inputs<'_>, gpu: &Gpu, host: &Host) -> anyhow::Result<()> {
    let seen = inputs.gpus.and_then(|gpus| gpus.get(&host.name));
    let Some(count) = gpu.count.or(seen.map(facts::Gpu::count)) else {
        step.note(format!(
            "nobody knows how many GPUs {} has: `count` in `[gpu]` says it",
            host.name
        ));
        return Ok(());
    };
    step.ensure(Allocatable::new(&host.name, gpu.allocatable(count), UP));
    if gpu.prove {
        let driver = match seen.map(|seen| &seen.smi) {
            Some(Smi::Shows(cards)) => cards.first().map(|card| card.driver.as_str()),
            _ => None,
        };
        let image = inputs.releases.image(&gpu.prove_image)?;
        step.ensure(CudaPod::new(&host.name, image, driver.unwrap_or("new"), UP));
    }
    Ok(())
}
