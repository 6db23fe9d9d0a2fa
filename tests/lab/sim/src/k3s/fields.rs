//! Who set which field: `metadata.managedFields`.

use crate::clock;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The way to a field: `f:spec`, `k:{"name":"a"}`.
pub type Path = Vec<String>;

/// Maps that are one value.
const ATOMIC: &[&str] = &["podSelector", "roleRef", "selector", "namespaceSelector"];
/// Lists of a pod whose items are told apart by a key; every other list is one value.
const KEYED: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("env", &["name"]),
    ("volumes", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("ports", &["containerPort", "protocol"]),
];
/// What the server keeps itself, and what an object is called.
const OWN: &[&str] = &[
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "generation",
];

/// Returns every field that an object has, without its status and what the server keeps.
pub fn of(object: &Value) -> BTreeSet<Path> {
    let mut all = BTreeSet::new();
    walk(object, &mut Vec::new(), &mut all);
    all.retain(|path| match path.first().map(String::as_str) {
        Some("f:apiVersion" | "f:kind" | "f:status") | None => false,
        Some("f:metadata") => {
            let key = path.get(1).and_then(|step| step.strip_prefix("f:"));
            key.is_some_and(|key| !OWN.contains(&key))
        }
        Some(_) => true,
    });
    all
}

fn walk(value: &Value, path: &mut Path, all: &mut BTreeSet<Path>) {
    let name = path.last().and_then(|step| step.strip_prefix("f:")).unwrap_or_default();
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) if !ATOMIC.contains(&name) => {
            map.iter().map(|(key, value)| (format!("f:{key}"), value)).collect()
        }
        Value::Array(list) if path.iter().any(|step| step == "f:template") => {
            keyed(name, list).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    if children.is_empty() {
        all.insert(path.clone());
    }
    for (step, child) in children {
        path.push(step);
        walk(child, path, all);
        path.pop();
    }
}

fn keyed<'v>(name: &str, list: &'v [Value]) -> Option<Vec<(String, &'v Value)>> {
    let (_, keys) = KEYED.iter().find(|(known, _)| *known == name)?;
    list.iter()
        .map(|item| {
            let key: Map<String, Value> =
                keys.iter().map(|key| ((*key).to_owned(), item[*key].clone())).collect();
            Some((format!("k:{}", Value::Object(key)), item))
        })
        .collect()
}

/// Returns the value at `path`.
pub fn at<'v>(object: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(object, |value, step| match step.split_once(':')? {
        ("f", key) => value.get(key),
        (_, keys) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
            let fits = |item: &&Value| keys.iter().all(|(key, value)| item.get(key) == Some(value));
            value.as_array()?.iter().find(fits)
        }
    })
}

/// Sets the value at `path`; removes it where there is none.
pub fn set(target: &mut Value, path: &[String], value: Option<&Value>) {
    let Some((step, rest)) = path.split_first() else { return };
    let Some((kind, key)) = step.split_once(':') else { return };
    if kind == "f" {
        if !target.is_object() {
            *target = json!({});
        }
        let Some(map) = target.as_object_mut() else { return };
        match (rest.is_empty(), value) {
            (true, Some(value)) => {
                map.insert(key.to_owned(), value.clone());
            }
            (true, None) => {
                map.shift_remove(key);
            }
            (false, Some(_)) => set(map.entry(key).or_insert(Value::Null), rest, value),
            (false, None) => {
                if let Some(next) = map.get_mut(key) {
                    set(next, rest, None);
                    if next.as_object().is_some_and(Map::is_empty) {
                        map.shift_remove(key);
                    }
                }
            }
        }
        return;
    }
    let Ok(keys) = serde_json::from_str::<Map<String, Value>>(key) else { return };
    if !target.is_array() {
        *target = json!([]);
    }
    let Some(list) = target.as_array_mut() else { return };
    let fits = |item: &Value| keys.iter().all(|(key, value)| item.get(key) == Some(value));
    let place = list.iter().position(fits).unwrap_or_else(|| {
        list.push(Value::Object(keys.clone()));
        list.len() - 1
    });
    list.iter_mut().skip(place).take(1).for_each(|item| set(item, rest, value));
}

/// The path as messages write it: `.spec.ingress`.
pub fn shown(path: &Path) -> String {
    let step = |step: &String| match step.split_once(':') {
        Some(("f", key)) => format!(".{key}"),
        Some((_, keys)) => format!("[{keys}]"),
        None => String::new(),
    };
    path.iter().map(step).collect()
}

/// What one manager set in one way.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The field manager.
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// The version of the API that it used.
    pub version: String,
    /// When.
    pub time: String,
    /// The fields.
    pub fields: BTreeSet<Path>,
}

/// Returns the entries of an object.
pub fn entries(object: &Value) -> Vec<Entry> {
    let list = object["metadata"]["managedFields"].as_array();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let read = |entry: &Value| {
        let mut fields = BTreeSet::new();
        leaves(&entry["fieldsV1"], &mut Vec::new(), &mut fields);
        Entry {
            manager: text(entry, "manager"),
            operation: text(entry, "operation"),
            version: text(entry, "apiVersion"),
            time: text(entry, "time"),
            fields,
        }
    };
    list.into_iter().flatten().map(read).collect()
}

fn leaves(tree: &Value, path: &mut Path, all: &mut BTreeSet<Path>) {
    for (step, child) in tree.as_object().into_iter().flatten().filter(|(step, _)| *step != ".") {
        path.push(step.clone());
        let before = all.len();
        leaves(child, path, all);
        if all.len() == before {
            all.insert(path.clone());
        }
        path.pop();
    }
}

/// Writes the entries into an object; those without fields go.
pub fn keep(object: &mut Value, entries: &[Entry]) {
    let list: Vec<Value> = entries
        .iter()
        .filter(|entry| !entry.fields.is_empty())
        .map(|entry| {
            json!({ "manager": entry.manager, "operation": entry.operation,
                "apiVersion": entry.version, "time": entry.time, "fieldsType": "FieldsV1",
                "fieldsV1": tree(&entry.fields) })
        })
        .collect();
    if let (true, Some(metadata)) = (list.is_empty(), object["metadata"].as_object_mut()) {
        metadata.shift_remove("managedFields");
    } else {
        object["metadata"]["managedFields"] = Value::Array(list);
    }
}

fn tree(fields: &BTreeSet<Path>) -> Value {
    let mut root = json!({});
    for path in fields {
        let mut node = &mut root;
        for step in path {
            if step.starts_with("k:") && node.get(step).is_none() {
                node[step.as_str()] = json!({ ".": {} });
            }
            node = &mut node[step.as_str()];
            if node.is_null() {
                *node = json!({});
            }
        }
    }
    root
}

/// Notes that `manager` wrote `after` over `before`, other than by apply.
pub fn note_update(before: &Value, after: &mut Value, manager: &str, version: &str) {
    let mut entries = entries(before);
    let (old, new) = (of(before), of(after));
    let gone: BTreeSet<Path> = old.difference(&new).cloned().collect();
    let changed: BTreeSet<Path> =
        new.iter().filter(|path| at(before, path) != at(after, path)).cloned().collect();
    if gone.is_empty() && changed.is_empty() {
        keep(after, &entries);
        return;
    }
    for entry in &mut entries {
        entry.fields.retain(|path| !gone.contains(path) && !changed.contains(path));
    }
    let mine = |entry: &&mut Entry| entry.manager == manager && entry.operation == "Update";
    let time = clock::now();
    if let Some(entry) = entries.iter_mut().find(mine) {
        entry.fields.extend(changed);
        entry.time = time;
    } else {
        entries.push(Entry {
            manager: manager.to_owned(),
            operation: "Update".to_owned(),
            version: version.to_owned(),
            time,
            fields: changed,
        });
    }
    keep(after, &entries);
}
