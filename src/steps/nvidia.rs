//! `nvidia`: driver, container toolkit and CDI of the GPU, before k3s looks for them.

use anyhow::Context;

use super::Inputs;
use crate::actions::{AptKey, CdiSpec, File, Packages, Pinned, Unit};
use crate::cluster::Sources;
use crate::step::Step;
use crate::templates::{NvidiaList, render};

mod driver;

/// All of the toolkit's packages; each wants exactly its own version of the next.
const TOOLKIT: [&str; 4] = [
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
];
/// Where NVIDIA's own guide has them, so that a host set up by it gets no second source.
const LIST: &str = "/etc/apt/sources.list.d/nvidia-container-toolkit.list";
const KEY: &str = "/usr/share/keyrings/nvidia-container-toolkit-keyring.asc";

/// What `nvidia` makes true on a host with a GPU, in order.
pub fn nvidia(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let gpu = inputs.cluster.gpu.as_ref().context("cluster.toml has no `[gpu]`")?;
    let seen = inputs.facts.gpu.as_ref().context("the host was not asked for its GPU")?;
    let mut step = Step::new("nvidia");
    driver::driver(&mut step, inputs, gpu, seen)?;
    toolkit(&mut step, &inputs.cluster.sources, &gpu.toolkit)?;
    step.ensure(CdiSpec);
    if seen.has_persistenced {
        step.ensure(Unit::running("nvidia-persistenced.service"));
    } else {
        step.note(
            "nvidia-persistenced is not installed: the first program after a while without one \
             waits until the driver is ready again",
        );
    }
    for template in &seen.templates {
        step.note(format!(
            "k3s makes containerd's configuration from {template}, which somebody left in \
             /var/lib/rancher/k3s/agent/etc/containerd: k3s finds NVIDIA's runtime by itself, and \
             a template of an older k3s breaks a newer one"
        ));
    }
    Ok(step)
}

fn toolkit(step: &mut Step, sources: &Sources, version: &str) -> anyhow::Result<()> {
    // It reads keys; apt itself comes with something that cannot show them.
    step.ensure(Packages::installed(&["gpg"]));
    step.ensure(
        AptKey::new(KEY, &sources.nvidia_key, &sources.nvidia_fingerprint).through(sources),
    );
    let list = NvidiaList { key: KEY, repository: &sources.nvidia };
    step.ensure(File::new(LIST, render(&list)?));
    step.ensure(Pinned::new(&TOOLKIT, version).held().from_list(LIST));
    Ok(())
}

#[cfg(test)]
mod tests;
