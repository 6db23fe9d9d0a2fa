//! Server-side apply: a manager says what it wants of an object, and owns that.

use super::api::{self, Target, qualified};
use super::cluster::Cluster;
use super::fields::{self, Entry, Path};
use super::http::Request;
use super::reply::{self, Reply};
use super::validate;
use crate::clock;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What such a patch is called.
pub const MEDIA_TYPE: &str = "application/apply-patch+yaml";

/// Answers a patch by apply; it creates what is not there.
pub fn answer(cluster: &Cluster, request: &Request, target: &Target, name: &str) -> Reply {
    let resource = &target.resource;
    let text = String::from_utf8_lossy(&request.body);
    let body: Value = match serde_saphyr::from_str(&text) {
        Ok(body) => body,
        Err(error) => return reply::bad_request(&format!("error decoding YAML: {error}")),
    };
    if let Some(refusal) = refusal(request, target, name, &body) {
        return refusal;
    }
    let version = resource.api_version();
    let manager = request.parameter("fieldManager");
    let force = request.parameter("force") == "true";
    let mut store = cluster.store();
    let present = store.get(resource, &target.namespace, name).cloned();
    let applier = Applier { manager, version: &version, force };
    let mut object = match apply(applier, present.as_ref(), &body) {
        Ok(object) => object,
        Err(message) => {
            return reply::status(StatusCode::CONFLICT, "Conflict", &message, &json!({}));
        }
    };
    if let Err(cause) = validate::object(resource, &object) {
        return reply::invalid(resource.kind, name, &cause);
    }
    if present.is_some() {
        let stored = store.replace(resource, object);
        store.save();
        return match stored {
            Ok(object) => Reply::json(&api::ordered(&object)),
            Err(_) => reply::conflict(&qualified(resource), name),
        };
    }
    if !target.namespace.is_empty() {
        object["metadata"]["namespace"] = json!(target.namespace);
    }
    if let Err(refusal) = api::admit(&store, target, &mut object) {
        return *refusal;
    }
    match store.create(resource, object) {
        Ok(made) => Reply::with_code(StatusCode::CREATED, &api::ordered(&made)),
        Err(_) => reply::already_exists(&qualified(resource), name),
    }
}

fn refusal(request: &Request, target: &Target, name: &str, body: &Value) -> Option<Reply> {
    let resource = &target.resource;
    if request.parameter("fieldManager").is_empty() {
        let cause = "fieldManager: Required value: is required for apply patch";
        return Some(reply::invalid("PatchOptions.meta.k8s.io", "", cause));
    }
    if body["kind"] != resource.kind || body["apiVersion"] != resource.api_version() {
        return Some(reply::bad_request("the object provided does not match the type on the URL"));
    }
    if body["metadata"]["name"] != name {
        let text = "the name of the object does not match the name on the URL";
        return Some(reply::bad_request(text));
    }
    if body["metadata"].get("managedFields").is_some() {
        return Some(reply::bad_request("metadata.managedFields must be nil"));
    }
    None
}

/// Who applies, and how.
#[derive(Debug, Clone, Copy)]
pub struct Applier<'a> {
    /// The field manager.
    pub manager: &'a str,
    /// The version of the API.
    pub version: &'a str,
    /// Whether it takes fields from others.
    pub force: bool,
}

/// Applies `body` over what there is, if anything.
///
/// # Errors
/// The message about the conflicts with other managers.
pub fn apply(applier: Applier<'_>, present: Option<&Value>, body: &Value) -> Result<Value, String> {
    let mut object = present.cloned().unwrap_or_else(|| {
        json!({ "metadata": { "name": body["metadata"]["name"],
            "namespace": body["metadata"]["namespace"] } })
    });
    if object["metadata"]["namespace"].is_null()
        && let Some(metadata) = object["metadata"].as_object_mut()
    {
        metadata.shift_remove("namespace");
    }
    let mut entries = fields::entries(&object);
    let wanted = fields::of(body);
    let mine = |entry: &Entry| entry.manager == applier.manager && entry.operation == "Apply";
    let differs = |path: &Path| fields::at(&object, path) != fields::at(body, path);
    let mut conflicts: Vec<(String, Path)> = Vec::new();
    for entry in entries.iter_mut().filter(|entry| !mine(entry)) {
        let lost: BTreeSet<Path> = entry
            .fields
            .iter()
            .filter(|path| wanted.contains(*path) && differs(path))
            .cloned()
            .collect();
        if applier.force {
            entry.fields.retain(|path| !lost.contains(path));
        } else {
            conflicts.extend(lost.into_iter().map(|path| (printed(entry), path)));
        }
    }
    if !conflicts.is_empty() {
        return Err(message(&conflicts));
    }
    let before: BTreeSet<Path> =
        entries.iter().filter(|entry| mine(entry)).flat_map(|entry| entry.fields.clone()).collect();
    let others: BTreeSet<Path> = entries
        .iter()
        .filter(|entry| !mine(entry))
        .flat_map(|entry| entry.fields.clone())
        .collect();
    for path in before.iter().filter(|path| !wanted.contains(*path) && !others.contains(*path)) {
        fields::set(&mut object, path, None);
    }
    for path in &wanted {
        fields::set(&mut object, path, fields::at(body, path));
    }
    let same = before == wanted;
    entries.retain(|entry| !mine(entry) || same);
    if !same {
        entries.insert(
            0,
            Entry {
                manager: applier.manager.to_owned(),
                operation: "Apply".to_owned(),
                version: applier.version.to_owned(),
                time: clock::now(),
                fields: wanted,
            },
        );
    }
    fields::keep(&mut object, &entries);
    Ok(object)
}

fn printed(entry: &Entry) -> String {
    match entry.operation.as_str() {
        "Update" => format!("{:?} using {} at {}", entry.manager, entry.version, entry.time),
        _ => format!("{:?}", entry.manager),
    }
}

fn message(conflicts: &[(String, Path)]) -> String {
    if let [(manager, path)] = conflicts {
        let path = fields::shown(path);
        return format!("Apply failed with 1 conflict: conflict with {manager}: {path}");
    }
    let mut managers: Vec<&String> = conflicts.iter().map(|(manager, _)| manager).collect();
    managers.dedup();
    let parts: Vec<String> = managers
        .into_iter()
        .map(|manager| {
            let paths = conflicts.iter().filter(|(other, _)| other == manager);
            let paths: Vec<String> =
                paths.map(|(_, path)| format!("- {}", fields::shown(path))).collect();
            format!("conflicts with {manager}:\n{}", paths.join("\n"))
        })
        .collect();
    format!("Apply failed with {} conflicts: {}", conflicts.len(), parts.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(manager: &str) -> Applier<'_> {
        Applier { manager, version: "v1", force: false }
    }

    fn object(labels: &Value) -> Value {
        json!({ "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": "dmz", "labels": labels } })
    }

    #[test]
    fn what_a_manager_lets_go_of_goes_unless_another_owns_it_too() {
        let first = apply(by("a"), None, &object(&json!({ "x": "1", "y": "1" }))).expect("new");
        let both = apply(by("b"), Some(&first), &object(&json!({ "y": "1" }))).expect("the same");
        let after = apply(by("a"), Some(&both), &object(&json!({ "z": "1" }))).expect("its own");
        assert_eq!(after["metadata"]["labels"], json!({ "y": "1", "z": "1" }));
    }

    #[test]
    fn another_value_is_a_conflict_and_force_takes_the_field() {
        let first = apply(by("a"), None, &object(&json!({ "x": "1" }))).expect("new");
        let wanted = object(&json!({ "x": "2" }));
        let message = apply(by("b"), Some(&first), &wanted).expect_err("a conflict");
        let text = "Apply failed with 1 conflict: conflict with \"a\": .metadata.labels.x";
        assert_eq!(message, text);
        let forced = Applier { force: true, ..by("b") };
        let after = apply(forced, Some(&first), &wanted).expect("forced");
        assert_eq!(after["metadata"]["labels"]["x"], "2");
        let owners: Vec<String> =
            fields::entries(&after).into_iter().map(|entry| entry.manager).collect();
        assert_eq!(owners, ["b"]);
    }

    #[test]
    fn a_list_is_one_value_and_a_pods_containers_are_told_apart() {
        let paths = |object: Value| -> Vec<String> {
            fields::of(&object).iter().map(fields::shown).collect()
        };
        let policy = json!({ "spec": { "podSelector": { "matchLabels": { "a": "b" } },
            "ingress": [{ "from": [] }] } });
        assert_eq!(paths(policy), [".spec.ingress", ".spec.podSelector"]);
        let set = json!({ "spec": { "template": { "spec": { "containers": [
            { "name": "a", "image": "b" }] } } } });
        let shown = ".spec.template.spec.containers[{\"name\":\"a\"}]";
        assert_eq!(paths(set), [format!("{shown}.image"), format!("{shown}.name")]);
    }
}
