//! The objects that oceanid may make in a cluster, and where the API has them.

use std::fmt;

use anyhow::{Context, ensure};
use serde_json::{Map, Value};

/// The label of everything that is ours.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The annotation of objects that we made; those that we found lack it.
pub const MADE: &str = "oceanid.io/made";
/// Who we are to the API.
pub const MANAGER: &str = "oceanid";

/// Whether objects of a kind stand in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// They stand in the cluster.
    Cluster,
    /// They stand in a namespace.
    Namespace,
}

/// How objects of a kind are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// All of them: there are few.
    All,
    /// Those with our label, and by name those that are wanted.
    Ours,
    /// Those of the one name that ours have.
    Named(&'static str),
}

/// A kind of object that oceanid may make.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// `v1`, `networking.k8s.io/v1`.
    pub version: &'static str,
    /// `NetworkPolicy`.
    pub name: &'static str,
    /// `networkpolicies`.
    pub plural: &'static str,
    /// Where its objects stand.
    pub scope: Scope,
    /// How they are looked for.
    pub listing: Listing,
}

const fn kind(
    version: &'static str,
    name: &'static str,
    plural: &'static str,
    scope: Scope,
    listing: Listing,
) -> Kind {
    Kind { version, name, plural, scope, listing }
}

/// Every kind, in the order in which objects are made; they are removed in the opposite order.
pub const KINDS: &[Kind] = &[
    kind("v1", "Namespace", "namespaces", Scope::Cluster, Listing::All),
    kind("v1", "ServiceAccount", "serviceaccounts", Scope::Namespace, Listing::Named("default")),
    kind("v1", "ConfigMap", "configmaps", Scope::Namespace, Listing::Ours),
    kind("v1", "ResourceQuota", "resourcequotas", Scope::Namespace, Listing::All),
    kind("v1", "LimitRange", "limitranges", Scope::Namespace, Listing::All),
    kind(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "networkpolicies",
        Scope::Namespace,
        Listing::All,
    ),
    kind(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        "clusterroles",
        Scope::Cluster,
        Listing::Ours,
    ),
    kind("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", Scope::Cluster, Listing::Ours),
    kind("apps/v1", "DaemonSet", "daemonsets", Scope::Namespace, Listing::Ours),
    kind("helm.cattle.io/v1", "HelmChart", "helmcharts", Scope::Namespace, Listing::All),
    kind(
        "helm.cattle.io/v1",
        "HelmChartConfig",
        "helmchartconfigs",
        Scope::Namespace,
        Listing::All,
    ),
    kind("cert-manager.io/v1", "ClusterIssuer", "clusterissuers", Scope::Cluster, Listing::Ours),
    kind(
        "source.toolkit.fluxcd.io/v1",
        "GitRepository",
        "gitrepositories",
        Scope::Namespace,
        Listing::Ours,
    ),
    kind(
        "kustomize.toolkit.fluxcd.io/v1",
        "Kustomization",
        "kustomizations",
        Scope::Namespace,
        Listing::Ours,
    ),
    kind("argoproj.io/v1alpha1", "Application", "applications", Scope::Namespace, Listing::Ours),
];

impl Kind {
    /// The kind that an object says that it is of.
    #[must_use]
    pub fn of(version: &str, name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.version == version && kind.name == name)
    }

    /// The path of all its objects: `/api/v1/namespaces`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.root(), self.plural)
    }

    fn root(&self) -> String {
        if self.version.contains('/') {
            format!("/apis/{}", self.version)
        } else {
            format!("/api/{}", self.version)
        }
    }
}

/// An object: one that is wanted, or one that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What kind of thing it is.
    pub kind: &'static Kind,
    /// Its namespace; empty for a thing of the cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// All of it.
    pub body: Value,
}

impl Object {
    /// Reads an object of one of [`KINDS`].
    ///
    /// # Errors
    /// When it is of another kind, or has no name.
    pub fn parse(body: Value) -> anyhow::Result<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let get = |key: &str| body.get(key).map(text).unwrap_or_default();
        let (version, name) = (get("apiVersion"), get("kind"));
        let kind = Kind::of(&version, &name)
            .with_context(|| format!("`{version}` `{name}` is no kind of object that is known"))?;
        Self::of_kind(kind, body)
    }

    /// Reads an object that a list of `kind` holds.
    ///
    /// # Errors
    /// When it has no name.
    pub fn of_kind(kind: &'static Kind, body: Value) -> anyhow::Result<Self> {
        let part = |key: &str| {
            let value = body.get("metadata").and_then(|metadata| metadata.get(key));
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (namespace, name) = (part("namespace"), part("name"));
        ensure!(!name.is_empty(), "an object of kind `{}` has no name", kind.name);
        Ok(Self { kind, namespace, name, body })
    }

    /// Where the API has it.
    #[must_use]
    pub fn path(&self) -> String {
        let (root, plural, name) = (self.kind.root(), self.kind.plural, &self.name);
        match self.kind.scope {
            Scope::Cluster => format!("{root}/{plural}/{name}"),
            Scope::Namespace => format!("{root}/namespaces/{}/{plural}/{name}", self.namespace),
        }
    }

    /// Whether both are names of one thing.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.kind == other.kind && self.namespace == other.namespace && self.name == other.name
    }

    /// What it is called, and nothing else of it.
    #[must_use]
    pub fn bare(&self) -> Value {
        let mut metadata = Map::new();
        metadata.insert("name".into(), self.name.clone().into());
        if self.kind.scope == Scope::Namespace {
            metadata.insert("namespace".into(), self.namespace.clone().into());
        }
        serde_json::json!({
            "apiVersion": self.kind.version, "kind": self.kind.name, "metadata": metadata,
        })
    }

    /// A value in its metadata: `("labels", MANAGED_BY)`.
    #[must_use]
    pub fn mark(&self, map: &str, key: &str) -> Option<&str> {
        self.body.get("metadata")?.get(map)?.get(key)?.as_str()
    }
}

impl fmt::Display for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ", self.kind.name.to_lowercase())?;
        if self.kind.scope == Scope::Namespace {
            write!(formatter, "{}/", self.namespace)?;
        }
        formatter.write_str(&self.name)
    }
}
