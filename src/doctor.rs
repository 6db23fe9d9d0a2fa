//! Why k3s does not run on a host: a table of known causes, matched with what the host shows.

use std::fmt;

use serde::Serialize;

use crate::cluster::{Cluster, Host, Role};

pub use causes::{CAUSES, Cause, Evidence, Proof};
pub use examine::{Examined, examine};
pub use journal::Journal;
pub use observed::{Answered, Disk, Observed, UnitSeen};
pub use script::{Since, ask};

mod causes;
mod commands;
mod examine;
mod journal;
mod observed;
mod script;
mod signs;
pub mod triton;

/// A cause that was found on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What the cause is called: part of the JSON schema.
    pub name: &'static str,
    /// The cause, in a sentence.
    pub cause: String,
    /// The line of the journal, or what was seen on the host, that shows it.
    pub evidence: Vec<String>,
    /// What to type next.
    pub command: String,
}

/// The findings for a host on which a change failed; travels with the error.
#[derive(Debug)]
pub struct Diagnosed {
    /// The nearest to the root first.
    pub findings: Vec<Finding>,
    /// The error itself, in its own words.
    pub error: String,
}

impl fmt::Display for Diagnosed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.error)
    }
}

/// A host, as the table looks at it.
#[derive(Debug)]
pub struct Patient<'a> {
    /// cluster.toml as meant.
    pub cluster: &'a Cluster,
    /// The host.
    pub host: &'a Host,
    /// What it showed.
    pub seen: Observed,
    /// What its k3s said.
    pub journal: Journal,
    /// What the first server knows of it.
    pub server: Known,
    /// The operator's clock when the host told its own, seconds since 1970.
    pub now: f64,
}

/// What the first server knows of a host.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The hash of the cluster's CA.
    pub ca: Option<String>,
    /// The node that has the host's name, if it is another machine.
    pub namesake: Option<Namesake>,
}

/// Another machine that is a node under the host's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namesake {
    /// The node's name.
    pub name: String,
    /// Its address in the cluster.
    pub address: String,
    /// Its machine-id.
    pub machine_id: String,
}

impl Patient<'_> {
    /// The name of its node: config.yaml's, else cluster.toml's.
    #[must_use]
    pub fn node(&self) -> &str {
        let own = self.seen.setting("node-name").and_then(serde_json::Value::as_str);
        own.unwrap_or(&self.host.name)
    }

    /// The unit that runs k3s there.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        self.host.role.unit()
    }

    /// The step that brings k3s about there.
    #[must_use]
    pub fn step(&self) -> &'static str {
        match self.host.role {
            Role::Server => "k3s-server",
            Role::Agent => "k3s-agent",
        }
    }

    /// The part of cluster.toml with further keys of its config.yaml.
    #[must_use]
    pub fn section(&self) -> &'static str {
        match self.host.role {
            Role::Server => "[k3s.server]",
            Role::Agent => "[k3s.agent]",
        }
    }
}

/// Every known cause that the host shows, the nearest to the root first; without one, that k3s does not run.
#[must_use]
pub fn diagnose(patient: &Patient<'_>) -> Vec<Finding> {
    let matched: Vec<(&Cause, Evidence)> =
        CAUSES.iter().filter_map(|cause| Some((cause, cause.evidence(patient)?))).collect();
    let explained: Vec<&str> =
        matched.iter().flat_map(|(cause, _)| cause.explains).copied().collect();
    let mut findings: Vec<Finding> = matched
        .into_iter()
        // What the host itself shows is true whatever else is.
        .filter(|(cause, found)| found.shown.is_some() || !explained.contains(&cause.name))
        .map(|(cause, found)| Finding {
            name: cause.name,
            cause: (cause.meaning)(patient),
            evidence: found.said.into_iter().chain(found.shown).collect(),
            command: (cause.command)(patient),
        })
        .collect();
    if findings.is_empty() {
        findings.extend(not_running(patient));
    }
    findings
}

/// k3s is there and does not run, for a reason that the table does not know.
fn not_running(patient: &Patient<'_>) -> Option<Finding> {
    let state = &patient.seen.unit;
    if !state.is_installed() || state.is_active() {
        return None;
    }
    let (unit, host) = (patient.unit(), &patient.host.name);
    let mut evidence = vec![format!("{unit} is {state}")];
    evidence.extend(patient.journal.worst());
    let command = if state.active == "inactive" {
        format!("`oceanid bootstrap --only {} {host}` starts it", patient.step())
    } else {
        format!("on {host}, `journalctl -u {unit} -n 100` shows all that it said")
    };
    Some(Finding {
        name: "not-running",
        cause: String::from("k3s does not run, and none of the known causes shows"),
        evidence,
        command,
    })
}
