//! `[harden]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::cluster::Firewall;
use crate::config::written::Written;

/// `[harden]`, and `harden` of a node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HardenSection {
    /// sshd takes keys only, no passwords, and only algorithms that `ssh-audit` finds no fault
    /// with. On unless `false`; the host takes it back by itself if you cannot log in after it.
    pub ssh: Option<Written<bool>>,
    /// Further lines for sshd's drop-in, such as `AllowUsers admin`. Their keywords take the place
    /// of oceanid's own.
    pub sshd: Option<Vec<Written<String>>>,
    /// Who fails to log in again and again is shut out for a while: by sshd itself where it can
    /// (OpenSSH 9.8 and later), otherwise by fail2ban. On unless `false`.
    pub bans: Option<Written<bool>>,
    /// What lets in only what the cluster needs: `ufw` unless `off`. The host takes it back by
    /// itself if you cannot log in after it.
    pub firewall: Option<Written<Firewall>>,
    /// Networks from which SSH and the API may be reached. Without it SSH is open to everybody,
    /// and the API to the nodes and to the address that you came from when the host was hardened
    /// (to everybody where an agent is behind NAT).
    pub admin_networks: Option<Vec<Written<String>>>,
    /// Take `admin-networks` as they are, even if the address that a host sees you come from is
    /// not among them. Otherwise that is refused before anything is changed.
    pub trust_admin_networks: Option<Written<bool>>,
    /// Kernel parameters against spoofing, leaks and link tricks that Kubernetes can live with;
    /// kernel modules that no node needs cannot be loaded; no core dumps. On unless `false`.
    pub kernel: Option<Written<bool>>,
    /// The journal survives reboots and stays below 300 MB. On unless `false`.
    pub journal: Option<Written<bool>>,
    /// Security updates are installed daily, without reboots; NVIDIA, CUDA and Docker packages
    /// are left out on nodes with `gpu = true`. Who upgrades by hand is shown the news of packages.
    /// On unless `false`.
    pub upgrades: Option<Written<bool>>,
    /// After updates `needrestart` tells which services run on with old libraries; updates
    /// restart neither k3s nor Docker. On unless `false`.
    pub needrestart: Option<Written<bool>>,
    /// One time daemon runs, and the clock is in sync. On unless `false`.
    pub time: Option<Written<bool>>,
    /// The kernel records who changes sshd, sudoers, accounts, k3s' tokens and configuration.
    /// Without it on where there are 2 GB of memory or more; never in a container.
    pub audit: Option<Written<bool>>,
    /// A swap file of 1 GB for the host itself. Without it on where there are less than 4 GB of
    /// memory and no swap; never in a container.
    pub swap: Option<Written<bool>>,
    /// A node with `gpu = true` never sleeps: suspend and hibernate are masked. On unless `false`.
    pub sleep: Option<Written<bool>>,
    /// `NetworkManager`, where it runs, leaves the interfaces of pods alone. On unless `false`.
    pub network_manager: Option<Written<bool>>,
    /// cron's and sshd's files are for root alone, and `debsums` looks once a week for changed
    /// files of packages. On unless `false`.
    pub files: Option<Written<bool>>,
    /// A password that is set on the host, for sudo or the console, is not a weak one
    /// (`libpam-pwquality`). On unless `false`.
    pub passwords: Option<Written<bool>>,
}
