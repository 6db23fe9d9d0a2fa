//! A node's labels and taints, through the API.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::output;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::cluster::Taint;
use crate::kube::{self, Identity, Node, NodeTaint};
use crate::script::{Body, Script, quote};

/// Names the labels that are ours on a node, so that one removed from cluster.toml goes away.
const OUR_LABELS: &str = "oceanid.io/labels";
/// Names the taints that are ours on a node, as `key:effect`.
const OUR_TAINTS: &str = "oceanid.io/taints";

const TAINTS: &str = "/spec/taints";

/// The labels and taints of one node; those of others are left alone.
#[derive(Debug)]
pub struct NodeSettings {
    node: String,
    labels: BTreeMap<String, String>,
    taints: Vec<Taint>,
}

impl NodeSettings {
    /// Requires `labels` and `taints` on `node`.
    #[must_use]
    pub fn new(node: &str, labels: &BTreeMap<String, String>, taints: &[Taint]) -> Self {
        Self { node: node.to_owned(), labels: labels.clone(), taints: taints.to_vec() }
    }

    fn wanted_taints(&self, node: &Node) -> Vec<NodeTaint> {
        let ours = listed(node, OUR_TAINTS);
        let is_wanted = |taint: &NodeTaint| self.taints.iter().any(|ours| same(ours, taint));
        let foreign = node.spec.taints.iter().filter(|taint| {
            !is_wanted(taint) && !ours.contains(&format!("{}:{}", taint.key, taint.effect).as_str())
        });
        let wanted = self.taints.iter().map(|taint| NodeTaint {
            key: taint.key.clone(),
            value: taint.value.clone(),
            effect: taint.effect.clone(),
            time_added: None,
        });
        foreign.cloned().chain(wanted).collect()
    }

    /// What changes in labels, with `null` for what goes.
    fn label_patch(&self, node: &Node) -> Map<String, Value> {
        let mut patch = Map::new();
        for (key, value) in &self.labels {
            if node.metadata.labels.get(key) != Some(value) {
                patch.insert(key.clone(), json!(value));
            }
        }
        for key in listed(node, OUR_LABELS) {
            if !self.labels.contains_key(key) && node.metadata.labels.contains_key(key) {
                patch.insert(key.to_owned(), Value::Null);
            }
        }
        patch
    }

    /// The lists of what is ours, where they are not as they should be.
    fn annotation_patch(&self, node: &Node) -> Map<String, Value> {
        let labels: Vec<&str> = self.labels.keys().map(String::as_str).collect();
        let taints: Vec<String> =
            self.taints.iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect();
        let mut patch = Map::new();
        for (key, list) in [(OUR_LABELS, labels.join(",")), (OUR_TAINTS, taints.join(","))] {
            let present = node.metadata.annotations.get(key).map_or("", String::as_str);
            if present != list {
                patch.insert(key.to_owned(), json!(list));
            }
        }
        patch
    }
}

/// The names in one of our lists on the node.
fn listed<'a>(node: &'a Node, annotation: &str) -> Vec<&'a str> {
    let list = node.metadata.annotations.get(annotation).map_or("", String::as_str);
    list.split(',').filter(|name| !name.is_empty()).collect()
}

fn same(ours: &Taint, theirs: &NodeTaint) -> bool {
    ours.key == theirs.key && ours.effect == theirs.effect
}

fn shown(taint: &NodeTaint) -> String {
    format!("taint {}={}:{}", taint.key, taint.value, taint.effect)
}

fn shown_diff(node: &Node, labels: &Map<String, Value>, taints: &[NodeTaint]) -> String {
    let mut text = String::new();
    for (key, value) in labels {
        if let Some(present) = node.metadata.labels.get(key) {
            let _ = writeln!(text, "- label {key}={present}");
        }
        if let Some(value) = value.as_str() {
            let _ = writeln!(text, "+ label {key}={value}");
        }
    }
    let gone = node.spec.taints.iter().filter(|taint| !taints.contains(taint));
    let new = taints.iter().filter(|taint| !node.spec.taints.contains(taint));
    for taint in gone {
        let _ = writeln!(text, "- {}", shown(taint));
    }
    for taint in new {
        let _ = writeln!(text, "+ {}", shown(taint));
    }
    text
}

/// A script that sends `patch` to the node, as a JSON patch.
fn send(node: &str, patch: Vec<Value>) -> Script {
    let url = kube::url(Identity::Admin, &format!("/api/v1/nodes/{node}?fieldManager=oceanid"));
    Script::new(format!(
        "answer=$({} -X PATCH -H 'Content-Type: application/json-patch+json' --data-binary {} {url}) || \
         {{ printf '%s\\n' \"$answer\" >&2; exit 1; }}\n",
        kube::curl(Identity::Admin),
        quote(&Value::Array(patch).to_string()),
    ))
}

impl Action for NodeSettings {
    fn subject(&self) -> String {
        format!("labels and taints of {}", self.node)
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(kube::get(Identity::Admin, &self.node))]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let seen = output(seen, 0)?;
        let nodes = if seen.status == 0 { kube::nodes(&seen.stdout)? } else { Vec::new() };
        let Some(node) = nodes.iter().find(|node| node.metadata.name == self.node) else {
            return Ok((!self.labels.is_empty() || !self.taints.is_empty()).then(|| self.later()));
        };
        let (labels, annotations) = (self.label_patch(node), self.annotation_patch(node));
        let taints = self.wanted_taints(node);
        let same_taints = taints.len() == node.spec.taints.len()
            && taints.iter().all(|taint| {
                node.spec.taints.iter().any(|present| {
                    (&present.key, &present.value, &present.effect)
                        == (&taint.key, &taint.value, &taint.effect)
                })
            });
        if labels.is_empty() && annotations.is_empty() && same_taints {
            return Ok(None);
        }
        let mut patch = map_patch("labels", &labels);
        patch.extend(map_patch("annotations", &annotations));
        if !same_taints {
            // The node's heartbeat may change anything else; only other taints than these are a conflict.
            let present = &node.spec.taints;
            if !present.is_empty() {
                patch.push(json!({"op": "test", "path": TAINTS, "value": present}));
            }
            patch.push(json!({"op": "add", "path": TAINTS, "value": taints}));
        }
        let diff = shown_diff(node, &labels, &taints);
        Ok(Some(Change {
            summary: format!("set {}", count(diff.lines().count())),
            diff: Some(diff),
            apply: send(&self.node, patch),
            undo: Undo::Run(send(&self.node, inverse(node, &labels, &annotations))),
        }))
    }
}

fn count(lines: usize) -> String {
    match lines {
        0 => String::from("the list of what is ours"),
        1 => String::from("1 value"),
        lines => format!("{lines} values"),
    }
}

impl NodeSettings {
    fn later(&self) -> Change {
        let mut diff = String::new();
        for (key, value) in &self.labels {
            let _ = writeln!(diff, "+ label {key}={value}");
        }
        for taint in &self.taints {
            let _ = writeln!(diff, "+ taint {}={}:{}", taint.key, taint.value, taint.effect);
        }
        let missing =
            format!("printf 'node %s is not in the cluster\\n' {} >&2\nexit 1\n", self.node);
        Change {
            summary: String::from("set once the node has joined"),
            diff: Some(diff),
            apply: Script::new(missing).stdin(Body::Later),
            undo: Undo::Never,
        }
    }
}

/// The operations that set, and where the value is `null` remove, entries of a map in `metadata`.
fn map_patch(map: &str, entries: &Map<String, Value>) -> Vec<Value> {
    let operations = entries.iter().map(|(key, value)| {
        let path = format!("/metadata/{map}/{}", key.replace('~', "~0").replace('/', "~1"));
        match value {
            Value::Null => json!({"op": "remove", "path": path}),
            value => json!({"op": "add", "path": path, "value": value}),
        }
    });
    operations.collect()
}

/// The patch that brings the node back to what it has now.
fn inverse(
    node: &Node,
    labels: &Map<String, Value>,
    annotations: &Map<String, Value>,
) -> Vec<Value> {
    let old = |present: &BTreeMap<String, String>, changed: &Map<String, Value>| {
        changed.keys().map(|key| (key.clone(), json!(present.get(key)))).collect::<Map<_, _>>()
    };
    let mut patch = map_patch("labels", &old(&node.metadata.labels, labels));
    patch.extend(map_patch("annotations", &old(&node.metadata.annotations, annotations)));
    patch.push(json!({"op": "add", "path": TAINTS, "value": node.spec.taints}));
    patch
}
