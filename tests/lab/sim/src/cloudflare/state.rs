//! What there is, in memory and as a file that others read.

use super::reply::Refusal;
use crate::k3s::random_hex;
use anyhow::Context;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The lists of the file.
const LISTS: [&str; 9] = [
    "zones",
    "tokens",
    "tunnels",
    "dns",
    "access_apps",
    "access_policies",
    "service_tokens",
    "rulesets",
    "accounts",
];

/// What there is.
#[derive(Debug)]
pub struct State {
    all: Value,
    path: PathBuf,
}

impl State {
    /// Reads the file; what it lacks is empty.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut all: Value = serde_json::from_str(&text).context("the state is no JSON")?;
        for list in LISTS {
            if !all[list].is_array() {
                all[list] = json!([]);
            }
        }
        Ok(Self { all, path: path.to_owned() })
    }

    /// Writes the file: whoever reads it sees the old or the new one.
    pub fn write(&mut self) -> anyhow::Result<()> {
        self.expand();
        let beside = self.path.with_extension("new");
        std::fs::write(&beside, serde_json::to_vec_pretty(&self.all)?)?;
        Ok(std::fs::rename(&beside, &self.path)?)
    }

    /// Writes out in each application what its reusable policies say.
    pub fn expand(&mut self) {
        let policies = self.list("access_policies").clone();
        for app in self.list_mut("access_apps") {
            let refs = app["policy_refs"].as_array().cloned().unwrap_or_default();
            let shown = refs.iter().map(|one| {
                let kept = policies.iter().find(|policy| policy["id"] == one["id"]);
                let mut shown = kept.cloned().unwrap_or_else(|| one.clone());
                shown["reusable"] = json!(kept.is_some());
                shown["precedence"] = one["precedence"].clone();
                shown
            });
            app["policies"] = shown.collect();
        }
    }

    /// A list.
    pub fn list(&self, name: &str) -> &Vec<Value> {
        self.all[name].as_array().expect("every list is there")
    }

    /// A list, to be changed.
    pub fn list_mut(&mut self, name: &str) -> &mut Vec<Value> {
        self.all[name].as_array_mut().expect("every list is there")
    }

    /// How many things a page may hold at most.
    pub fn page(&self) -> usize {
        self.all["per_page"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(100)
    }

    /// The thing with that id.
    pub fn find(&self, list: &str, id: &str) -> Result<&Value, Refusal> {
        let found = self.list(list).iter().find(|one| one["id"] == id);
        found.ok_or_else(|| Refusal::new(404, 1003, format!("{list}: {id} not found")))
    }

    /// The thing with that id, to be changed.
    pub fn find_mut(&mut self, list: &str, id: &str) -> Result<&mut Value, Refusal> {
        let found = self.list_mut(list).iter_mut().find(|one| one["id"] == id);
        found.ok_or_else(|| Refusal::new(404, 1003, format!("{list}: {id} not found")))
    }

    /// Takes the thing with that id away.
    pub fn remove(&mut self, list: &str, id: &str) -> Result<Value, Refusal> {
        self.find(list, id)?;
        self.list_mut(list).retain(|one| one["id"] != id);
        Ok(json!({ "id": id }))
    }

    /// The zone with that id.
    pub fn zone(&self, id: &str) -> Result<&Value, Refusal> {
        self.find("zones", id)
            .map_err(|_| Refusal::new(403, 9109, "Unauthorized to access requested resource"))
    }
}

/// A new id: 32 hexadecimal digits.
pub fn id() -> String {
    random_hex(16)
}

/// A new id in the form of a UUID.
pub fn uuid() -> String {
    let hex = random_hex(16);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// Copies those of `fields` that `from` has.
pub fn copy(from: &Value, fields: &[&str], to: &mut Map<String, Value>) {
    for field in fields {
        if let Some(value) = from.get(*field) {
            to.insert((*field).to_owned(), value.clone());
        }
    }
}
