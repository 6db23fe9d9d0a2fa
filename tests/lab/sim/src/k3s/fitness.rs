//! What k3s refuses a host or a configuration for before it says that it is up.

use super::flags::Options;
use super::network::Control;
use crate::log;
use crate::settings::{Cgroups, PodNetwork, Settings};
use anyhow::bail;
use std::fs;

const CONTROLLERS: &str = "/sys/fs/cgroup/cgroup.controllers";

/// Checks the hierarchy of cgroups; of version 1 only where a test says so, as a lab's machine may have it.
///
/// # Errors
/// k3s does not start with it.
pub fn cgroups(options: &Options, settings: &Settings) -> anyhow::Result<()> {
    if let Ok(controllers) = fs::read_to_string(CONTROLLERS)
        && !controllers.split_whitespace().any(|name| name == "memory")
    {
        bail!("failed to find memory cgroup (v2)");
    }
    let allowed = options.list("kubelet-arg").iter().any(|one| one == "fail-cgroupv1=false");
    if settings.cgroups == Cgroups::First && !allowed {
        log::kubelet_error(
            "run.go:72",
            "\"command failed\" err=\"kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed in a future release\"",
        );
        bail!("kubelet exited: exit status 1");
    }
    Ok(())
}

/// Checks that the kernel can carry the network; the real one finds out only after it said that it is up.
///
/// # Errors
/// flannel ends, and k3s with it.
pub fn network(control: &Control, settings: &Settings) -> anyhow::Result<()> {
    if settings.network == PodNetwork::None || control.carries() {
        return Ok(());
    }
    log::error(
        "flannel exited: failed to register flannel network: could not create wireguard interface: operation not supported",
    );
    bail!("flannel exited: exit status 1")
}
