//! `[baseline]` as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::written::Written;
use crate::secret::SecretRef;

/// `[baseline]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BaselineSection {
    /// Namespaces by zone (dmz, public, internal, restricted, data, admin) with Pod Security,
    /// network policies between them, small quotas, and the roles `oceanid-viewer` and
    /// `oceanid-deployer`.
    pub zones: Written<bool>,
    /// Gateway API with k3s' Traefik as its controller; its listeners are at Traefik's own ports,
    /// 8000 and 8443.
    pub gateway_api: Written<bool>,
    /// cert-manager with certificates from Let's Encrypt through Cloudflare's DNS.
    pub cert_manager: Option<Written<CertManagerSection>>,
    /// What brings the contents of a repository into the cluster.
    pub gitops: Option<Written<GitopsSection>>,
}

impl Default for BaselineSection {
    fn default() -> Self {
        Self { zones: true.into(), gateway_api: false.into(), cert_manager: None, gitops: None }
    }
}

/// `[baseline.cert-manager]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CertManagerSection {
    /// The address that Let's Encrypt writes to.
    #[schemars(extend("x-required" = true))]
    pub email: Option<Written<String>>,
    /// A token of Cloudflare that may read the zone and edit its DNS. The cluster has it as the
    /// secret `cloudflare-api-token` in `cert-manager`.
    #[schemars(extend("x-required" = true))]
    pub token: Option<Written<SecretRef>>,
}

/// `[baseline.gitops]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GitopsSection {
    /// Which program.
    #[schemars(extend("x-required" = true))]
    pub tool: Option<Written<GitopsTool>>,
    /// The repository's address: `https://git.example.com/cluster.git`, or with ssh://. The tool
    /// gets credentials for it as a secret that you make.
    #[schemars(extend("x-required" = true))]
    pub repository: Option<Written<String>>,
    /// The branch.
    pub branch: Option<Written<String>>,
    /// The folder in the repository.
    pub path: Option<Written<String>>,
}

/// What brings the contents of a repository into the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GitopsTool {
    /// Flux.
    Flux,
    /// Argo CD.
    ArgoCd,
}
