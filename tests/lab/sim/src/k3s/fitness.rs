//! What k3s refuses a host or a configuration for before it says that it is up.

use super::network::Control;
use crate::log;
use crate::settings::{PodNetwork, Settings};
use anyhow::bail;
use std::fs;

const CONTROLLERS: &str = "/sys/fs/cgroup/cgroup.controllers";

/// Checks that the host lets k3s count memory, where it has cgroups of version 2.
///
/// # Errors
/// k3s does not start with it.
pub fn cgroups() -> anyhow::Result<()> {
    if let Ok(controllers) = fs::read_to_string(CONTROLLERS)
        && !controllers.split_whitespace().any(|name| name == "memory")
    {
        bail!("failed to find memory cgroup (v2)");
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
