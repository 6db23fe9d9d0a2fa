//! `baseline`: what the cluster begins with, through the API of the first server.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::Inputs;
use crate::actions::{Objects, Removed, TokenSecret, Wait};
use crate::charts::Charts;
use crate::cluster::{CertManager, Cluster, Gitops};
use crate::config::GitopsTool;
use crate::kube::object::Object;
use crate::kube::survey::Survey;
use crate::kube::{Identity, curl, url};
use crate::step::Step;
use crate::templates::baseline::{
    ArgoCdApplication, ArgoCdChart, CertManagerChart, FluxChart, FluxRepository, GatewayApi,
    Issuer, OwnNamespaces, Roles, Zone, ZoneManifest, objects, quoted,
};

/// How long a chart may take to come up: its images come over the line.
const UP: Duration = Duration::from_secs(600);

/// Every object that `cluster` is to begin with, in the order in which they are made.
///
/// # Errors
/// When a manifest cannot be rendered.
pub fn manifests(cluster: &Cluster, charts: &Charts) -> anyhow::Result<Vec<Object>> {
    Ok(parts(cluster, charts)?.iter().flat_map(Part::objects).cloned().collect())
}

/// What `baseline` makes true in the cluster, in order.
///
/// # Errors
/// When a manifest cannot be rendered.
pub fn baseline(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let cluster = inputs.cluster;
    let mut step = Step::new("baseline");
    let parts = parts(cluster, &inputs.releases.charts)?;
    let wanted: Vec<Object> = parts.iter().flat_map(Part::objects).cloned().collect();
    let survey = Arc::new(Survey::of(&wanted));
    for part in parts {
        match part {
            Part::Objects { subject, objects } => {
                step.ensure(Objects::new(subject, objects, &survey));
            }
            Part::After { first, subject, objects, up } => {
                step.ensure(Wait::until(format!("the objects of {first}"), up, UP));
                step.ensure(Objects::new(subject, objects, &survey).after(first));
            }
            Part::Token => {
                if let Some(manager) = &cluster.baseline.cert_manager {
                    step.ensure(TokenSecret::new(manager.token.known()));
                }
            }
        }
    }
    if let Some(gitops) = cluster.baseline.gitops.as_ref().filter(|one| is_ssh(one)) {
        step.note(key_for(gitops));
    }
    let unwanted = Removed::but(wanted, &survey);
    // Without a GPU in cluster.toml nobody else sees to what the device plugin had.
    let theirs = super::gpu::concerns(cluster);
    step.ensure(if theirs { unwanted.outside(crate::gpu::NAMESPACE) } else { unwanted });
    Ok(step)
}

/// A part of the baseline.
#[derive(Debug)]
enum Part {
    /// Objects of kinds that k3s knows.
    Objects { subject: &'static str, objects: Vec<Object> },
    /// Objects of kinds that a chart brings, which is up when the script succeeds.
    After { first: &'static str, subject: &'static str, objects: Vec<Object>, up: String },
    /// Cloudflare's token.
    Token,
}

impl Part {
    fn objects(&self) -> &[Object] {
        match self {
            Self::Objects { objects, .. } | Self::After { objects, .. } => objects,
            Self::Token => &[],
        }
    }
}

fn parts(cluster: &Cluster, charts: &Charts) -> anyhow::Result<Vec<Part>> {
    let mut parts = Vec::new();
    if cluster.baseline.zones {
        parts.push(Part::Objects { subject: "zones", objects: zone_objects(cluster)? });
        let own = objects(&own_namespaces(cluster))?;
        parts.push(Part::Objects { subject: "k3s' own namespaces", objects: own });
        parts.push(Part::Objects { subject: "roles", objects: objects(&Roles)? });
    }
    if cluster.baseline.gateway_api {
        let objects = objects(&GatewayApi)?;
        parts.push(Part::Objects { subject: "Gateway API through Traefik", objects });
    }
    if let Some(manager) = &cluster.baseline.cert_manager {
        parts.extend(cert_manager(manager, charts.version("cert-manager"))?);
    }
    if let Some(gitops) = &cluster.baseline.gitops {
        parts.extend(match gitops.tool {
            GitopsTool::Flux => flux(gitops, charts.version("flux2"))?,
            GitopsTool::ArgoCd => argo_cd(gitops, charts.version("argo-cd"))?,
        });
    }
    Ok(parts)
}

/// The zones, from outside to inside; `admin` stands beside them.
fn zones(cluster: &Cluster) -> Vec<Zone> {
    let zone = |name, enforce, from, to| Zone {
        name,
        enforce,
        from,
        to,
        entered: matches!(name, "dmz" | "public"),
        api: if name == "admin" { servers(cluster) } else { Vec::new() },
    };
    vec![
        zone("dmz", "restricted", None, Some("public")),
        zone("public", "baseline", Some("dmz"), Some("internal")),
        zone("internal", "baseline", Some("public"), Some("data")),
        zone("data", "baseline", Some("internal"), None),
        zone("restricted", "restricted", Some("admin"), None),
        zone("admin", "baseline", None, Some("restricted")),
    ]
}

/// Where pods reach the API: its service's address is translated before policies look.
fn servers(cluster: &Cluster) -> Vec<String> {
    let addresses = cluster.servers().flat_map(crate::cluster::Host::addresses);
    let mut all: Vec<String> =
        addresses.map(|one| format!("{one}/{}", if one.is_ipv4() { 32 } else { 128 })).collect();
    all.dedup();
    all
}

fn zone_objects(cluster: &Cluster) -> anyhow::Result<Vec<Object>> {
    let mut all = Vec::new();
    for zone in zones(cluster) {
        all.extend(objects(&ZoneManifest { zone: &zone })?);
    }
    Ok(all)
}

fn own_namespaces(cluster: &Cluster) -> OwnNamespaces {
    let has = |component: &str| cluster.k3s.disable.iter().all(|disabled| disabled != component);
    OwnNamespaces {
        metrics: has("metrics-server"),
        service_lb: has("servicelb"),
        traefik: has("traefik"),
    }
}

fn cert_manager(manager: &CertManager, version: &str) -> anyhow::Result<Vec<Part>> {
    let webhook = "/apis/apps/v1/namespaces/cert-manager/deployments/cert-manager-webhook";
    let up = served("/apis/cert-manager.io/v1/clusterissuers", Some(webhook));
    Ok(vec![
        Part::Objects { subject: "cert-manager", objects: objects(&CertManagerChart { version })? },
        Part::Token,
        Part::After {
            first: "cert-manager",
            subject: "issuer of certificates",
            objects: objects(&Issuer { email: quoted(&manager.email) })?,
            up,
        },
    ])
}

fn is_ssh(gitops: &Gitops) -> bool {
    gitops.repository.starts_with("ssh://")
}

/// What only the operator can bring.
fn key_for(gitops: &Gitops) -> String {
    match gitops.tool {
        GitopsTool::Flux => String::from(
            "Flux reads the repository once the secret flux-system/repository holds its \
             `identity` and `known_hosts`",
        ),
        GitopsTool::ArgoCd => String::from(
            "Argo CD reads the repository once a secret of argocd with the label \
             argocd.argoproj.io/secret-type=repository holds its `url` and `sshPrivateKey`",
        ),
    }
}

fn flux(gitops: &Gitops, version: &str) -> anyhow::Result<Vec<Part>> {
    let repository = FluxRepository {
        repository: quoted(&gitops.repository),
        branch: quoted(&gitops.branch),
        path: quoted(&gitops.path),
        secret: is_ssh(gitops),
    };
    Ok(vec![
        Part::Objects { subject: "Flux", objects: objects(&FluxChart { version })? },
        Part::After {
            first: "Flux",
            subject: "repository of the cluster",
            objects: objects(&repository)?,
            up: served("/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations", None),
        },
    ])
}

fn argo_cd(gitops: &Gitops, version: &str) -> anyhow::Result<Vec<Part>> {
    let application = ArgoCdApplication {
        repository: quoted(&gitops.repository),
        branch: quoted(&gitops.branch),
        path: quoted(&gitops.path),
    };
    Ok(vec![
        Part::Objects { subject: "Argo CD", objects: objects(&ArgoCdChart { version })? },
        Part::After {
            first: "Argo CD",
            subject: "repository of the cluster",
            objects: objects(&application)?,
            up: served("/apis/argoproj.io/v1alpha1/applications", None),
        },
    ])
}

/// A script that succeeds once the API serves `list`, and `deployment` has a replica that is available.
fn served(list: &str, deployment: Option<&str>) -> String {
    let curl = curl(Identity::Admin);
    let mut text = format!(
        "{curl} -o /dev/null {} 2>/dev/null || {{ printf 'the API does not know its objects yet\\n'; exit 1; }}\n",
        url(Identity::Admin, &format!("{list}?limit=1&pretty=false"))
    );
    if let Some(deployment) = deployment {
        let url = url(Identity::Admin, &format!("{deployment}?pretty=false"));
        let _ = write!(
            text,
            "case $({curl} {url} 2>/dev/null) in *'\"availableReplicas\":'[1-9]*) ;;\n\
             *) printf 'its webhook is not available yet\\n'; exit 1 ;; esac\n"
        );
    }
    text
}
