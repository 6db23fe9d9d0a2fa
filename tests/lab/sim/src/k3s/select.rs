//! Label and field selectors of list requests.

use serde_json::Value;

/// Says whether `object` matches a label selector: `a=b,c!=d,e,!f`.
pub fn labels(selector: &str, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    let value = |key: &str| labels.get(key.trim()).and_then(Value::as_str);
    selector.split(',').map(str::trim).filter(|part| !part.is_empty()).all(|part| {
        if let Some((key, wanted)) = part.split_once("!=") {
            value(key) != Some(wanted.trim())
        } else if let Some((key, wanted)) = part.split_once('=') {
            value(key) == Some(wanted.trim_start_matches('=').trim())
        } else if let Some(key) = part.strip_prefix('!') {
            value(key).is_none()
        } else {
            value(part).is_some()
        }
    })
}

/// Says whether `object` matches a field selector: `metadata.name=x`.
pub fn fields(selector: &str, object: &Value) -> bool {
    selector.split(',').filter(|part| !part.is_empty()).all(|part| {
        let (path, wanted) = part.split_once('=').unwrap_or((part, ""));
        let found = path.trim_end_matches('!').split('.').fold(object, |value, key| &value[key]);
        let same = found.as_str().unwrap_or_default() == wanted.trim_start_matches('=');
        same != path.ends_with('!')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_select() {
        let node = json!({ "metadata": { "name": "styx", "labels": { "gpu": "true" } } });
        assert!(labels("", &node) && labels("gpu", &node) && labels("gpu=true,!x", &node));
        assert!(!labels("gpu!=true", &node) && !labels("x=1", &node));
        assert!(fields("metadata.name=styx", &node) && !fields("metadata.name=x", &node));
    }
}
