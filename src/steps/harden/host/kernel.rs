//! The kernel: parameters, modules that stay out, no core dumps.

use crate::actions::{File, Sysctls};
use crate::step::Step;
use crate::steps::Inputs;
use crate::templates::host::{Coredump, HardenSysctls, Limits, Modprobe, Profile};
use crate::templates::render;

/// Parameters that Kubernetes can live with. Not here, and why: forwarding and IPv6 router
/// advertisements are what nodes live by; a strict `rp_filter` drops the packets of VPNs;
/// `log_martians` floods the journal of a node and is 0 in ufw's own file;
/// `kexec_load_disabled` and `modules_disabled` cannot be taken back, and the last keeps k3s from
/// loading what it needs.
const SYSCTLS: &[(&str, &str)] = &[
    // Debian 12 has a file with this value that is read after ours.
    ("fs.protected_fifos", "1"),
    ("fs.protected_hardlinks", "1"),
    ("fs.protected_regular", "2"),
    ("fs.protected_symlinks", "1"),
    ("dev.tty.ldisc_autoload", "0"),
    ("kernel.core_uses_pid", "1"),
    ("kernel.ctrl-alt-del", "0"),
    ("kernel.dmesg_restrict", "1"),
    ("kernel.kptr_restrict", "2"),
    ("kernel.randomize_va_space", "2"),
    ("kernel.sysrq", "0"),
    ("kernel.yama.ptrace_scope", "1"),
    ("net.core.bpf_jit_harden", "2"),
    ("net.ipv4.conf.all.accept_redirects", "0"),
    ("net.ipv4.conf.default.accept_redirects", "0"),
    ("net.ipv4.conf.all.accept_source_route", "0"),
    ("net.ipv4.conf.default.accept_source_route", "0"),
    ("net.ipv4.conf.all.rp_filter", "2"),
    ("net.ipv4.conf.default.rp_filter", "2"),
    ("net.ipv4.conf.all.secure_redirects", "0"),
    ("net.ipv4.conf.default.secure_redirects", "0"),
    ("net.ipv4.conf.all.send_redirects", "0"),
    ("net.ipv4.conf.default.send_redirects", "0"),
    ("net.ipv4.icmp_echo_ignore_broadcasts", "1"),
    ("net.ipv4.icmp_ignore_bogus_error_responses", "1"),
    ("net.ipv4.tcp_rfc1337", "1"),
    ("net.ipv4.tcp_syncookies", "1"),
    ("net.ipv6.conf.all.accept_redirects", "0"),
    ("net.ipv6.conf.default.accept_redirects", "0"),
    ("net.ipv6.conf.all.accept_source_route", "0"),
    ("net.ipv6.conf.default.accept_source_route", "0"),
];

/// What the kernel keeps until the next boot. BPF is for root, which is what networks of pods run as.
const FOR_GOOD: &[(&str, &str)] = &[("kernel.unprivileged_bpf_disabled", "1")];

/// Not here, and why: `squashfs` is what snaps are made of, `vfat` is the boot partition, `udf`
/// is how some clouds hand over settings, `sctp` is a protocol of Kubernetes' services, and
/// `usb-storage` may hold the root of a small board.
const MODULES: &[&str] = &[
    "dccp",
    "rds",
    "tipc",
    "ax25",
    "netrom",
    "rose",
    "x25",
    "n-hdlc",
    "cramfs",
    "freevxfs",
    "hfs",
    "hfsplus",
    "jffs2",
    "firewire-core",
    "firewire-ohci",
    "firewire-sbp2",
];

/// Files for the next boot, and what can be true at once.
pub fn kernel(step: &mut Step, inputs: &Inputs<'_>) -> anyhow::Result<()> {
    let mut values = SYSCTLS.to_vec();
    if inputs.facts.os == "debian" {
        // Debian's own value, also for kernels from elsewhere; Ubuntu's is 4, which is stricter.
        values.push(("kernel.perf_event_paranoid", "3"));
        // Ubuntu's apport sets it to 2 whenever it starts.
        values.push(("fs.suid_dumpable", "0"));
    }
    let all = [&values, FOR_GOOD].concat();
    let file = render(&HardenSysctls { values: all })?;
    step.ensure(File::new("/etc/sysctl.d/61-oceanid-harden.conf", file));
    step.ensure(Sysctls::where_known(&values));
    step.ensure(Sysctls::where_known(FOR_GOOD).until_reboot());
    step.ensure(File::new("/etc/modprobe.d/oceanid.conf", render(&Modprobe { modules: MODULES })?));
    step.ensure(File::new("/etc/security/limits.d/10-oceanid.conf", render(&Limits)?));
    step.ensure(File::new("/etc/profile.d/oceanid.sh", render(&Profile)?));
    step.ensure(File::new("/etc/systemd/coredump.conf.d/10-oceanid.conf", render(&Coredump)?));
    Ok(())
}
