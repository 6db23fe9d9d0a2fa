//! Arguments of Kubernetes' own programs, `name=value`, of which a later one replaces an earlier one.

use serde::Serialize;
use serde_json::Value;

/// Arguments of the kubelet, the API server or the controller manager, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Arguments(Vec<String>);

impl Arguments {
    /// Adds `name=value`.
    pub fn push(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push(format!("{name}={value}"));
    }

    /// Adds all of `more`.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find_map(|entry| entry.split_once('=').filter(|(own, _)| *own == name))
            .map(|(_, value)| value)
    }
}

/// The name of an argument as it was typed.
fn name(entry: &Value) -> Option<&str> {
    let entry = entry.as_str()?.trim_start_matches('-');
    Some(entry.split_once('=').map_or(entry, |(name, _)| name))
}

/// Our arguments without those that are named in theirs, then theirs.
pub fn merged(ours: &[Value], theirs: &[Value]) -> Vec<Value> {
    let kept = ours.iter().filter(|own| theirs.iter().all(|other| name(other) != name(own)));
    kept.chain(theirs).cloned().collect()
}
