//! The k3s section, and the settings that must not stand among its further keys.

use std::time::Duration;

use serde_json::{Map, Value};

use super::file::{BuiltIn, DatastoreKind, File, Settings};
use super::finding::{Finding, Findings};
use super::mask::looks_secret;
use super::network::{self, Networks};
use super::syntax;
use crate::cluster::{Datastore, Host, K3s, Role};

/// Settings that oceanid writes itself, and the key to use instead.
const OURS: [(&str, &str); 18] = [
    ("server", "`k3s.endpoint` says where the API is"),
    ("cluster-init", "use `k3s.datastore`"),
    ("token", "oceanid reads the token from the first server"),
    ("token-file", "oceanid reads the token from the first server"),
    ("agent-token", "oceanid reads the token from the first server"),
    ("agent-token-file", "oceanid reads the token from the first server"),
    ("node-name", "use `node.name`"),
    ("node-ip", "use `node.node-ip`"),
    ("node-external-ip", "use `node.external-ip`"),
    ("flannel-iface", "use `node.interface`"),
    ("node-label", "use `node.labels`"),
    ("node-taint", "use `node.taints`"),
    ("flannel-backend", "use `k3s.flannel-backend`"),
    ("cluster-cidr", "use `cluster.pod-cidr`"),
    ("service-cidr", "use `cluster.service-cidr`"),
    ("tls-san", "use `k3s.tls-san`"),
    ("disable", "use `k3s.disable`"),
    ("config", "oceanid writes config.yaml itself"),
];

/// Settings that hold a secret, and how k3s takes it without one in cluster.toml.
const SECRET: [(&str, &str); 5] = [
    ("datastore-endpoint", "use `k3s.datastore`, with a reference to it"),
    ("vpn-auth", "use `vpn-auth-file` with the path of a file on the host"),
    ("etcd-s3-access-key", "use `etcd-s3-config-secret`"),
    ("etcd-s3-secret-key", "use `etcd-s3-config-secret`"),
    ("etcd-s3-session-token", "use `etcd-s3-config-secret`"),
];

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
    let server = settings("k3s.server", &section.server, out);
    let agent = settings("k3s.agent", &section.agent, out);
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

fn settings(section: &str, settings: &Settings, out: &mut Findings) -> Map<String, Value> {
    let mut read = Map::new();
    for (key, value) in settings {
        let typed = key.value().as_str();
        // `key+` appends to a list in k3s' own files.
        let name = typed.trim_start_matches('-').trim_end_matches('+').replace('_', "-");
        let finding = |title: String| Finding::error(key.span(), title);
        let flat = |value: &Value| !value.is_null() && !value.is_object() && !value.is_array();
        let fits = |value: &Value| match value {
            Value::Array(list) => list.iter().all(flat),
            other => flat(other),
        };
        if looks_secret(&name) || SECRET.iter().any(|(secret, _)| *secret == name) {
            out.hide(value.span());
        }
        if let Some((_, instead)) = OURS.iter().find(|(ours, _)| *ours == name) {
            let title = format!("`{name}` in `[{section}]` is set by oceanid");
            out.push(finding(title).hint(*instead));
        } else if let Some(instead) = secret(&name) {
            let title = format!("`{name}` in `[{section}]` holds a secret");
            out.push(finding(title).hint(instead));
        } else if typed.trim_end_matches('+') != name {
            let hint = format!("write `{name}`");
            out.push(finding(format!("`{typed}` is not how k3s writes a key")).hint(hint));
        } else if !fits(value.value()) {
            let title = format!("`{typed}` is neither a string, number, switch nor a list of them");
            out.push(finding(title).hint("k3s knows no tables in config.yaml"));
        }
        read.insert(key.value().clone(), value.value().clone());
    }
    read
}

/// What to do instead of writing a secret here.
fn secret(name: &str) -> Option<&'static str> {
    let known = SECRET.iter().find(|(secret, _)| *secret == name);
    if let Some((_, instead)) = known {
        return Some(instead);
    }
    // Names of a Kubernetes secret and of switches are no secrets.
    let harmless = ["etcd-s3-config-secret", "secrets-encryption", "secrets-encryption-provider"];
    (looks_secret(name) && !harmless.contains(&name))
        .then_some("on the servers, put it into /etc/rancher/k3s/config.yaml.d/, mode 0600")
}
