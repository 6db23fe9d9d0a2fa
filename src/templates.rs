//! The files that land on hosts, from `templates/`.

use askama::Template;

use crate::sshd::Section;

pub mod baseline;
pub mod gpu;
pub mod host;
pub mod k3s;
pub mod triton;

/// `/etc/systemd/system/oceanid-rules.service`.
#[derive(Debug, Template)]
#[template(path = "oceanid-rules.service", escape = "none")]
pub struct RulesUnit;

/// `/etc/modules-load.d/oceanid.conf`.
#[derive(Debug, Template)]
#[template(path = "modules-load.conf", escape = "none")]
pub struct ModulesLoad;

/// `/etc/sysctl.d/60-oceanid.conf`.
#[derive(Debug, Template)]
#[template(path = "sysctl.conf", escape = "none")]
pub struct SysctlConf {
    /// Keys and values.
    pub values: &'static [(&'static str, &'static str)],
}

/// `/etc/ssh/sshd_config.d/00-oceanid.conf`.
#[derive(Debug, Template)]
#[template(path = "00-oceanid.conf", escape = "none")]
pub struct SshdConf<'a> {
    /// What oceanid says.
    pub sections: &'a [Section],
    /// What the operator adds.
    pub further: &'a [String],
}

/// `/var/lib/rancher/k3s/server/psa.yaml`.
#[derive(Debug, Template)]
#[template(path = "psa.yaml", escape = "none")]
pub struct PodSecurity;

/// `/var/lib/rancher/k3s/server/audit.yaml`.
#[derive(Debug, Template)]
#[template(path = "audit.yaml", escape = "none")]
pub struct AuditPolicy;

/// `/etc/apt/sources.list.d/nvidia-container-toolkit.list`.
#[derive(Debug, Template)]
#[template(path = "nvidia-container-toolkit.list", escape = "none")]
pub struct NvidiaList<'a> {
    /// Where the key is.
    pub key: &'a str,
    /// The address of the repository.
    pub repository: &'a str,
}

/// Renders a template, its last newline put back.
///
/// # Errors
/// When a template's own expression fails.
pub fn render(template: &impl Template) -> anyhow::Result<String> {
    Ok(format!("{}\n", template.render()?))
}
