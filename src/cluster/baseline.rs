//! What every cluster begins with, as it is meant to be.

use crate::config::GitopsTool;
use crate::secret::Secret;

/// What the cluster begins with.
#[derive(Debug, Clone, Default)]
pub struct Baseline {
    /// Namespaces by zone, their policies, quotas and roles.
    pub zones: bool,
    /// Gateway API, with Traefik as its controller.
    pub gateway_api: bool,
    /// cert-manager.
    pub cert_manager: Option<CertManager>,
    /// What brings a repository's contents into the cluster.
    pub gitops: Option<Gitops>,
}

/// cert-manager and its issuer.
#[derive(Debug, Clone)]
pub struct CertManager {
    /// The address that Let's Encrypt writes to.
    pub email: String,
    /// A token of Cloudflare that may edit the zone's DNS.
    pub token: Secret,
}

/// What brings a repository's contents into the cluster.
#[derive(Debug, Clone)]
pub struct Gitops {
    /// Which program.
    pub tool: GitopsTool,
    /// The repository's address.
    pub repository: String,
    /// The branch.
    pub branch: String,
    /// The folder in the repository.
    pub path: String,
}
