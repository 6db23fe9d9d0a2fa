//! `oceanid kubeconfig`: the administrator's kubeconfig, for use from here.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::context::Context;
use super::{print, say};
use crate::remote::Remote as _;
use crate::report::Exit;
use crate::script::Script;

/// Reads k3s' own kubeconfig and points it at the cluster's endpoint.
pub async fn run(context: &Context, out: Option<PathBuf>) -> anyhow::Result<Exit> {
    if let Some(path) = out.as_deref().filter(|path| path.exists()) {
        bail!("`{}` is there already; remove it or name another file", path.display());
    }
    let server = context.cluster.first_server();
    let selection = context.whole(vec![server.name.clone()])?;
    let dialer = context.dialer()?;
    let fleet = context.fleet(&dialer, &selection, 1, "kubeconfig");
    let members = match context.muster(&fleet).await {
        Ok(members) => members,
        Err(exit) => return Ok(exit),
    };
    let Some(member) = members.first() else { bail!("there is no server") };
    let output =
        member.remote.run(&Script::new("cat /etc/rancher/k3s/k3s.yaml\n"), &|_: &str| ()).await?;
    if output.status != 0 {
        bail!("`{}` has no kubeconfig: {}", server.name, output.stderr.trim());
    }
    let text = pointed(&output.stdout, &context.cluster.name, &context.cluster.k3s.endpoint)?;
    match out {
        Some(path) => {
            write(&path, &text)?;
            say(&format!(
                "wrote {}; try `kubectl --kubeconfig {} get nodes`",
                path.display(),
                path.display()
            ));
        }
        None => print(&text)?,
    }
    Ok(Exit::Done)
}

/// Names everything after the cluster, and lets it reach the API at `endpoint`.
fn pointed(yaml: &str, name: &str, endpoint: &str) -> anyhow::Result<String> {
    let mut config: Value =
        serde_saphyr::from_str(yaml).context("the server's kubeconfig cannot be read")?;
    let missing = || "the server's kubeconfig has not the form that k3s writes";
    for list in ["clusters", "contexts", "users"] {
        let entry = config.pointer_mut(&format!("/{list}/0")).with_context(missing)?;
        entry["name"] = json!(name);
    }
    *config.pointer_mut("/clusters/0/cluster/server").with_context(missing)? =
        json!(format!("https://{endpoint}:6443"));
    *config.pointer_mut("/contexts/0/context/cluster").with_context(missing)? = json!(name);
    *config.pointer_mut("/contexts/0/context/user").with_context(missing)? = json!(name);
    config["current-context"] = json!(name);
    Ok(serde_saphyr::to_string(&config)?)
}

/// Writes a file that nobody else can read; it is never there half.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&new);
    file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&new, path))
        .with_context(|| format!("cannot write `{}`", path.display()))
}
