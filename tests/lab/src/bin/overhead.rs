//! How much of a first `oceanid bootstrap` is oceanid's own: not downloads, not k3s that starts.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::{Lab, Topology};
use serde_json::Value;
use toml_edit::Item;

/// How much of it may be oceanid's own, for four nodes.
const AT_MOST: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let program = std::env::args().nth(1).context("overhead PROGRAM")?;
    let program = fs::canonicalize(program)?;
    let lab = Lab::up(Topology::four())?;
    let folder = lab.dir().join("operator");
    fs::create_dir(&folder)?;
    let toml = lab.cluster_toml()?;
    fs::write(folder.join("cluster.toml"), toml.to_string())?;
    let names = toml.document.get("node").and_then(Item::as_array_of_tables).context("no nodes")?;
    let names: Vec<String> =
        names.iter().filter_map(|node| Some(node.get("name")?.as_str()?.to_owned())).collect();
    let begun = Instant::now();
    let mut child = Command::new(program)
        .args(["bootstrap", "--yes", "--json"])
        .current_dir(&folder)
        .envs(lab.environment())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut hosts = Hosts::default();
    let stdout = child.stdout.take().context("its stdout is a pipe")?;
    for line in BufReader::new(stdout).lines() {
        hosts.hear(&serde_json::from_str(&line?)?, begun.elapsed());
    }
    let took = begun.elapsed();
    if !child.wait()?.success() {
        bail!("the bootstrap failed");
    }
    hosts.print(&names, took)
}

/// What a change waited for that is none of oceanid's doing, and when it was over.
struct Wait {
    kind: &'static str,
    took: Duration,
    over: Duration,
}

/// What was heard of each host.
#[derive(Default)]
struct Hosts {
    waits: BTreeMap<String, Vec<Wait>>,
    /// When what a host needs for itself was done.
    ground: BTreeMap<String, Duration>,
    ended: BTreeMap<String, Duration>,
}

impl Hosts {
    fn hear(&mut self, event: &Value, at: Duration) {
        let text = |key: &str| event[key].as_str().unwrap_or_default();
        let host = text("host").to_owned();
        if text("event") != "change-done" || ["nodes", "baseline"].contains(&text("step")) {
            return;
        }
        self.ended.insert(host.clone(), at);
        if !text("step").starts_with("k3s") {
            self.ground.insert(host.clone(), at);
        }
        if let Some(kind) = kind(text("subject")) {
            let took = Duration::from_millis(event["took-ms"].as_u64().unwrap_or_default());
            self.waits.entry(host).or_default().push(Wait { kind, took, over: at });
        }
    }

    /// The longest way is that of the agent that ends last: its own ground or the server, whichever is done later, and
    /// then the rest of the agent.
    fn print(&self, names: &[String], took: Duration) -> Result<()> {
        let (server, agents) = names.split_first().context("no nodes")?;
        let last = agents.iter().max_by_key(|name| self.ended.get(*name)).context("no agents")?;
        let up = self.ended.get(server).copied().unwrap_or_default();
        let ground = self.ground.get(last).copied().unwrap_or_default();
        println!("| on the longest way | downloads and packages | k3s starts |\n|---|---:|---:|");
        let mut others = Duration::ZERO;
        let server_first = (server, up >= ground, Duration::ZERO);
        let agent = (last, true, if up >= ground { up } else { Duration::ZERO });
        for (name, counts, from) in [server_first, agent] {
            let of = |kind| -> Duration {
                let waits = self.waits.get(name).into_iter().flatten();
                let waits = waits.filter(|wait| counts && wait.kind == kind && wait.over > from);
                waits.map(|wait| wait.took.min(wait.over.saturating_sub(from))).sum()
            };
            let (downloads, starts) = (of("download"), of("start"));
            others += downloads + starts;
            let (downloads, starts) = (downloads.as_secs_f64(), starts.as_secs_f64());
            println!("| {name} | {downloads:.1} s | {starts:.1} s |");
        }
        let own = took.saturating_sub(others);
        println!(
            "\nfour bare nodes in {:.1} s, of which oceanid's own: {:.1} s (at most {} s)",
            took.as_secs_f64(),
            own.as_secs_f64(),
            AT_MOST.as_secs()
        );
        Ok(())
    }
}

/// What a change waits for that is none of oceanid's doing.
fn kind(subject: &str) -> Option<&'static str> {
    let starts = |words: &[&str]| words.iter().any(|word| subject.starts_with(word));
    if starts(&["package", "program ", "time"]) {
        Some("download")
    } else if starts(&["unit k3s", "node "]) {
        Some("start")
    } else {
        None
    }
}
