//! `oceanid validate`: cluster.toml alone, no host.

use super::{print, say};
use crate::cli::Global;
use crate::config::{self, Paint};
use crate::report::{Exit, Style};

/// Checks the file and says what is in it.
pub fn run(global: &Global) -> anyhow::Result<Exit> {
    let loaded = config::load(&global.file)?;
    let style = Style::of(&std::io::stderr());
    for warning in &loaded.warnings {
        say(&format!("{}\n", warning.render(paint(style))));
    }
    let cluster = &loaded.cluster;
    if global.json {
        let names: Vec<&str> = cluster.hosts.iter().map(|host| host.name.as_str()).collect();
        let warnings: Vec<&str> = loaded.warnings.iter().map(config::Diagnostic::title).collect();
        let answer = serde_json::json!({
            "schema": 1, "valid": true, "cluster": cluster.name, "nodes": names, "warnings": warnings,
        });
        print(&format!("{answer}\n"))?;
        return Ok(Exit::Done);
    }
    let servers = cluster.servers().count();
    print(&format!(
        "{} is valid: cluster `{}`, {servers} server{}, {} agents, k3s {}\n",
        global.file.display(),
        cluster.name,
        if servers == 1 { "" } else { "s" },
        cluster.hosts.len() - servers,
        cluster.k3s.version,
    ))?;
    Ok(Exit::Done)
}

fn paint(style: Style) -> Paint {
    match style {
        Style::Plain => Paint::Plain,
        Style::Colored => Paint::Coloured,
    }
}
