//! Objects in a plan: as YAML, field by field, and never a secret.

use anyhow::Context;
use serde_json::Value;
use similar::TextDiff;

use super::Deed;
use crate::kube::fields;
use crate::kube::object::Object;

/// What a deed changes, as a diff of the fields that are ours or wanted.
pub fn of(deed: &Deed<'_>, sent: &Value) -> anyhow::Result<String> {
    let mut paths = fields::set_by(sent);
    paths.extend(deed.difference.released.iter().cloned());
    let before = match deed.live {
        Some(live) => yaml(&Value::Object(fields::extract(&live.body, &paths)))?,
        None => String::new(),
    };
    let after = yaml(&Value::Object(fields::extract(sent, &paths)))?;
    Ok(text(&format!("{}: {}", deed.wanted, deed.verb()), &before, &after))
}

/// What goes.
pub fn gone(object: &Object, before: &Value, verb: &str) -> anyhow::Result<String> {
    let fields = fields::extract(before, &fields::set_by(before));
    Ok(text(&format!("{object}: {verb}"), &yaml(&Value::Object(fields))?, ""))
}

fn text(head: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let hunks = diff.unified_diff().context_radius(2).to_string();
    let mut out = format!("@@ {head} @@\n");
    for line in hunks.lines().filter(|line| !line.starts_with("@@")) {
        out.push_str(line);
        out.push('\n');
    }
    out
}

fn yaml(value: &Value) -> anyhow::Result<String> {
    if value.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(String::new());
    }
    serde_saphyr::to_string(value).context("cannot write an object as YAML")
}
