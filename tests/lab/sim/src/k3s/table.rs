//! Objects as tables, which is how `kubectl get` asks for them.

use super::store::{NODES, Resource};
use crate::clock;
use serde_json::{Value, json};

/// Builds a `meta.k8s.io/v1` Table of `objects`.
pub fn of(resource: &Resource, objects: &[&Value], revision: u64) -> Value {
    let columns: &[(&str, u8)] = if *resource == NODES {
        &[
            ("Name", 0),
            ("Status", 0),
            ("Roles", 0),
            ("Age", 0),
            ("Version", 0),
            ("Internal-IP", 1),
            ("External-IP", 1),
            ("OS-Image", 1),
            ("Kernel-Version", 1),
            ("Container-Runtime", 1),
        ]
    } else {
        &[("Name", 0), ("Age", 0)]
    };
    let columns: Vec<Value> = columns
        .iter()
        .map(|(name, priority)| {
            let format = if *name == "Name" { "name" } else { "" };
            json!({ "name": name, "type": "string", "format": format, "description": "",
                "priority": priority })
        })
        .collect();
    let rows: Vec<Value> = objects.iter().map(|object| row(resource, object)).collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1",
        "metadata": { "resourceVersion": revision.to_string() },
        "columnDefinitions": columns, "rows": rows,
    })
}

fn row(resource: &Resource, object: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or("<unknown>").to_owned();
    let name = text(&object["metadata"]["name"]);
    let created = object["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
    let age = clock::seconds_since(created).map_or("<unknown>".to_owned(), clock::age);
    let cells = if *resource == NODES {
        let info = &object["status"]["nodeInfo"];
        let address = |kind: &str| address(object, kind).unwrap_or("<none>".to_owned());
        vec![
            name,
            node_status(object),
            roles(object),
            age,
            text(&info["kubeletVersion"]),
            address("InternalIP"),
            address("ExternalIP"),
            text(&info["osImage"]),
            text(&info["kernelVersion"]),
            text(&info["containerRuntimeVersion"]),
        ]
    } else {
        vec![name, age]
    };
    let metadata = json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"] });
    json!({ "cells": cells, "object": metadata })
}

fn address(node: &Value, kind: &str) -> Option<String> {
    let all = node["status"]["addresses"].as_array()?;
    let found = all.iter().find(|one| one["type"] == kind)?;
    found["address"].as_str().map(str::to_owned)
}

fn node_status(node: &Value) -> String {
    let conditions = node["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().find(|one| one["type"] == "Ready");
    let mut status = match ready.map(|one| one["status"].as_str().unwrap_or_default()) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if node["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object();
    let mut roles: Vec<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    roles.sort_unstable();
    if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_shows_its_status_and_its_roles() {
        let node = json!({
            "metadata": { "name": "a", "labels": { "node-role.kubernetes.io/etcd": "true",
                "node-role.kubernetes.io/control-plane": "true" } },
            "spec": { "unschedulable": true },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        assert_eq!(node_status(&node), "Ready,SchedulingDisabled");
        assert_eq!(roles(&node), "control-plane,etcd");
    }
}
