//! `oceanid status`: the nodes as the cluster sees them.

use std::fmt::Write as _;

use anyhow::bail;

use super::context::Context;
use super::print;
use crate::cluster::Host;
use crate::cluster::Role;
use crate::kube::{Census, Identity, Wanted};
use crate::releases::Releases;
use crate::remote::Remote as _;
use crate::report::Exit;
use crate::script::Script;

/// Asks the first server for every node; a node of cluster.toml that is missing or not well is an exit with 1.
pub async fn run(context: &Context) -> anyhow::Result<Exit> {
    let server = context.cluster.first_server();
    let releases = Releases::load(&Releases::path(&context.file))?;
    let version = releases.version(&context.cluster)?;
    let selection = context.whole(vec![server.name.clone()])?;
    let dialer = context.dialer()?;
    let fleet = context.fleet(&dialer, &selection, 1, "status");
    let members = match context.muster(&fleet).await {
        Ok(members) => members,
        Err(exit) => return Ok(exit),
    };
    let Some(member) = members.first() else { bail!("there is no server") };
    let ask = Script::new(Census::ask(Identity::Admin, &server.name));
    let output = member.remote.run(&ask, &|_: &str| ()).await?;
    if output.status != 0 {
        bail!("the API on `{}` does not answer: {}", server.name, output.stderr.trim());
    }
    let census = Census::read(&output.stdout)?;
    let rows: Vec<Row> = context
        .cluster
        .hosts
        .iter()
        .map(|host| Row::new(host, &Wanted::of(&context.cluster, host, version), &census))
        .collect();
    let foreign =
        census.nodes.iter().filter(|node| context.cluster.host(&node.metadata.name).is_none());
    let foreign: Vec<&str> = foreign.map(|node| node.metadata.name.as_str()).collect();
    if context.json {
        let nodes: Vec<_> = rows.iter().map(Row::json).collect();
        print(&format!(
            "{}\n",
            serde_json::json!({"schema": 1, "event": "status", "nodes": nodes, "foreign": foreign})
        ))?;
    } else {
        print(&table(&rows, &foreign))?;
    }
    let well = rows.iter().all(|row| row.trouble.is_none());
    Ok(if well { Exit::Done } else { Exit::Failed })
}

struct Row {
    name: String,
    role: &'static str,
    version: String,
    address: String,
    trouble: Option<String>,
}

impl Row {
    fn new(host: &Host, wanted: &Wanted, census: &Census) -> Self {
        let name = host.name.as_str();
        let role = match host.role {
            Role::Server => "server",
            Role::Agent => "agent",
        };
        let Some(node) = census.node(name) else {
            return Self {
                name: name.to_owned(),
                role,
                version: String::from("-"),
                address: String::from("-"),
                trouble: Some(String::from("not in the cluster")),
            };
        };
        let pressure = ["MemoryPressure", "DiskPressure", "PIDPressure"];
        let pressed = pressure.into_iter().find(|kind| node.condition(kind) == "True");
        let addresses = &node.status.addresses;
        let external = addresses.iter().find(|address| address.kind == "ExternalIP");
        let internal = addresses.iter().find(|address| address.kind == "InternalIP");
        Self {
            name: name.to_owned(),
            role,
            version: node.status.node_info.kubelet_version.clone(),
            address: external
                .or(internal)
                .map_or_else(|| String::from("-"), |found| found.address.clone()),
            trouble: census
                .unready(name, wanted, None)
                .or_else(|| census.unmarked(host))
                .or_else(|| pressed.map(str::to_owned))
                .or_else(|| node.spec.unschedulable.then(|| String::from("closed to new pods"))),
        }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name, "role": self.role, "version": self.version, "address": self.address,
            "well": self.trouble.is_none(), "trouble": self.trouble,
        })
    }
}

fn table(rows: &[Row], foreign: &[&str]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max(4);
    let mut text =
        format!("{:<width$}  {:<6}  {:<14}  {:<15}  STATE\n", "NODE", "ROLE", "VERSION", "ADDRESS");
    for row in rows {
        let state = row.trouble.as_deref().unwrap_or("Ready");
        let _ = writeln!(
            text,
            "{:<width$}  {:<6}  {:<14}  {:<15}  {state}",
            row.name, row.role, row.version, row.address
        );
    }
    if !foreign.is_empty() {
        let _ = writeln!(text, "not in cluster.toml: {}", foreign.join(", "));
    }
    text
}
