//! `[sources]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::written::Written;

/// `[sources]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SourcesSection {
    /// The folder above `<version>/k3s` and `<version>/sha256sum-<arch>.txt`.
    pub k3s: Written<String>,
    /// What turns a channel into a version: `<channel>` below it redirects to `…/<version>`.
    pub channels: Written<String>,
    /// The folder above `<version>/cloudflared-linux-<arch>`.
    pub cloudflared: Written<String>,
    /// Cloudflare's API, for `[cloudflare]`.
    pub cloudflare_api: Written<String>,
    /// The apt repository of the NVIDIA container toolkit.
    pub nvidia: Written<String>,
    /// The key that signs the apt repository of the NVIDIA container toolkit.
    pub nvidia_key: Written<String>,
    /// The fingerprint that this key must have. A mirror that signs anew has another.
    pub nvidia_fingerprint: Written<String>,
    /// The folder above `debian` and `ubuntu` with the apt repositories of Docker, and their key `gpg`.
    pub docker: Written<String>,
    /// The HTTP proxy that hosts download through, and k3s pulls images.
    pub proxy: Option<Written<String>>,
    /// Names, domains and networks that are reached without the proxy; nodes, pods and services are
    /// always among them.
    pub no_proxy: Vec<Written<String>>,
    /// A file on this machine with the certificates (PEM) of the CA that signs your mirror or proxy.
    /// Hosts trust it too.
    pub ca: Option<Written<String>>,
}

impl Default for SourcesSection {
    fn default() -> Self {
        let written = |url: &str| Written::from(url.to_owned());
        Self {
            k3s: written("https://github.com/k3s-io/k3s/releases/download"),
            channels: written("https://update.k3s.io/v1-release/channels"),
            cloudflared: written("https://github.com/cloudflare/cloudflared/releases/download"),
            cloudflare_api: written("https://api.cloudflare.com/client/v4"),
            nvidia: written("https://nvidia.github.io/libnvidia-container/stable/deb"),
            nvidia_key: written("https://nvidia.github.io/libnvidia-container/gpgkey"),
            nvidia_fingerprint: written("C95B321B61E88C1809C4F759DDCAE044F796ECB0"),
            docker: written("https://download.docker.com/linux"),
            proxy: None,
            no_proxy: Vec::new(),
            ca: None,
        }
    }
}
