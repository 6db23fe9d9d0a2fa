//! Looking at a host: one script there, and at most one more on the first server.

use std::time::{SystemTime, UNIX_EPOCH};

use super::observed::Observed;
use super::script::{Since, ask, ask_server};
use super::{Finding, Known, Namesake, Patient, diagnose};
use crate::cluster::{Cluster, Host};
use crate::kube::{self, Node};
use crate::remote::{Remote, RemoteError};

/// What came of looking at a host.
#[derive(Debug)]
pub struct Examined {
    /// What was found; nothing on a host that is well.
    pub findings: Vec<Finding>,
    /// k3s is on the host.
    pub installed: bool,
}

/// Looks at `host` without changing anything; `server` is the first server, if it can be asked.
///
/// # Errors
/// When the host does not answer.
pub async fn examine<R: Remote>(
    cluster: &Cluster,
    host: &Host,
    remote: &R,
    server: Option<&R>,
    known_ca: Option<String>,
    since: Since,
) -> Result<Examined, RemoteError> {
    let before = now();
    let output = remote.run(&ask(cluster, host, since), &|_: &str| ()).await?;
    let (seen, journal) = Observed::read(&output);
    // The clock is the first that the script tells; asking the API may take its time.
    let now = if (seen.clock - before).abs() < (seen.clock - now()).abs() { before } else { now() };
    let server_knows = Known { ca: known_ca, namesake: None };
    let mut patient = Patient { cluster, host, seen, journal, server: server_knows, now };
    if patient.journal.raw(&["Node password rejected"]).is_some()
        && let Some(server) = server
    {
        patient.server.namesake = namesake(server, &patient).await;
    }
    let installed = patient.seen.unit.is_installed();
    Ok(Examined { findings: diagnose(&patient), installed })
}

/// The node of the host's name, if it lives on another machine; a server that is down knows none.
async fn namesake<R: Remote>(server: &R, patient: &Patient<'_>) -> Option<Namesake> {
    let output = server.run(&ask_server(), &|_: &str| ()).await.ok()?;
    let nodes = kube::nodes(&output.stdout).ok()?;
    let node = nodes.into_iter().find(|node| node.metadata.name == patient.node())?;
    other_machine(node, &patient.seen.machine_id)
}

fn other_machine(node: Node, machine_id: &str) -> Option<Namesake> {
    let own = node.status.node_info.machine_id == machine_id;
    if own || node.condition("Ready") != "True" {
        return None;
    }
    let addresses = &node.status.addresses;
    let external = addresses.iter().find(|address| address.kind == "ExternalIP");
    let address = external.or_else(|| addresses.first());
    Some(Namesake {
        address: address.map(|found| found.address.clone()).unwrap_or_default(),
        machine_id: node.status.node_info.machine_id,
        name: node.metadata.name,
    })
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
