//! What every server of a cluster has alike: its authorities.

use super::layout::Paths;
use super::pki;
use serde_json::{Map, Value, json};
use std::fs;

const FILES: &[&str] = &[
    "tls/server-ca",
    "tls/client-ca",
    "tls/request-header-ca",
    "tls/etcd/server-ca",
    "tls/etcd/peer-ca",
];

/// Reads what another server begins with; nothing where a file is missing.
pub fn read(paths: &Paths) -> Option<Value> {
    let mut found = Map::new();
    for name in names() {
        found.insert(name.clone(), json!(fs::read_to_string(paths.server.join(name)).ok()?));
    }
    Some(Value::Object(found))
}

/// Writes what another server began with.
pub fn write(paths: &Paths, files: &Value) -> anyhow::Result<()> {
    for folder in ["", "tls", "tls/etcd"] {
        pki::folder(&paths.server.join(folder), 0o700)?;
    }
    for name in FILES {
        for (end, mode) in [("crt", 0o644), ("key", 0o600)] {
            let name = format!("{name}.{end}");
            let text = files[&name].as_str().unwrap_or_default();
            pki::write(&paths.server.join(name), text, mode)?;
        }
    }
    Ok(())
}

fn names() -> impl Iterator<Item = String> {
    FILES.iter().flat_map(|name| [format!("{name}.crt"), format!("{name}.key")])
}
