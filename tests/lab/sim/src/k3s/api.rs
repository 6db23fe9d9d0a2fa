//! The Kubernetes API: paths, who may do what, and the verbs on objects.

use super::cluster::Cluster;
use super::http::{Identity, Request};
use super::reply::{self, Reply};
use super::store::{
    CRDS, LEASES, NAMESPACES, NODE_LEASES, NODES, RESOURCES, Refused, Resource, SECRETS, Store,
};
use super::{apply, discovery, fields, patch, select, table, validate, watch};
use hyper::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The resource.
    pub resource: Resource,
    /// The namespace; empty for all, and for resources without.
    pub namespace: String,
    /// The object; none for the collection.
    pub name: Option<String>,
    /// `status`, where it is named.
    pub part: Option<String>,
}

/// Answers a request to the API.
pub fn route(cluster: &Cluster, request: &Request) -> Reply {
    let Identity::User(user, groups) = &request.identity else { return reply::unauthorized() };
    if let Some(answer) = discovery::route(cluster, request) {
        return answer;
    }
    let Some(target) = parse(&request.path) else { return reply::no_such_path() };
    if !is_served(&cluster.store(), &target.resource) {
        return reply::no_such_path();
    }
    if let Err(why) = authorize(cluster, user, groups, &request.method, &target) {
        let name = target.name.as_deref().unwrap_or_default();
        return reply::forbidden(&qualified(&target.resource), name, &why);
    }
    match (request.method.as_str(), &target.name) {
        ("GET", None) => list(cluster, request, &target),
        ("GET", Some(name)) => get(cluster, request, &target, name),
        ("POST", None) => create(cluster, request, &target),
        ("PATCH", Some(name)) if request.header(CONTENT_TYPE).starts_with(apply::MEDIA_TYPE) => {
            apply::answer(cluster, request, &target, name)
        }
        ("PATCH", Some(name)) => change(cluster, request, &target, name),
        ("PUT", Some(name)) => replace(cluster, request, &target, name),
        ("DELETE", Some(name)) => delete(cluster, request, &target, name),
        _ => reply::method_not_allowed(),
    }
}

/// Says whether the API knows a resource by now.
pub fn is_served(store: &Store, resource: &Resource) -> bool {
    !resource.custom || store.get(&CRDS, "", &qualified(resource)).is_some()
}

/// Returns the manager of the fields that a request sets.
pub fn manager(request: &Request) -> String {
    let agent = request.header(USER_AGENT).split('/').next().unwrap_or_default().to_owned();
    match request.parameter("fieldManager") {
        "" => agent,
        named => named.to_owned(),
    }
}

/// Says whether it is kept who set the fields of such objects: not for what changes all the time.
fn is_tracked(resource: &Resource) -> bool {
    !["nodes", "leases", "events", "services", "endpointslices"].contains(&resource.plural)
}

/// Completes what is created, as admission does.
///
/// # Errors
/// The answer where its namespace is missing.
pub fn admit(store: &Store, target: &Target, object: &mut Value) -> Result<(), Box<Reply>> {
    if target.resource.namespaced && store.get(&NAMESPACES, "", &target.namespace).is_none() {
        return Err(Box::new(reply::not_found("namespaces", &target.namespace)));
    }
    if target.resource == NAMESPACES {
        let name = object["metadata"]["name"].clone();
        object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
        object["spec"] = json!({ "finalizers": ["kubernetes"] });
        object["status"] = json!({ "phase": "Active" });
    }
    Ok(())
}

/// Returns `nodes`, or `deployments.apps`.
pub fn qualified(resource: &Resource) -> String {
    if resource.group.is_empty() {
        resource.plural.to_owned()
    } else {
        format!("{}.{}", resource.plural, resource.group)
    }
}

fn parse(path: &str) -> Option<Target> {
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let group = match *parts.first()? {
        "api" => {
            parts.drain(..2.min(parts.len()));
            ""
        }
        "apis" if parts.len() > 2 => {
            let group = parts.get(1).copied()?;
            parts.drain(..3);
            group
        }
        _ => return None,
    };
    let mut namespace = String::new();
    if let [first, name, _, ..] = parts.as_slice()
        && *first == "namespaces"
    {
        (*name).clone_into(&mut namespace);
        parts.drain(..2);
    }
    let found =
        RESOURCES.iter().find(|one| one.group == group && Some(&one.plural) == parts.first())?;
    let text = |index: usize| parts.get(index).map(|part| (*part).to_owned());
    Some(Target { resource: *found, namespace, name: text(1), part: text(2) })
}

fn authorize(
    cluster: &Cluster,
    user: &str,
    groups: &[String],
    method: &Method,
    target: &Target,
) -> Result<(), String> {
    if groups.iter().any(|group| group == "system:masters") {
        return Ok(());
    }
    let verb = match (method.as_str(), &target.name) {
        ("GET", None) => "list",
        ("GET", Some(_)) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        _ => "delete",
    };
    let resource = qualified(&target.resource);
    let mut why = format!(
        "{resource} is forbidden: User {user:?} cannot {verb} resource {:?} in API group {:?} at the cluster scope",
        target.resource.plural, target.resource.group
    );
    if let Some(name) = &target.name {
        why = why.replacen(" is", &format!(" {name:?} is"), 1);
    }
    let own = user.strip_prefix("system:node:").filter(|_| target.resource == NODES);
    match (own, verb, target.name.as_deref()) {
        _ if verb != "list" && is_own_lease(user, target) => Ok(()),
        (Some(_), "create", _) => Ok(()),
        (Some(own), "get" | "patch" | "update", Some(name)) if own == name => Ok(()),
        _ if is_open(user, verb, target) => Ok(()),
        // Since 1.32 a node sees no other node.
        (Some(_), "get" | "list", _) if cluster.version.minor() < 32 => Ok(()),
        (Some(own), "get", Some(name)) => {
            Err(format!("{why}: node {own:?} cannot read {name:?}, only its own Node object"))
        }
        _ => Err(why),
    }
}

/// Says whether this is about the lease of the node that asks.
fn is_own_lease(user: &str, target: &Target) -> bool {
    let own = user.strip_prefix("system:node:");
    target.resource == LEASES
        && target.namespace == NODE_LEASES
        && own.is_some_and(|own| target.name.as_deref().is_none_or(|name| name == own))
}

/// Says whether a part of k3s that is on every node may do this.
fn is_open(user: &str, verb: &str, target: &Target) -> bool {
    let reads = matches!(verb, "get" | "list");
    match (user, target.resource.plural) {
        // flannel publishes how a node is reached with its status.
        ("system:k3s-controller", "nodes") => {
            reads || (verb == "patch" && target.part.as_deref() == Some("status"))
        }
        ("system:k3s-controller", "namespaces" | "pods")
        | ("system:kube-proxy", "nodes" | "services" | "endpointslices") => reads,
        _ => false,
    }
}

fn list(cluster: &Cluster, request: &Request, target: &Target) -> Reply {
    let store = cluster.store();
    let mut found = store.list(&target.resource, &target.namespace);
    found.retain(|object| {
        select::labels(request.parameter("labelSelector"), object)
            && select::fields(request.parameter("fieldSelector"), object)
    });
    let revision = store.revision();
    if matches!(request.parameter("watch"), "true" | "1") {
        return watch::begin(request, target);
    }
    if wants_table(request) {
        return Reply::json(&table::of(&target.resource, &found, revision));
    }
    if request.header(ACCEPT).contains("as=PartialObjectMetadataList") {
        return Reply::json(&json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": { "resourceVersion": revision.to_string() },
            "items": found.iter().map(|object| json!({ "metadata": object["metadata"] })).collect::<Vec<_>>(),
        }));
    }
    let items: Vec<Value> = found.into_iter().cloned().collect();
    Reply::json(&json!({
        "kind": format!("{}List", target.resource.kind),
        "apiVersion": target.resource.api_version(),
        "metadata": { "resourceVersion": revision.to_string() },
        "items": items.into_iter().map(without_type).collect::<Vec<_>>(),
    }))
}

// The items of a list do not repeat what the list says of them.
fn without_type(mut object: Value) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.shift_remove("kind");
        map.shift_remove("apiVersion");
    }
    object
}

fn wants_table(request: &Request) -> bool {
    request.header(ACCEPT).contains("as=Table")
}

fn get(cluster: &Cluster, request: &Request, target: &Target, name: &str) -> Reply {
    let store = cluster.store();
    match store.get(&target.resource, &target.namespace, name) {
        Some(object) if wants_table(request) => {
            Reply::json(&table::of(&target.resource, &[object], store.revision()))
        }
        Some(object) if request.header(ACCEPT).contains("as=PartialObjectMetadata;") => {
            Reply::json(&json!({ "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] }))
        }
        Some(object) => Reply::json(&ordered(object)),
        None => reply::not_found(&qualified(&target.resource), name),
    }
}

/// Puts first what an object is.
pub fn ordered(object: &Value) -> Value {
    let mut first = json!({ "kind": object["kind"], "apiVersion": object["apiVersion"] });
    if let (Some(first), Some(map)) = (first.as_object_mut(), object.as_object()) {
        first.extend(map.clone());
    }
    first
}

fn create(cluster: &Cluster, request: &Request, target: &Target) -> Reply {
    let Ok(mut object) = serde_json::from_slice::<Value>(&request.body) else {
        return reply::bad_request("the object provided is unrecognized");
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        return reply::invalid(
            target.resource.kind,
            "",
            "metadata.name: Required value: name or generateName is required",
        );
    }
    if let Identity::User(user, groups) = &request.identity
        && target.resource == NODES
        && !groups.iter().any(|group| group == "system:masters")
        && *user != format!("system:node:{name}")
    {
        return reply::forbidden(
            "nodes",
            &name,
            &format!(
                "nodes {name:?} is forbidden: node {user:?} is not allowed to modify node {name:?}"
            ),
        );
    }
    if !target.namespace.is_empty() {
        object["metadata"]["namespace"] = json!(target.namespace);
    }
    if let Err(cause) = validate::object(&target.resource, &object) {
        return reply::invalid(target.resource.kind, &name, &cause);
    }
    let mut store = cluster.store();
    if is_tracked(&target.resource) {
        let version = target.resource.api_version();
        fields::note_update(&Value::Null, &mut object, &manager(request), &version);
    }
    if let Err(refusal) = admit(&store, target, &mut object) {
        return *refusal;
    }
    if target.resource == NODES {
        super::controller::admit_node(cluster, &store, &mut object);
    }
    match store.create(&target.resource, object) {
        Ok(made) => Reply::with_code(StatusCode::CREATED, &ordered(&made)),
        Err(_) => reply::already_exists(&qualified(&target.resource), &name),
    }
}

fn change(cluster: &Cluster, request: &Request, target: &Target, name: &str) -> Reply {
    let mut store = cluster.store();
    let Some(present) = store.get(&target.resource, &target.namespace, name).cloned() else {
        return reply::not_found(&qualified(&target.resource), name);
    };
    let kind = request.header(CONTENT_TYPE);
    let Some(patched) = patch::apply(kind, &present, &request.body) else {
        return reply::unsupported_media();
    };
    match patched {
        Ok(object) => store_changed(&mut store, target, &present, object, &manager(request)),
        Err(message) => reply::bad_request(&message),
    }
}

fn replace(cluster: &Cluster, request: &Request, target: &Target, name: &str) -> Reply {
    let mut store = cluster.store();
    let Some(present) = store.get(&target.resource, &target.namespace, name).cloned() else {
        return reply::not_found(&qualified(&target.resource), name);
    };
    match serde_json::from_slice::<Value>(&request.body) {
        Ok(object) => store_changed(&mut store, target, &present, object, &manager(request)),
        Err(error) => reply::bad_request(&error.to_string()),
    }
}

fn store_changed(
    store: &mut Store,
    target: &Target,
    present: &Value,
    mut object: Value,
    manager: &str,
) -> Reply {
    let resource = &target.resource;
    let name = present["metadata"]["name"].as_str().unwrap_or_default();
    if object["metadata"]["name"] != present["metadata"]["name"] {
        return reply::bad_request("the name of the object does not match the name on the URL");
    }
    // A write to the object leaves its status, a write to the status leaves what is wanted.
    let revision = object["metadata"]["resourceVersion"].clone();
    let kept: &[&str] = if target.part.is_some() { &["spec"] } else { &["status"] };
    for key in kept.iter().filter(|key| present.get(**key).is_some()) {
        object[*key] = present[*key].clone();
    }
    object["metadata"]["resourceVersion"] = revision;
    for key in ["uid", "creationTimestamp"] {
        object["metadata"][key] = present["metadata"][key].clone();
    }
    if let Err(cause) = validate::object(resource, &object) {
        return reply::invalid(resource.kind, name, &cause);
    }
    if is_tracked(resource) && target.part.is_none() {
        fields::note_update(present, &mut object, manager, &resource.api_version());
    }
    match store.replace(resource, object) {
        Ok(object) => {
            if target.part.is_none() {
                store.save();
            }
            Reply::json(&ordered(&object))
        }
        Err(Refused::Conflict) => reply::conflict(&qualified(resource), name),
        Err(_) => reply::not_found(&qualified(resource), name),
    }
}

fn delete(cluster: &Cluster, request: &Request, target: &Target, name: &str) -> Reply {
    let mut store = cluster.store();
    let options: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let wanted = &options["preconditions"]["uid"];
    let present = store.get(&target.resource, &target.namespace, name);
    if let Some(present) = present.filter(|_| wanted.is_string())
        && present["metadata"]["uid"] != *wanted
    {
        return reply::conflict(&qualified(&target.resource), name);
    }
    let Some(gone) = store.delete(&target.resource, &target.namespace, name) else {
        return reply::not_found(&qualified(&target.resource), name);
    };
    if target.resource == NODES {
        store.delete(&SECRETS, "kube-system", &format!("{name}.node-password.k3s"));
        if let Some(etcd) = cluster.etcd.as_ref().filter(|_| name != cluster.node) {
            etcd.remove(name);
        }
        // Its owner is the node, so that the garbage collector takes it.
        store.delete(&LEASES, NODE_LEASES, name);
    }
    let details =
        json!({ "name": name, "kind": target.resource.plural, "uid": gone["metadata"]["uid"] });
    Reply::json(&json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_objects() {
        let node = parse("/api/v1/nodes/styx/status").expect("a node");
        assert_eq!((node.resource, node.name.as_deref()), (NODES, Some("styx")));
        assert_eq!(node.part.as_deref(), Some("status"));
        let secret = parse("/api/v1/namespaces/kube-system/secrets/x").expect("a secret");
        assert_eq!((secret.namespace.as_str(), secret.name.as_deref()), ("kube-system", Some("x")));
        let space = parse("/api/v1/namespaces/default").expect("a namespace");
        assert_eq!((space.resource.plural, space.name.as_deref()), ("namespaces", Some("default")));
        assert!(parse("/api/v1/nonesuch").is_none() && parse("/metrics").is_none());
    }
}
