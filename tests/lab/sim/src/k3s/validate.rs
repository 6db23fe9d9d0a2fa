//! What the API refuses in an object: labels, taints.

use super::store::{NODES, Resource};
use serde_json::Value;

/// Checks an object before it is stored.
///
/// # Errors
/// The cause, as the API words it.
pub fn object(resource: &Resource, object: &Value) -> Result<(), String> {
    for (key, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
        label(key, value)?;
    }
    if *resource == NODES {
        let taints = object["spec"]["taints"].as_array();
        for (index, one) in taints.into_iter().flatten().enumerate() {
            taint(index, one, taints.into_iter().flatten().take(index))?;
        }
    }
    Ok(())
}

/// Checks a label.
///
/// # Errors
/// The cause, as the API words it.
pub fn label(key: &str, value: &Value) -> Result<(), String> {
    let (prefix, name) = key.rsplit_once('/').unwrap_or(("", key));
    let prefix_is_good = prefix.is_empty()
        || (prefix.len() <= 253 && prefix.split('.').all(|part| word(part, false)));
    if !word(name, true) || name.len() > 63 || !prefix_is_good || key.starts_with('/') {
        return Err(format!(
            "metadata.labels: Invalid value: {key:?}: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
        ));
    }
    let text = value.as_str().unwrap_or("\u{0}");
    if text.len() > 63 || (!text.is_empty() && !word(text, true)) {
        return Err(format!(
            "metadata.labels: Invalid value: {text:?}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
        ));
    }
    Ok(())
}

fn taint<'a>(
    index: usize,
    one: &Value,
    mut before: impl Iterator<Item = &'a Value>,
) -> Result<(), String> {
    let key = one["key"].as_str().unwrap_or_default();
    label(key, &one["value"].as_str().unwrap_or_default().into())
        .map_err(|_| format!("spec.taints[{index}].key: Invalid value: {key:?}"))?;
    let effect = one["effect"].as_str().unwrap_or_default();
    if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
        return Err(format!(
            "spec.taints[{index}].effect: Unsupported value: {effect:?}: supported values: \"NoExecute\", \"NoSchedule\", \"PreferNoSchedule\""
        ));
    }
    if before.any(|other| other["key"] == one["key"] && other["effect"] == one["effect"]) {
        return Err(format!("spec.taints[{index}]: Duplicate value: {key:?}"));
    }
    Ok(())
}

fn word(text: &str, loose: bool) -> bool {
    let inner =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || (loose && b"_.".contains(&byte));
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    edge(text.bytes().next()) && edge(text.bytes().last()) && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_and_taints_are_checked() {
        let node = |labels: Value, taints: Value| {
            object(
                &NODES,
                &json!({ "metadata": { "labels": labels }, "spec": { "taints": taints } }),
            )
        };
        let good = json!([{ "key": "a.b/c", "value": "d", "effect": "NoSchedule" }]);
        assert!(node(json!({ "a.b/c": "", "x_y": "1.2" }), good.clone()).is_ok());
        assert!(node(json!({ "a": "not good" }), good.clone()).is_err());
        assert!(node(json!({ "a b": "x" }), good).is_err());
        assert!(node(json!({}), json!([{ "key": "a", "effect": "Never" }])).is_err());
        let twice =
            json!([{ "key": "a", "effect": "NoExecute" }, { "key": "a", "effect": "NoExecute" }]);
        assert!(node(json!({}), twice).is_err());
    }
}
