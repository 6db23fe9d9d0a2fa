//! The cluster's objects and how they are kept.

use crate::clock;
use crate::database::Database;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// A resource that the API serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// `""` for the core group.
    pub group: &'static str,
    /// `v1`
    pub version: &'static str,
    /// `nodes`
    pub plural: &'static str,
    /// `Node`
    pub kind: &'static str,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
    /// Whether something that is installed must define it first.
    pub custom: bool,
}

const fn resource(
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
) -> Resource {
    Resource { group, version: "v1", plural, kind, namespaced, custom: false }
}

const fn custom(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
) -> Resource {
    Resource { group, version, plural, kind, namespaced, custom: true }
}

/// Every resource that the stand-in knows.
pub const RESOURCES: &[Resource] = &[
    resource("", "nodes", "Node", false),
    resource("", "namespaces", "Namespace", false),
    resource("", "secrets", "Secret", true),
    resource("", "pods", "Pod", true),
    resource("", "services", "Service", true),
    resource("", "configmaps", "ConfigMap", true),
    resource("", "events", "Event", true),
    resource("apps", "deployments", "Deployment", true),
    resource("apps", "daemonsets", "DaemonSet", true),
    resource("discovery.k8s.io", "endpointslices", "EndpointSlice", true),
    resource("coordination.k8s.io", "leases", "Lease", true),
    resource("", "serviceaccounts", "ServiceAccount", true),
    resource(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        false,
    ),
    resource("helm.cattle.io", "helmcharts", "HelmChart", true),
    resource("", "resourcequotas", "ResourceQuota", true),
    resource("", "limitranges", "LimitRange", true),
    resource("", "persistentvolumeclaims", "PersistentVolumeClaim", true),
    resource("apps", "statefulsets", "StatefulSet", true),
    resource("batch", "cronjobs", "CronJob", true),
    resource("networking.k8s.io", "networkpolicies", "NetworkPolicy", true),
    resource("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false),
    resource("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding", false),
    resource("rbac.authorization.k8s.io", "roles", "Role", true),
    resource("rbac.authorization.k8s.io", "rolebindings", "RoleBinding", true),
    resource("node.k8s.io", "runtimeclasses", "RuntimeClass", false),
    resource("helm.cattle.io", "helmchartconfigs", "HelmChartConfig", true),
    custom("cert-manager.io", "v1", "clusterissuers", "ClusterIssuer", false),
    custom("source.toolkit.fluxcd.io", "v1", "gitrepositories", "GitRepository", true),
    custom("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization", true),
    custom("argoproj.io", "v1alpha1", "applications", "Application", true),
];

/// The resource `nodes`.
pub const NODES: Resource = RESOURCES[0];
/// The resource `namespaces`.
pub const NAMESPACES: Resource = RESOURCES[1];
/// The resource `deployments`.
pub const DEPLOYMENTS: Resource = RESOURCES[7];
/// The resource `serviceaccounts`.
pub const SERVICE_ACCOUNTS: Resource = RESOURCES[11];
/// The resource `customresourcedefinitions`.
pub const CRDS: Resource = RESOURCES[12];
/// The resource `helmcharts`.
pub const CHARTS: Resource = RESOURCES[13];
/// The resource `secrets`.
pub const SECRETS: Resource = RESOURCES[2];
/// The resource `services`.
pub const SERVICES: Resource = RESOURCES[4];
/// The resource `endpointslices`.
pub const ENDPOINT_SLICES: Resource = RESOURCES[9];
/// The resource `leases`.
pub const LEASES: Resource = RESOURCES[10];
/// The namespace of the leases by which nodes say that they live.
pub const NODE_LEASES: &str = "kube-node-lease";

impl Resource {
    /// Returns `v1`, or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    fn key(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}/{namespace}/{name}", self.group, self.plural)
    }
}

/// Why a write was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// An object of that name exists.
    Exists,
    /// The object's `resourceVersion` is not the one that was given.
    Conflict,
    /// No such object.
    Missing,
}

/// Where objects are kept.
#[derive(Debug)]
enum Place {
    File(PathBuf),
    Database(Database),
}

/// The key of all objects in a database.
const OBJECTS: &str = "objects";

/// All objects, and where they are kept.
#[derive(Debug)]
pub struct Store {
    place: Place,
    revision: u64,
    objects: BTreeMap<String, Value>,
    dirty: bool,
    reached: bool,
}

impl Store {
    /// Reads the store at `path`, or starts an empty one.
    pub fn open(path: PathBuf) -> Self {
        let kept: Option<Value> =
            fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self::with(Place::File(path), kept)
    }

    /// Reads the store that a database has, or starts an empty one.
    ///
    /// # Errors
    /// The database is not there, or lets nobody in.
    pub fn in_database(database: Database) -> Result<Self, String> {
        let kept = database.get(OBJECTS)?;
        Ok(Self::with(Place::Database(database), (!kept.is_null()).then_some(kept)))
    }

    fn with(place: Place, kept: Option<Value>) -> Self {
        let mut store =
            Self { place, revision: 200, objects: BTreeMap::new(), dirty: true, reached: true };
        if let Some(kept) = kept {
            store.revision = kept["revision"].as_u64().unwrap_or(200);
            if let Some(objects) = kept["objects"].as_object() {
                store.objects = objects.clone().into_iter().collect();
            }
        }
        store
    }

    /// Returns the revision of the last write.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the revision and all objects, for another copy of them.
    pub fn contents(&self) -> (u64, Value) {
        (self.revision, json!(self.objects))
    }

    /// Becomes a copy of another store.
    pub fn adopt(&mut self, revision: u64, objects: &Value) {
        self.revision = revision;
        self.objects = objects
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        self.dirty = true;
        self.save();
    }

    /// Returns one object.
    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&resource.key(namespace, name))
    }

    /// Returns all objects of a resource, those of one namespace where it is not empty.
    pub fn list(&self, resource: &Resource, namespace: &str) -> Vec<&Value> {
        let prefix = if namespace.is_empty() {
            format!("{}/{}/", resource.group, resource.plural)
        } else {
            resource.key(namespace, "")
        };
        let found = self.objects.iter().filter(|(key, _)| key.starts_with(&prefix));
        found.map(|(_, object)| object).collect()
    }

    /// Adds an object; its uid, creation time and revision are set here.
    pub fn create(&mut self, resource: &Resource, mut object: Value) -> Result<Value, Refused> {
        let (namespace, name) = names(&object);
        let key = resource.key(&namespace, &name);
        if self.objects.contains_key(&key) {
            return Err(Refused::Exists);
        }
        object["kind"] = json!(resource.kind);
        object["apiVersion"] = json!(resource.api_version());
        object["metadata"]["uid"] = json!(uid());
        object["metadata"]["creationTimestamp"] = json!(clock::now());
        self.put(key, object.clone());
        self.save();
        Ok(self.get(resource, &namespace, &name).cloned().unwrap_or(object))
    }

    /// Replaces an object; a `resourceVersion` in it must be the present one.
    pub fn replace(&mut self, resource: &Resource, object: Value) -> Result<Value, Refused> {
        let (namespace, name) = names(&object);
        let key = resource.key(&namespace, &name);
        let present = self.objects.get(&key).ok_or(Refused::Missing)?;
        let given = &object["metadata"]["resourceVersion"];
        if given.is_string() && *given != present["metadata"]["resourceVersion"] {
            return Err(Refused::Conflict);
        }
        // A write that changes nothing gets no new revision.
        if object == *present {
            return Ok(object);
        }
        self.put(key.clone(), object);
        Ok(self.objects.get(&key).cloned().unwrap_or(Value::Null))
    }

    /// Removes an object and returns it.
    pub fn delete(&mut self, resource: &Resource, namespace: &str, name: &str) -> Option<Value> {
        let gone = self.objects.remove(&resource.key(namespace, name))?;
        self.revision += 1;
        self.dirty = true;
        self.save();
        Some(gone)
    }

    /// Writes the store to its file, where something changed.
    pub fn save(&mut self) {
        if !self.dirty {
            return;
        }
        let all = json!({ "revision": self.revision, "objects": self.objects });
        let outcome = match &self.place {
            Place::File(path) => super::pki::write(path, &all.to_string(), 0o600)
                .map_err(|error| format!("etcd: cannot write: {error:#}")),
            Place::Database(database) => database.put(OBJECTS, &all),
        };
        self.reached = outcome.is_ok();
        match outcome {
            Ok(()) => self.dirty = false,
            Err(error) => crate::log::error(error),
        }
    }

    /// Says whether what was last written is where it belongs.
    pub fn is_reached(&self) -> bool {
        self.reached
    }

    fn put(&mut self, key: String, mut object: Value) {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        self.objects.insert(key, object);
        self.dirty = true;
    }
}

fn names(object: &Value) -> (String, String) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

fn uid() -> String {
    let hex = super::token::random_hex(16);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Value {
        json!({ "metadata": { "name": name } })
    }

    #[test]
    fn a_stale_revision_is_a_conflict() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(folder.path().join("state.db"));
        let first = store.create(&NODES, node("a")).expect("created");
        assert_eq!(store.create(&NODES, node("a")), Err(Refused::Exists));
        let mut second = first.clone();
        second["spec"] = json!({ "podCIDR": "10.42.0.0/24" });
        store.replace(&NODES, second.clone()).expect("replaced");
        assert_eq!(store.replace(&NODES, first), Err(Refused::Conflict));
    }

    #[test]
    fn what_was_written_is_there_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.db");
        let made = Store::open(path.clone()).create(&NODES, node("a")).expect("created");
        let store = Store::open(path);
        assert_eq!(store.get(&NODES, "", "a"), Some(&made));
        assert_eq!(store.revision().to_string(), made["metadata"]["resourceVersion"]);
    }
}
