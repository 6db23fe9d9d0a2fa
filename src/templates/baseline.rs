//! What a cluster begins with: manifests, from `templates/baseline/`.

use anyhow::Context;
use askama::Template;
use serde_json::Value;

use crate::kube::object::Object;

/// A zone: a namespace whose pods may talk to few others.
#[derive(Debug, Clone)]
pub struct Zone {
    /// The namespace's name.
    pub name: &'static str,
    /// What Pod Security lets run there: `baseline`, `restricted`.
    pub enforce: &'static str,
    /// The zone that may come in.
    pub from: Option<&'static str>,
    /// The zone that it may go to.
    pub to: Option<&'static str>,
    /// Whether k3s' Traefik and `ServiceLB` may come in.
    pub entered: bool,
    /// Where it may reach the API: networks of the servers.
    pub api: Vec<String>,
}

/// `zone.yaml`.
#[derive(Debug, Template)]
#[template(path = "baseline/zone.yaml", escape = "none")]
pub struct ZoneManifest<'a> {
    /// The zone.
    pub zone: &'a Zone,
}

/// `own-namespaces.yaml`: what Kubernetes and k3s have of their own.
#[derive(Debug, Template)]
#[template(path = "baseline/own-namespaces.yaml", escape = "none")]
pub struct OwnNamespaces {
    /// k3s brings metrics-server along.
    pub metrics: bool,
    /// k3s brings `ServiceLB` along.
    pub service_lb: bool,
    /// k3s brings Traefik along.
    pub traefik: bool,
}

/// `roles.yaml`.
#[derive(Debug, Template)]
#[template(path = "baseline/roles.yaml", escape = "none")]
pub struct Roles;

/// `gateway-api.yaml`.
#[derive(Debug, Template)]
#[template(path = "baseline/gateway-api.yaml", escape = "none")]
pub struct GatewayApi;

/// `cert-manager.yaml`.
#[derive(Debug, Template)]
#[template(path = "baseline/cert-manager.yaml", escape = "none")]
pub struct CertManagerChart<'a> {
    /// The chart's version.
    pub version: &'a str,
}

/// `issuer.yaml`.
#[derive(Debug, Template)]
#[template(path = "baseline/issuer.yaml", escape = "none")]
pub struct Issuer {
    /// Whom Let's Encrypt writes to, quoted.
    pub email: String,
}

/// `flux.yaml`.
#[derive(Debug, Template)]
#[template(path = "baseline/flux.yaml", escape = "none")]
pub struct FluxChart<'a> {
    /// The chart's version.
    pub version: &'a str,
}

/// `flux-repository.yaml`.
#[derive(Debug, Template)]
#[template(path = "baseline/flux-repository.yaml", escape = "none")]
pub struct FluxRepository {
    /// The address, quoted.
    pub repository: String,
    /// The branch, quoted.
    pub branch: String,
    /// The folder, quoted.
    pub path: String,
    /// Whether a key for it is in the secret `repository`.
    pub secret: bool,
}

/// `argo-cd.yaml`.
#[derive(Debug, Template)]
#[template(path = "baseline/argo-cd.yaml", escape = "none")]
pub struct ArgoCdChart<'a> {
    /// The chart's version.
    pub version: &'a str,
}

/// `argo-cd-application.yaml`.
#[derive(Debug, Template)]
#[template(path = "baseline/argo-cd-application.yaml", escape = "none")]
pub struct ArgoCdApplication {
    /// The address, quoted.
    pub repository: String,
    /// The branch, quoted.
    pub branch: String,
    /// The folder, quoted.
    pub path: String,
}

/// A text as YAML writes it within quotes.
#[must_use]
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Renders a manifest and reads its objects, in order.
///
/// # Errors
/// When it is not YAML, or holds a kind of object that is not known.
pub fn objects(manifest: &impl Template) -> anyhow::Result<Vec<Object>> {
    let text = manifest.render()?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).context("a manifest is not YAML")?;
    documents.into_iter().filter(|one| !one.is_null()).map(Object::parse).collect()
}
