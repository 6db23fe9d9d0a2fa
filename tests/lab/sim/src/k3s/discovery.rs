//! What the API says of itself: health, version, groups and resources.

use super::api;
use super::cluster::Cluster;
use super::http::Request;
use super::reply::Reply;
use super::store::{NODES, RESOURCES, Resource};
use super::token;
use hyper::StatusCode;
use serde_json::{Value, json};

const CHECKS: &[&str] = &[
    "ping",
    "log",
    "etcd",
    "etcd-readiness",
    "informer-sync",
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/bootstrap-controller",
    "poststarthook/apiservice-registration-controller",
    "autoregister-completion",
    "shutdown",
];

/// Answers the paths that are no objects; none for the others.
pub fn route(cluster: &Cluster, request: &Request) -> Option<Reply> {
    let path = request.path.trim_end_matches('/');
    Some(match path {
        "/readyz" | "/livez" | "/healthz" => health(cluster, path, request),
        "/version" => Reply::json(&version(cluster)),
        "/api" => Reply::json(&json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0",
                "serverAddress": format!("{}:6443", cluster.advertise) }],
        })),
        "/apis" => Reply::json(&groups(cluster)),
        "/api/v1" => Reply::json(&resources(cluster, "", "v1")),
        _ => {
            let (group, version) = path.strip_prefix("/apis/")?.split_once('/')?;
            let known = |one: &&Resource| one.group == group && one.version == version;
            served(cluster).iter().find(known)?;
            Reply::json(&resources(cluster, group, version))
        }
    })
}

fn health(cluster: &Cluster, path: &str, request: &Request) -> Reply {
    // Whether it lives has nothing to do with who keeps its objects.
    let well = path == "/livez" || cluster.is_kept();
    let verbose = request.query.iter().any(|(key, _)| key == "verbose");
    if well && !verbose {
        return Reply::text(StatusCode::OK, "ok");
    }
    let fails = |name: &str| !well && name.starts_with("etcd");
    let line = |name: &&str| {
        if fails(name) {
            format!("[-]{name} failed: reason withheld\n")
        } else {
            format!("[+]{name} ok\n")
        }
    };
    let mut lines: Vec<String> = CHECKS.iter().map(line).collect();
    let (code, outcome) = if well {
        (StatusCode::OK, "passed")
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "failed")
    };
    lines.push(format!("{} check {outcome}\n", path.trim_start_matches('/')));
    Reply::text(code, lines.concat())
}

fn version(cluster: &Cluster) -> Value {
    let text = cluster.version.as_str();
    json!({
        "major": "1", "minor": cluster.version.minor().to_string(), "gitVersion": text,
        "gitCommit": token::sha256(text.as_bytes()).get(..40), "gitTreeState": "clean",
        "buildDate": "2026-09-02T18:21:11Z", "goVersion": cluster.version.go_version(),
        "compiler": "gc", "platform": format!("linux/{}", super::node::architecture()),
    })
}

fn served(cluster: &Cluster) -> Vec<Resource> {
    let store = cluster.store();
    RESOURCES.iter().filter(|one| api::is_served(&store, one)).copied().collect()
}

fn groups(cluster: &Cluster) -> Value {
    let mut versions: Vec<(&str, &str)> = Vec::new();
    for one in served(cluster).iter().filter(|one| !one.group.is_empty()) {
        if !versions.contains(&(one.group, one.version)) {
            versions.push((one.group, one.version));
        }
    }
    let groups: Vec<Value> = versions
        .iter()
        .map(|(name, version)| {
            let text = format!("{name}/{version}");
            let version = json!({ "groupVersion": text, "version": version });
            json!({ "name": name, "versions": [version], "preferredVersion": version })
        })
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

fn resources(cluster: &Cluster, group: &str, version: &str) -> Value {
    let all = served(cluster);
    let mine = all.iter().filter(|one| one.group == group && one.version == version);
    let mut list: Vec<Value> = mine.clone().map(describe).collect();
    if group.is_empty() {
        list.push(json!({ "name": "nodes/status", "singularName": "", "namespaced": false,
            "kind": NODES.kind, "verbs": ["get", "patch", "update"] }));
    }
    let version = mine.map(Resource::api_version).next().unwrap_or_default();
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": list })
}

fn describe(resource: &Resource) -> Value {
    let short: &[&str] = match resource.plural {
        "nodes" => &["no"],
        "namespaces" => &["ns"],
        "pods" => &["po"],
        "services" => &["svc"],
        "configmaps" => &["cm"],
        "events" => &["ev"],
        "deployments" => &["deploy"],
        "daemonsets" => &["ds"],
        _ => &[],
    };
    json!({
        "name": resource.plural, "singularName": resource.kind.to_lowercase(),
        "namespaced": resource.namespaced, "kind": resource.kind, "shortNames": short,
        "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
    })
}
