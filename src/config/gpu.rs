//! What nodes with a GPU get, and how pods and Triton share it.

use super::file::{Component, File, GpuSection, Sharing};
use super::finding::{Finding, Findings};
use super::syntax::{Parsed, Wrong};
use super::triton;
use super::written::Written;
use crate::cluster::{Gpu, Host, Pods, Taint};
use crate::gpu::{LABEL, RESOURCE};

/// From this version on the toolkit describes devices by CDI unless it is told otherwise.
const LEAST_TOOLKIT: (u32, u32) = (1, 18);

/// Reads the section; `None` when it is not there, or when something is wrong with it.
pub fn read(file: &File, out: &mut Findings) -> Option<Gpu> {
    let written = file.gpu.as_ref()?;
    let gpu = written.value();
    shared_unknowingly(file, written, out);
    if let Some(runtimes) = file.k3s.disable.iter().find(|one| *one.value() == Component::Runtimes)
    {
        let title = "`[gpu]` needs the runtime class that k3s brings as `runtimes`";
        out.push(Finding::error(runtimes.span(), title).hint("take `runtimes` out of `disable`"));
    }
    let driver = gpu.driver.as_ref().map(|text| out.read("driver", text, branch));
    if let Some(version) = out.read("toolkit", &gpu.toolkit, package_version)
        && version < LEAST_TOOLKIT
    {
        let title =
            "with a toolkit before 1.18 a `systemctl daemon-reload` takes GPUs from containers";
        let hint = "newer ones write the devices into what the container is made from";
        out.push(Finding::warning(gpu.toolkit.span(), title).hint(hint));
    }
    out.read("plugin", &gpu.plugin, triton::image);
    out.read("prove-image", &gpu.prove_image, triton::image);
    let pods = pods(file, gpu, out);
    if let (true, Some(sharing)) = (*gpu.prove.value(), &gpu.sharing)
        && *sharing.value() == Sharing::TritonOnly
    {
        let title = "`prove` needs a pod with a GPU, but `sharing` gives pods none";
        out.push(Finding::error(gpu.prove.span(), title).also(sharing.span(), "here"));
    }
    Some(Gpu {
        runtime: *gpu.runtime.value(),
        driver: match driver {
            Some(branch) => Some(branch?),
            None => None,
        },
        toolkit: gpu.toolkit.value().clone(),
        count: gpu.count.as_ref().map(|count| *count.value()),
        default_runtime: *gpu.default_runtime.value(),
        prove: *gpu.prove.value(),
        pods: pods?,
        plugin: gpu.plugin.value().clone(),
        prove_image: gpu.prove_image.value().clone(),
    })
}

/// Gives nodes with a GPU the label, and the taint where that is wanted, as if they stood at the node.
pub fn mark(file: &File, hosts: &mut [Host]) {
    let Some(gpu) = &file.gpu else { return };
    for host in hosts.iter_mut().filter(|host| host.gpu) {
        host.labels.entry(LABEL.to_owned()).or_insert_with(|| String::from("true"));
        let (key, effect) = (RESOURCE.to_owned(), String::from("NoSchedule"));
        let same = |taint: &Taint| taint.key == key && taint.effect == effect;
        if *gpu.value().taint.value() && !host.taints.iter().any(same) {
            host.taints.push(Taint { key, value: String::from("present"), effect });
        }
    }
}

/// Neither the scheduler nor Triton knows of what the other gives away.
fn shared_unknowingly(file: &File, gpu: &Written<GpuSection>, out: &mut Findings) {
    if file.triton.is_none() || gpu.value().sharing.is_some() {
        return;
    }
    let title = "pods and Triton would use the same GPU, and neither knows of the other";
    let hint = "choose `sharing = \"triton-only\"`, \"time-slicing\" or \"exclusive\" in `[gpu]`";
    out.push(Finding::warning(gpu.span(), title).hint(hint));
}

fn pods(file: &File, gpu: &GpuSection, out: &mut Findings) -> Option<Pods> {
    let sharing = gpu.sharing.as_ref().map_or(Sharing::Exclusive, |sharing| *sharing.value());
    let slices = sharing == Sharing::TimeSlicing;
    match (&gpu.replicas, &gpu.sharing) {
        (Some(replicas), _) if !slices => {
            let title = "`replicas` has no effect without `sharing = \"time-slicing\"`";
            out.push(Finding::error(replicas.span(), title));
        }
        (None, Some(sharing)) if slices => {
            let title = "`sharing = \"time-slicing\"` needs `replicas`";
            let hint = "how many pods may share a GPU: an example is `replicas = 4`";
            out.push(Finding::error(sharing.span(), title).hint(hint));
        }
        _ => {}
    }
    if let (Sharing::TritonOnly, Some(written), None) = (sharing, &gpu.sharing, &file.triton) {
        let title = "`sharing = \"triton-only\"`, but there is no `[triton]`";
        out.push(Finding::error(written.span(), title).hint("nothing would use the GPUs"));
    }
    Some(match sharing {
        Sharing::TritonOnly => Pods::Nothing,
        Sharing::Exclusive => Pods::Whole,
        Sharing::TimeSlicing => Pods::Turns(*gpu.replicas.as_ref()?.value()),
    })
}

/// The first number of a driver's version, of which NVIDIA keeps several alive.
fn branch(text: &str) -> Parsed<u32> {
    let number = text.parse().ok().filter(|branch| (390..1000).contains(branch));
    number.ok_or_else(|| Wrong {
        what: String::from("not a branch of NVIDIA's driver"),
        hint: Some(String::from("the first number of its version: `535` of `535.247.01`")),
    })
}

/// A version as apt takes it, with the packaging's own number.
fn package_version(text: &str) -> Parsed<(u32, u32)> {
    let (version, package) = text.split_once('-').unwrap_or((text, ""));
    let numbers: Result<Vec<u32>, _> = version.split('.').map(str::parse).collect();
    if let (Ok([major, minor, _]), Ok(_)) = (numbers.as_deref(), package.parse::<u32>()) {
        return Ok((*major, *minor));
    }
    Err(Wrong {
        what: String::from("not a version of the toolkit's packages"),
        hint: Some(String::from("an example is `1.20.0-1`")),
    })
}
