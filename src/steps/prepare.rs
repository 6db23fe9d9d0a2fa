//! `prepare`: what Kubernetes needs of any host before k3s can run there.

use std::time::Duration;

use anyhow::bail;

use super::{Inputs, ways};
use crate::actions::{Command, File, Packages, Sysctls};
use crate::facts::Facts;
use crate::script::Script;
use crate::step::Step;
use crate::templates::{ModulesLoad, SysctlConf, render};

/// What k3s downloads, verifies and routes with.
const PACKAGES: &[&str] = &["ca-certificates", "curl", "iptables", "kmod", "procps"];

/// The first four are what the kubelet insists on when it protects the kernel's defaults.
const SYSCTLS: &[(&str, &str)] = &[
    ("vm.panic_on_oom", "0"),
    ("vm.overcommit_memory", "1"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
    ("net.ipv4.ip_forward", "1"),
    ("net.bridge.bridge-nf-call-iptables", "1"),
    ("fs.inotify.max_user_instances", "8192"),
    ("fs.inotify.max_user_watches", "524288"),
];

/// A module counts as present when its effect is there: it may be built in, or belong to the kernel below a container.
const MODULES_WORK: &str = "[ -d /proc/sys/net/bridge ] || { echo 'br_netfilter is missing'; exit 1; }\n\
    while read -r first second; do\n\
    case \"$first $second\" in *overlay*) exit 0 ;; esac\n\
    done </proc/filesystems\necho 'overlay is missing'\nexit 1\n";

/// The units of the time daemons that Debian and Ubuntu have.
pub const TIME_DAEMONS: &[&str] = &[
    "systemd-timesyncd.service",
    "chrony.service",
    "ntpsec.service",
    "ntp.service",
    "openntpd.service",
];

/// The least that a node can run with, MiB.
const LEAST_MEMORY: u64 = 480;
/// k3s unpacks itself and its images below /var/lib, MiB.
const LEAST_DISK: u64 = 2048;

/// What `prepare` makes true on a host, in order.
pub fn prepare(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    check(inputs.facts)?;
    let mut step = Step::new("prepare");
    let sources = &inputs.cluster.sources;
    ways::proxy(&mut step, sources)?;
    step.ensure(Packages::installed(PACKAGES));
    ways::ca(&mut step, sources);
    // The file is for the next boot, the command for now.
    step.ensure(File::new("/etc/modules-load.d/oceanid.conf", render(&ModulesLoad)?));
    let load = Script::new(format!(
        "modprobe -a br_netfilter overlay 2>&1 || :\n( {MODULES_WORK} ) >&2\n"
    ));
    step.ensure(Command::new(
        "kernel modules",
        "load br_netfilter and overlay",
        MODULES_WORK,
        load,
    ));
    step.ensure(File::new(
        "/etc/sysctl.d/60-oceanid.conf",
        render(&SysctlConf { values: SYSCTLS })?,
    ));
    step.ensure(Sysctls::live(SYSCTLS));
    step.ensure(Command::new(
        "time",
        "install and start systemd-timesyncd",
        time_works(),
        start_time(),
    ));
    Ok(step)
}

/// Any time daemon will do; in a container the clock is that of the machine below.
fn time_works() -> String {
    format!(
        "[ -d /run/systemd/timesync ] || [ -e /run/systemd/container ] || systemctl -q is-active {}\n",
        TIME_DAEMONS.join(" ")
    )
}

fn start_time() -> Script {
    let text = "export DEBIAN_FRONTEND=noninteractive\n\
        apt-get -qq -y -o DPkg::Lock::Timeout=300 --no-install-recommends install systemd-timesyncd </dev/null\n\
        systemctl -q enable --now systemd-timesyncd.service\n";
    Script::new(text).deadline(Duration::from_secs(600))
}

/// Refuses a host on which k3s could not work, before anything is changed there.
fn check(facts: &Facts) -> anyhow::Result<()> {
    if !matches!(facts.os.as_str(), "debian" | "ubuntu") {
        bail!("it runs `{}`; oceanid knows Debian and Ubuntu", facts.os);
    }
    if facts.memory_mib < LEAST_MEMORY {
        bail!("it has {} MiB of memory; k3s needs {LEAST_MEMORY}", facts.memory_mib);
    }
    // A node that fills up later is the kubelet's business.
    if facts.disk_free_mib < LEAST_DISK && !facts.has_k3s {
        bail!("only {} MiB are free in /var/lib; k3s needs {LEAST_DISK}", facts.disk_free_mib);
    }
    if !facts.cgroups.iter().any(|controller| controller == "memory" || controller == "v1") {
        bail!(
            "the memory cgroup controller is off; on a Raspberry Pi add `cgroup_memory=1 cgroup_enable=memory` \
             to /boot/firmware/cmdline.txt and reboot"
        );
    }
    Ok(())
}
