//! The commands of kubectl that change objects.

use super::arguments::Arguments;
use super::{Api, collection, resource};
use crate::log;
use serde_json::{Map, Value, json};

const MERGE: &[(&str, &str)] = &[("Content-Type", "application/merge-patch+json")];

/// Runs `kubectl label`.
pub async fn label(arguments: &Arguments, api: &Api) -> Result<(), String> {
    mark(arguments, api, "labels", "label").await
}

/// Runs `kubectl annotate`.
pub async fn annotate(arguments: &Arguments, api: &Api) -> Result<(), String> {
    mark(arguments, api, "annotations", "annotation").await
}

async fn mark(arguments: &Arguments, api: &Api, field: &str, word: &str) -> Result<(), String> {
    let (kind, name, changes) = subject(arguments)?;
    let path = format!("{}/{name}", collection(resource(&kind)?, arguments));
    let object = api.object(&path).await?;
    let present = object["metadata"][field].as_object().cloned().unwrap_or_default();
    let (mut wanted, mut removed) = (Map::new(), false);
    for change in changes {
        if let Some((key, value)) = change.split_once('=') {
            let old = present.get(key).and_then(Value::as_str);
            if old.is_some_and(|old| old != value) && arguments.flag("overwrite").is_none() {
                let old = old.unwrap_or_default();
                return Err(format!(
                    "error: '{key}' already has a value ({old}), and --overwrite is false"
                ));
            }
            // The same value again is refused as well: so the real one was seen to do.
            if old.is_some() && arguments.flag("overwrite").is_none() {
                return Err(format!(
                    "error: '{key}' already has a value ({value}), and --overwrite is false"
                ));
            }
            if old != Some(value) {
                wanted.insert(key.to_owned(), json!(value));
            }
        } else if let Some(key) = change.strip_suffix('-') {
            if present.contains_key(key) {
                wanted.insert(key.to_owned(), Value::Null);
                removed = true;
            } else {
                log::out(format!("{word} {key:?} not found."));
            }
        } else {
            return Err(format!("error: at least one {word} update is required"));
        }
    }
    let past = if word == "label" { "labeled" } else { "annotated" };
    let outcome = match (wanted.is_empty(), removed, word) {
        (true, ..) => format!("not {past}"),
        (false, true, "label") => "unlabeled".to_owned(),
        _ => past.to_owned(),
    };
    if !wanted.is_empty() {
        let change = json!({ "metadata": { field: wanted } }).to_string();
        let verb = if word == "label" { "kubectl-label" } else { "kubectl-annotate" };
        api.send("PATCH", &format!("{path}?fieldManager={verb}"), MERGE, change).await?;
    }
    log::out(format!("{}/{name} {outcome}", resource(&kind)?.kind.to_lowercase()));
    Ok(())
}

fn subject(arguments: &Arguments) -> Result<(String, String, Vec<String>), String> {
    let words = arguments.operands();
    let first = words.first().ok_or(
        "error: one or more resources must be specified as <resource> <name> or <resource>/<name>",
    )?;
    let (kind, name, used) = match (first.split_once('/'), words.get(1)) {
        (Some((kind, name)), _) => (kind.to_owned(), name.to_owned(), 1),
        (None, Some(name)) => (first.clone(), name.clone(), 2),
        (None, None) => return Err("error: resource name may not be empty".to_owned()),
    };
    Ok((kind, name, words.iter().skip(used).cloned().collect()))
}

/// Runs `kubectl taint`.
pub async fn taint(arguments: &Arguments, api: &Api) -> Result<(), String> {
    let (kind, name, changes) = subject(arguments)?;
    let path = format!("{}/{name}", collection(resource(&kind)?, arguments));
    let object = api.object(&path).await?;
    let mut taints = object["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let mut outcome = "tainted";
    for change in &changes {
        if let Some(gone) = change.strip_suffix('-') {
            let (pair, effect) = gone.rsplit_once(':').unwrap_or((gone, ""));
            let key = pair.split('=').next().unwrap_or_default();
            let count = taints.len();
            taints
                .retain(|one| one["key"] != key || (!effect.is_empty() && one["effect"] != effect));
            if taints.len() == count {
                return Err(format!("error: taint {gone:?} not found"));
            }
            outcome = "untainted";
            continue;
        }
        let (pair, effect) = change
            .rsplit_once(':')
            .ok_or_else(|| format!("error: unknown taint spec: {change}"))?;
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let mut taint = json!({ "effect": effect, "key": key });
        if !value.is_empty() {
            taint["value"] = json!(value);
        }
        let same = taints.iter().position(|one| one["key"] == key && one["effect"] == effect);
        if same.is_some() && arguments.flag("overwrite").is_none() {
            return Err(format!(
                "error: node {name} already has {key} taint(s) with same effect(s) and --overwrite is false"
            ));
        }
        if let Some(place) = same {
            taints.remove(place);
            outcome = "modified";
        }
        taints.push(taint);
    }
    // With the revision that was read: another's taints must not be lost.
    let change = json!({ "metadata": { "resourceVersion": object["metadata"]["resourceVersion"] },
        "spec": { "taints": taints } });
    api.send("PATCH", &path, MERGE, change.to_string()).await?;
    log::out(format!("node/{name} {outcome}"));
    Ok(())
}

/// Runs `kubectl cordon` and `kubectl uncordon`.
pub async fn cordon(arguments: &Arguments, api: &Api, stop: Scheduling) -> Result<(), String> {
    for name in arguments.operands() {
        let (value, word) = match stop {
            Scheduling::Stop => (json!(true), "cordoned"),
            Scheduling::Resume => (Value::Null, "uncordoned"),
        };
        let patch = json!({ "spec": { "unschedulable": value } }).to_string();
        api.send("PATCH", &format!("/api/v1/nodes/{name}"), MERGE, patch).await?;
        log::out(format!("node/{name} {word}"));
    }
    Ok(())
}

/// Whether pods may be put on a node.
#[derive(Debug, Clone, Copy)]
pub enum Scheduling {
    /// No more.
    Stop,
    /// Again.
    Resume,
}

/// Runs `kubectl delete`.
pub async fn delete(arguments: &Arguments, api: &Api) -> Result<(), String> {
    let (kind, name, more) = subject(arguments)?;
    let found = resource(&kind)?;
    let base = collection(found, arguments);
    for name in std::iter::once(name).chain(more) {
        match api.send("DELETE", &format!("{base}/{name}"), &[], String::new()).await {
            Ok(_) => log::out(format!("{} {name:?} deleted", found.kind.to_lowercase())),
            Err(message)
                if message.contains("(NotFound)")
                    && arguments.flag("ignore-not-found").is_some() => {}
            Err(message) => return Err(message),
        }
    }
    Ok(())
}
