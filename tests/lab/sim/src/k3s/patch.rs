//! The kinds of patch that the API takes.

use serde_json::{Map, Value};

/// Applies a patch of the media type `kind`; none where the type is not known.
pub fn apply(kind: &str, present: &Value, body: &[u8]) -> Option<Result<Value, String>> {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let mut object = present.clone();
    let outcome = match kind {
        "application/merge-patch+json" => parsed::<Value>(body).map(|patch| {
            json_patch::merge(&mut object, &patch);
        }),
        "application/strategic-merge-patch+json" => parsed::<Value>(body).map(|patch| {
            strategic(&mut object, &patch);
        }),
        "application/json-patch+json" => parsed::<json_patch::Patch>(body).and_then(|patch| {
            json_patch::patch(&mut object, &patch).map_err(|error| error.to_string())
        }),
        _ => return None,
    };
    Some(outcome.map(|()| object))
}

fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("error decoding patch: {error}"))
}

fn strategic(target: &mut Value, patch: &Value) {
    let Some(changes) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() || changes.get("$patch").is_some_and(|how| how == "replace") {
        *target = Value::Object(Map::new());
    }
    for (key, change) in changes.iter().filter(|(key, _)| !key.starts_with('$')) {
        let list = change.as_array().zip(merge_key(key));
        if change.is_null() {
            if let Some(map) = target.as_object_mut() {
                map.shift_remove(key);
            }
        } else if let Some((items, by)) = list {
            merge_list(&mut target[key.as_str()], items, by);
        } else {
            strategic(&mut target[key.as_str()], change);
        }
    }
}

// Of the lists that a node has, only these merge; `taints` is replaced whole.
fn merge_key(list: &str) -> Option<&'static str> {
    match list {
        "conditions" | "addresses" => Some("type"),
        "ownerReferences" => Some("uid"),
        _ => None,
    }
}

fn merge_list(target: &mut Value, items: &[Value], by: &str) {
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Some(list) = target.as_array_mut() else { return };
    for item in items {
        let place = list.iter().position(|present| present[by] == item[by]);
        match (place, item["$patch"] == "delete") {
            (Some(place), true) => {
                list.remove(place);
            }
            (Some(place), false) => {
                list.iter_mut().skip(place).take(1).for_each(|one| strategic(one, item))
            }
            (None, true) => {}
            (None, false) => list.push(item.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const STRATEGIC: &str = "application/strategic-merge-patch+json";

    fn patched(kind: &str, present: &Value, change: &Value) -> Value {
        apply(kind, present, change.to_string().as_bytes()).expect("known").expect("applied")
    }

    #[test]
    fn labels_merge_and_null_deletes_in_both_merges() {
        let node = json!({ "metadata": { "labels": { "a": "1", "b": "2" } } });
        let change = json!({ "metadata": { "labels": { "a": null, "c": "3" } } });
        for kind in [STRATEGIC, "application/merge-patch+json"] {
            let after = patched(kind, &node, &change);
            assert_eq!(after["metadata"]["labels"], json!({ "b": "2", "c": "3" }));
        }
    }

    #[test]
    fn taints_are_replaced_and_conditions_merge_by_type() {
        let node = json!({ "spec": { "taints": [{ "key": "a" }] },
            "status": { "conditions": [{ "type": "Ready", "status": "False", "reason": "x" }] } });
        let change = json!({ "spec": { "taints": [{ "key": "b" }] },
            "status": { "$setElementOrder/conditions": [{ "type": "Ready" }],
                        "conditions": [{ "type": "Ready", "status": "True" }] } });
        let after = patched(STRATEGIC, &node, &change);
        assert_eq!(after["spec"]["taints"], json!([{ "key": "b" }]));
        let ready = json!([{ "type": "Ready", "status": "True", "reason": "x" }]);
        assert_eq!(after["status"]["conditions"], ready);
    }

    #[test]
    fn an_unknown_media_type_is_not_applied() {
        assert!(apply("application/json", &json!({}), b"{}").is_none());
    }
}
