//! The files of the step `host`.

use askama::Template;

/// `/etc/sysctl.d/61-oceanid-harden.conf`.
#[derive(Debug, Template)]
#[template(path = "61-oceanid-harden.conf", escape = "none")]
pub struct HardenSysctls {
    /// Keys and values.
    pub values: Vec<(&'static str, &'static str)>,
}

/// `/etc/sysctl.d/62-oceanid-swap.conf`.
#[derive(Debug, Template)]
#[template(path = "62-oceanid-swap.conf", escape = "none")]
pub struct SwapSysctls;

/// `/etc/modprobe.d/oceanid.conf`.
#[derive(Debug, Template)]
#[template(path = "modprobe.conf", escape = "none")]
pub struct Modprobe {
    /// Modules that must not be loaded.
    pub modules: &'static [&'static str],
}

/// `/etc/security/limits.d/10-oceanid.conf`.
#[derive(Debug, Template)]
#[template(path = "limits.conf", escape = "none")]
pub struct Limits;

/// `/etc/profile.d/oceanid.sh`.
#[derive(Debug, Template)]
#[template(path = "profile.sh", escape = "none")]
pub struct Profile;

/// `/etc/systemd/coredump.conf.d/10-oceanid.conf`.
#[derive(Debug, Template)]
#[template(path = "coredump.conf", escape = "none")]
pub struct Coredump;

/// `/etc/systemd/journald.conf.d/10-oceanid.conf`.
#[derive(Debug, Template)]
#[template(path = "journald.conf", escape = "none")]
pub struct Journald;

/// `/etc/apt/apt.conf.d/52oceanid`.
#[derive(Debug, Template)]
#[template(path = "52oceanid", escape = "none")]
pub struct AptConf {
    /// What the names of packages that are not upgraded begin with.
    pub held: &'static [&'static str],
}

/// `/etc/needrestart/conf.d/oceanid.conf`.
#[derive(Debug, Template)]
#[template(path = "needrestart.conf", escape = "none")]
pub struct Needrestart;

/// `/etc/default/debsums`.
#[derive(Debug, Template)]
#[template(path = "debsums", escape = "none")]
pub struct Debsums;

/// `/etc/audit/rules.d/50-oceanid.rules`.
#[derive(Debug, Template)]
#[template(path = "audit.rules", escape = "none")]
pub struct Audit {
    /// Paths whose changes are recorded, each with the key that they are found by.
    pub watched: &'static [(&'static str, &'static str)],
}

/// `/etc/systemd/system/var-swapfile.swap`.
#[derive(Debug, Template)]
#[template(path = "var-swapfile.swap", escape = "none")]
pub struct SwapUnit;

/// `/etc/NetworkManager/conf.d/10-oceanid.conf`.
#[derive(Debug, Template)]
#[template(path = "NetworkManager.conf", escape = "none")]
pub struct NetworkManager;

/// `/etc/fail2ban/jail.d/oceanid.conf`.
#[derive(Debug, Template)]
#[template(path = "fail2ban.conf", escape = "none")]
pub struct Fail2ban {
    /// The ports of sshd, separated by commas.
    pub ports: String,
    /// Who is never shut out: addresses and networks, separated by spaces.
    pub ignored: String,
}
