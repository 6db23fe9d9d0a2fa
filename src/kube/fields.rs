//! Fields of objects as server-side apply counts them: who set what.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::object::MANAGER;

/// The way to a field: `f:spec`, `f:containers`, `k:{"name":"a"}`.
pub type Path = Vec<String>;

/// Lists whose items are told apart by these keys; all other lists are set as a whole.
const KEYED: [(&str, &[&str]); 7] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("env", &["name"]),
    ("volumes", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("ports", &["containerPort", "protocol"]),
];

/// Every field that an applied object sets, without what it is called.
#[must_use]
pub fn set_by(body: &Value) -> Vec<Path> {
    let mut all = Vec::new();
    walk(body, &mut Vec::new(), &mut all);
    let name = |path: &Path| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        matches!(
            path.as_slice(),
            ["f:apiVersion" | "f:kind"] | ["f:metadata", "f:name" | "f:namespace"]
        )
    };
    all.retain(|path| !name(path));
    all
}

fn walk(value: &Value, path: &mut Path, all: &mut Vec<Path>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (format!("f:{key}"), value)).collect(),
        Value::Array(list) => keyed(path, list).unwrap_or_default(),
        _ => Vec::new(),
    };
    if children.is_empty() {
        all.push(path.clone());
        return;
    }
    for (step, child) in children {
        path.push(step);
        walk(child, path, all);
        path.pop();
    }
}

/// The items of a list by their keys; `None` where the list is one value.
fn keyed<'v>(path: &Path, list: &'v [Value]) -> Option<Vec<(String, &'v Value)>> {
    let name = path.last()?.strip_prefix("f:")?;
    let (_, keys) = KEYED.iter().find(|(list, _)| *list == name)?;
    // A policy's ports and a chart's values are no pod's.
    if !path.iter().any(|step| step == "f:template") {
        return None;
    }
    list.iter()
        .map(|item| {
            let mut key = Map::new();
            for name in *keys {
                key.insert((*name).to_owned(), item.get(*name)?.clone());
            }
            Some((format!("k:{}", Value::Object(key)), item))
        })
        .collect()
}

/// Who set which fields of a live object.
#[derive(Debug, Clone, Default)]
pub struct Owner {
    /// The field manager.
    pub manager: String,
    /// Whether it is ours, by apply.
    pub ours: bool,
    /// The fields.
    pub fields: Vec<Path>,
}

/// Everybody who set fields of a live object, as its `managedFields` say.
#[must_use]
pub fn owners(live: &Value) -> Vec<Owner> {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.into_iter().flatten().map(owner).collect()
}

fn owner(entry: &Value) -> Owner {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut fields = Vec::new();
    if let Some(tree) = entry.get("fieldsV1") {
        leaves(tree, &mut Vec::new(), &mut fields);
    }
    let ours = text("manager") == MANAGER
        && text("operation") == "Apply"
        && text("subresource").is_empty();
    Owner { manager: text("manager").to_owned(), ours, fields }
}

fn leaves(tree: &Value, path: &mut Path, all: &mut Vec<Path>) {
    let Some(map) = tree.as_object() else { return };
    let children = || map.iter().filter(|(step, _)| *step != ".");
    // A map that says `.` is there because of its manager; what is in it is not the manager's.
    if map.is_empty() && !path.is_empty() {
        all.push(path.clone());
    }
    for (step, child) in children() {
        path.push(step.clone());
        leaves(child, path, all);
        path.pop();
    }
}

/// Whether a list of fields has to do with `path`: one of them is it, holds it, or is within it.
#[must_use]
pub fn touches(fields: &[Path], path: &Path) -> bool {
    fields.iter().any(|field| field.iter().zip(path).all(|(one, other)| one == other))
}

/// The value at `path`.
#[must_use]
pub fn at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match step.split_once(':')? {
        ("f", key) => value.get(key),
        ("k", keys) => item(value, keys),
        ("v", text) => {
            let wanted: Value = serde_json::from_str(text).ok()?;
            value.as_array()?.iter().find(|item| **item == wanted)
        }
        _ => None,
    })
}

fn item<'v>(list: &'v Value, keys: &str) -> Option<&'v Value> {
    let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
    let fits = |item: &&Value| keys.iter().all(|(key, value)| item.get(key) == Some(value));
    list.as_array()?.iter().find(fits)
}

/// The fields at `paths` of `value`, and nothing else of it.
#[must_use]
pub fn extract(value: &Value, paths: &[Path]) -> Map<String, Value> {
    let mut out = Value::Object(Map::new());
    for path in paths {
        if let Some(found) = at(value, path) {
            put(&mut out, path, found);
        }
    }
    match out {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn put(target: &mut Value, path: &[String], found: &Value) {
    let Some((step, rest)) = path.split_first() else {
        *target = found.clone();
        return;
    };
    let next = match step.split_once(':') {
        Some(("f", key)) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            let Some(map) = target.as_object_mut() else { return };
            map.entry(key).or_insert(Value::Null)
        }
        Some((kind, keys)) => {
            let place = position(target, kind, keys);
            let Some(next) = target.as_array_mut().and_then(|list| list.get_mut(place)) else {
                return;
            };
            next
        }
        None => return,
    };
    put(next, rest, found);
}

/// Where in a list the item with those keys is; it is added where it is not.
fn position(target: &mut Value, kind: &str, keys: &str) -> usize {
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let key: Value = serde_json::from_str(keys).unwrap_or(Value::Null);
    let fits = |item: &Value| match (kind, &key) {
        ("k", Value::Object(keys)) => {
            keys.iter().all(|(name, value)| item.get(name) == Some(value))
        }
        _ => *item == key,
    };
    let Some(list) = target.as_array_mut() else { return 0 };
    list.iter().position(fits).unwrap_or_else(|| {
        list.push(key);
        list.len() - 1
    })
}

/// The path as the API writes it: `.spec.ports[name="a"].port`.
#[must_use]
pub fn shown(path: &Path) -> String {
    let mut text = String::new();
    for step in path {
        match step.split_once(':') {
            Some(("f", key)) => {
                let _ = write!(text, ".{key}");
            }
            Some((_, keys)) => {
                let _ = write!(text, "[{keys}]");
            }
            None => {}
        }
    }
    text
}
