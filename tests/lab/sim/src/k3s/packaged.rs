//! What controllers do with objects that they did not make: service accounts, namespaces, charts.

use super::store::{CHARTS, CRDS, DEPLOYMENTS, NAMESPACES, RESOURCES, SERVICE_ACCOUNTS, Store};
use crate::clock;
use serde_json::{Value, json};

/// How long a chart takes to be installed, seconds.
const INSTALLED_AFTER: i64 = 2;

/// What charts bring: the definitions of their objects, and a deployment that says that they are up.
const BROUGHT: &[(&str, &[&str], Option<&str>)] = &[
    (
        "cert-manager",
        &[
            "certificates.cert-manager.io",
            "clusterissuers.cert-manager.io",
            "issuers.cert-manager.io",
        ],
        Some("cert-manager-webhook"),
    ),
    (
        "flux2",
        &["gitrepositories.source.toolkit.fluxcd.io", "kustomizations.kustomize.toolkit.fluxcd.io"],
        None,
    ),
    ("argo-cd", &["applications.argoproj.io"], None),
];

/// Gives every namespace its service account, installs charts, and empties namespaces that are gone.
pub fn settle(store: &mut Store) {
    let spaces: Vec<String> = names(&store.list(&NAMESPACES, ""));
    for space in &spaces {
        if store.get(&SERVICE_ACCOUNTS, space, "default").is_none() {
            let account = json!({ "metadata": { "name": "default", "namespace": space } });
            let _ = store.create(&SERVICE_ACCOUNTS, account);
        }
    }
    let charts: Vec<Value> = store.list(&CHARTS, "").into_iter().cloned().collect();
    for chart in charts {
        install(store, &chart);
    }
    for resource in RESOURCES.iter().filter(|one| one.namespaced) {
        let orphans: Vec<(String, String)> = store
            .list(resource, "")
            .into_iter()
            .map(|object| (text(object, "namespace"), text(object, "name")))
            .filter(|(space, _)| !spaces.contains(space))
            .collect();
        for (space, name) in orphans {
            store.delete(resource, &space, &name);
        }
    }
}

fn install(store: &mut Store, chart: &Value) {
    let created = chart["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
    let name = chart["spec"]["chart"].as_str().unwrap_or_default();
    let known = BROUGHT.iter().find(|(known, ..)| *known == name);
    let young = clock::seconds_since(created).is_some_and(|age| age < INSTALLED_AFTER);
    let Some((_, definitions, deployment)) = known.filter(|_| !young) else { return };
    for name in *definitions {
        if store.get(&CRDS, "", name).is_none() {
            let conditions = json!([{ "type": "Established", "status": "True" }]);
            let _ = store.create(
                &CRDS,
                json!({ "metadata": { "name": name }, "status": { "conditions": conditions } }),
            );
        }
    }
    let space = chart["spec"]["targetNamespace"].as_str().unwrap_or("default");
    if let Some(name) = deployment
        && store.get(&DEPLOYMENTS, space, name).is_none()
    {
        let _ = store.create(
            &DEPLOYMENTS,
            json!({ "metadata": { "name": name, "namespace": space },
                "status": { "availableReplicas": 1, "readyReplicas": 1, "replicas": 1 } }),
        );
    }
}

fn names(objects: &[&Value]) -> Vec<String> {
    objects.iter().map(|object| text(object, "name")).collect()
}

fn text(object: &Value, key: &str) -> String {
    object["metadata"][key].as_str().unwrap_or_default().to_owned()
}
