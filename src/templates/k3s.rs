//! The files of k3s' installation.

use askama::Template;

/// `/etc/systemd/system/k3s.service` and `k3s-agent.service`.
#[derive(Debug, Template)]
#[template(path = "k3s.service", escape = "none")]
pub struct UnitFile<'a> {
    /// What k3s is told to be: `server` or `agent`.
    pub role: &'static str,
    /// The path of [`UnitEnvironment`].
    pub environment: &'a str,
}

/// `/etc/systemd/system/k3s.service.env` and `k3s-agent.service.env`.
#[derive(Debug, Template)]
#[template(path = "k3s.service.env", escape = "none")]
pub struct UnitEnvironment<'a> {
    /// `NAME=value`.
    pub lines: &'a [String],
}

/// `/usr/local/bin/k3s-killall.sh`.
#[derive(Debug, Template)]
#[template(path = "k3s-killall.sh", escape = "none")]
pub struct KillAll;

/// `/usr/local/bin/k3s-uninstall.sh` and `k3s-agent-uninstall.sh`.
#[derive(Debug, Template)]
#[template(path = "k3s-uninstall.sh", escape = "none")]
pub struct Uninstall;

/// `/etc/apt/apt.conf.d/51oceanid-proxy`.
#[derive(Debug, Template)]
#[template(path = "51oceanid-proxy", escape = "none")]
pub struct AptProxy<'a> {
    /// The proxy's address.
    pub proxy: &'a str,
    /// Hosts that are reached without it.
    pub around: &'a [&'a str],
}
