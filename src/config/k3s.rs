//! The k3s section.

use std::time::Duration;

use super::file::{BuiltIn, DatastoreKind, File};
use super::finding::Findings;
use super::further::{self, Unknown};
use super::network::{self, Networks};
use super::{cron, syntax};
use crate::cluster::{Datastore, Host, K3s, Role};

/// Reads the section.
pub fn read(
    file: &File,
    networks: Option<Networks>,
    hosts: &[Host],
    out: &mut Findings,
) -> Option<K3s> {
    let section = &file.k3s;
    let version = section.version.as_ref();
    if let Some(version) = version {
        out.read("version", version, syntax::version);
    }
    if let Some(endpoint) = &section.endpoint {
        out.read("endpoint", endpoint, syntax::host);
    }
    let tls_san = network::hosts("tls-san", &section.tls_san, out);
    cron::check(file, out);
    let unknown = if *section.allow_unknown.value() { Unknown::Taken } else { Unknown::Refused };
    let server = further::read(Role::Server, &section.server, unknown, out);
    let agent = further::read(Role::Agent, &section.agent, unknown, out);
    let endpoint = section.endpoint.as_ref().map(|endpoint| endpoint.value().clone());
    let networks = networks?;
    Some(K3s {
        version: version?.value().clone(),
        delivery: *section.delivery.value(),
        air_gap: *section.air_gap.value(),
        flannel_backend: word(section.flannel_backend.value()),
        pod_cidr: networks.pod,
        service_cidr: networks.service,
        endpoint: endpoint.or_else(|| first_server(hosts))?,
        tls_san,
        disable: section.disable.iter().map(|component| word(component.value())).collect(),
        datastore: match section.datastore.value() {
            DatastoreKind::BuiltIn(BuiltIn::Etcd) => Datastore::Etcd,
            DatastoreKind::BuiltIn(BuiltIn::Sqlite) => Datastore::Sqlite,
            DatastoreKind::External(endpoint) => Datastore::External(endpoint.clone()),
        },
        snapshot_schedule: section.snapshot_schedule.value().clone(),
        snapshot_retention: *section.snapshot_retention.value(),
        servers_apart: *section.servers_apart.value(),
        secrets_encryption: *section.secrets_encryption.value(),
        cis: *section.cis.value(),
        reserve: *section.reserve.value(),
        server,
        agent,
        ready: Duration::from_secs(*section.ready_seconds.value()),
    })
}

fn first_server(hosts: &[Host]) -> Option<String> {
    let server = hosts.iter().find(|host| host.role == Role::Server)?;
    let public = server.external_ip.map(|ip| ip.to_string());
    Some(public.unwrap_or_else(|| server.address.clone()))
}

/// The word that a choice is written as.
fn word(choice: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(choice).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
