//! `k3s etcd-snapshot save`, `ls` and `delete`.

use super::{block_on, flag, server_options};
use crate::k3s::kubectl::Api;
use crate::k3s::{node, pki};
use crate::{clock, log};
use jiff::Timestamp;
use std::fs;
use std::path::Path;

/// Runs `k3s etcd-snapshot`.
pub fn run(words: &[String]) -> Result<(), String> {
    let (options, paths) = server_options()?;
    let etcd = paths.server.join("db/etcd/state.db");
    if !etcd.exists() {
        return Err("etcd datastore disabled".to_owned());
    }
    let default = paths.server.join("db/snapshots");
    let folder = options.text("etcd-snapshot-dir").map_or(default, Into::into);
    match words.first().map(String::as_str) {
        Some("save") => save(words, &etcd, &folder, &node::name(&options)),
        Some("ls" | "list" | "l") => list(&folder),
        Some("delete") => delete(words.get(1..).unwrap_or_default(), &folder),
        _ => Err("a subcommand is needed: save, ls or delete".to_owned()),
    }
}

fn save(words: &[String], etcd: &Path, folder: &Path, node: &str) -> Result<(), String> {
    // Only a running server can take a snapshot of itself.
    block_on(async { Api::admin()?.object("/api/v1/nodes").await })?;
    let name = flag(words, "--name").unwrap_or("on-demand");
    let file = format!("{name}-{node}-{}", clock::unix());
    let wrong = |error: std::io::Error| format!("failed to save snapshot: {error}");
    pki::folder(folder, 0o700).map_err(|error| format!("{error:#}"))?;
    let text = fs::read_to_string(etcd).map_err(wrong)?;
    pki::write(&folder.join(&file), &text, 0o600).map_err(|error| format!("{error:#}"))?;
    log::info(format!("Snapshot {file} saved."));
    Ok(())
}

fn list(folder: &Path) -> Result<(), String> {
    let mut rows: Vec<[String; 4]> = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())?.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let made = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        rows.push([
            entry.file_name().to_string_lossy().into_owned(),
            format!("file://{}", entry.path().display()),
            metadata.len().to_string(),
            made.map(clock::rfc3339).unwrap_or_default(),
        ]);
    }
    rows.sort();
    rows.insert(0, ["Name", "Location", "Size", "Created"].map(str::to_owned));
    for row in rows {
        log::out(row.join(" "));
    }
    Ok(())
}

fn delete(names: &[String], folder: &Path) -> Result<(), String> {
    for name in names {
        fs::remove_file(folder.join(name))
            .map_err(|_| format!("snapshot {name} not found in {}", folder.display()))?;
        log::info(format!("Snapshot {name} deleted."));
    }
    Ok(())
}
