//! The GPU of a host: what the driver of one card leaves there, from the first moment on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;

use super::Host;
use crate::releases::build_sim;

const SCRIPT: &str = include_str!("../../scripts/gpu.sh");

/// The version of the driver that hosts with a GPU have.
pub const DRIVER: &str = "580.95.05";

impl Host {
    /// Lays down the driver's libraries and its program, and what makes its devices at each boot.
    pub(super) fn write_gpu(&self) -> Result<()> {
        let root = self.root();
        let libraries = root.join("usr/lib/x86_64-linux-gnu");
        fs::create_dir_all(&libraries)?;
        for name in ["libcuda", "libnvidia-ml"] {
            fs::write(libraries.join(format!("{name}.so.{DRIVER}")), "a library of the lab\n")?;
        }
        fs::copy(build_sim()?, root.join("usr/bin/nvidia-smi"))?;
        fs::set_permissions(root.join("usr/bin/nvidia-smi"), fs::Permissions::from_mode(0o755))?;
        fs::write(root.join("usr/local/sbin/lab-gpu"), SCRIPT)?;
        let units = root.join("etc/systemd/system");
        let unit = format!(
            "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n\n\
             [Service]\nType=oneshot\nRemainAfterExit=yes\n\
             ExecStart=/bin/sh /usr/local/sbin/lab-gpu {DRIVER}\n"
        );
        fs::write(units.join("lab-gpu.service"), unit)?;
        let wants = units.join("sysinit.target.wants");
        fs::create_dir_all(&wants)?;
        std::os::unix::fs::symlink("../lab-gpu.service", wants.join("lab-gpu.service"))?;
        Ok(())
    }
}
