//! Which steps on which hosts, by the names that the operator typed.

use anyhow::bail;

use crate::cloudflare;
use crate::cluster::Cluster;
use crate::steps;

/// Which steps on which hosts.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Names of nodes; all when empty.
    pub nodes: Vec<String>,
    /// Names of steps; all when empty.
    pub only: Vec<String>,
    /// Names of steps to leave out.
    pub skip: Vec<String>,
    /// What is done about nodes whose names new machines take.
    pub old_nodes: OldNodes,
}

/// What is done about a node whose name a new machine takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OldNodes {
    /// The new machine is refused.
    #[default]
    Kept,
    /// The node is removed from the cluster.
    Removed,
}

impl Selection {
    /// Checks every name against cluster.toml and the table of steps.
    ///
    /// # Errors
    /// At a name that is neither, with the nearest one that is.
    pub fn check(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let nodes: Vec<&str> = cluster.hosts.iter().map(|host| host.name.as_str()).collect();
        let groups = steps::GROUPS.iter().map(|(name, _)| *name);
        let steps = steps::ALL.iter().map(|entry| entry.name);
        let known: Vec<&str> = steps.chain(groups).chain([cloudflare::NAME]).collect();
        for name in &self.nodes {
            named("node", name, &nodes)?;
        }
        for name in self.only.iter().chain(&self.skip) {
            named("step", name, &known)?;
        }
        Ok(())
    }

    /// Whether the step of that name was selected.
    #[must_use]
    pub fn has_step(&self, name: &str) -> bool {
        let in_group = |typed: &str| {
            steps::GROUPS.iter().any(|(group, steps)| *group == typed && steps.contains(&name))
        };
        let has = |list: &[String]| list.iter().any(|step| step == name || in_group(step));
        (self.only.is_empty() || has(&self.only)) && !has(&self.skip)
    }

    /// Whether a step that concerns hosts was selected: otherwise none is contacted.
    #[must_use]
    pub fn has_hosts(&self) -> bool {
        steps::ALL.iter().any(|entry| self.has_step(entry.name))
    }

    /// Whether the node of that name was selected.
    #[must_use]
    pub fn has_node(&self, name: &str) -> bool {
        self.nodes.is_empty() || self.nodes.iter().any(|node| node == name)
    }
}

fn named(kind: &str, name: &str, known: &[&str]) -> anyhow::Result<()> {
    if known.contains(&name) {
        return Ok(());
    }
    let near = known.iter().copied().max_by(|one, other| {
        strsim::jaro_winkler(name, one).total_cmp(&strsim::jaro_winkler(name, other))
    });
    match near.filter(|near| strsim::jaro_winkler(name, near) > 0.75) {
        Some(near) => bail!("there is no {kind} `{name}`; did you mean `{near}`?"),
        None => bail!("there is no {kind} `{name}`; there are {}", known.join(", ")),
    }
}
