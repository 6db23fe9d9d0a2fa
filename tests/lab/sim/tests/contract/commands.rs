//! The commands beside server and agent.

use crate::ground::{Role, said, server};
use serde_json::Value;

/// facts 1.7: an expiring token in the full form; an agent may join with it.
#[test]
fn a_created_token_joins_an_agent() {
    let server = server("cluster-init: true\n");
    let token = server.must("k3s token create --ttl 1h --description contract");
    let full = server.must("cat /var/lib/rancher/k3s/server/token");
    let hash = full.split("::").next().expect("a hash");
    let rest = token.trim().strip_prefix(hash).and_then(|rest| rest.strip_prefix("::"));
    let rest = rest.expect("a token of this cluster");
    assert_eq!((rest.len(), rest.find('.')), (23, Some(6)), "{rest}");
    let listed = server.must("k3s token list");
    assert!(listed.contains(&rest[..6]) && listed.contains("contract"), "{listed}");

    let mut agent = server.beside("styx");
    let (address, token) = (&server.address, token.trim());
    agent.configure(&format!(
        "server: https://{address}:6443
token: {token}
"
    ));
    agent.start(Role::Agent);
    agent.ready();
    server.node_is("styx", "True");
}

/// observed: `etcd-snapshot save --name x` and `ls`; facts 1.12.
#[test]
fn a_snapshot_is_saved_and_listed() {
    let host = server("cluster-init: true\n");
    host.node_is("tethys", "True");
    host.must("k3s etcd-snapshot save --name before");
    let name = host.must("ls /var/lib/rancher/k3s/server/db/snapshots | grep '^before-tethys-'");
    let listed = host.must("k3s etcd-snapshot ls");
    let row = listed.lines().find(|row| row.starts_with(name.trim())).expect("its row");
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert!(cells[1].starts_with("file:///var/lib/rancher/k3s/server/db/snapshots/"), "{row}");
    assert!(cells[2].parse::<u64>().is_ok() && cells[3].contains('T'), "{row}");
}

/// facts 1.10: without embedded etcd there are no snapshots.
#[test]
fn sqlite_has_no_snapshots() {
    let host = server("");
    host.node_is("tethys", "True");
    let refused = host.run("k3s etcd-snapshot save");
    assert!(!refused.status.success(), "{}", said(&refused));
}

/// facts 1.12: `certificate check --output json` exists; leaves last a year.
#[test]
fn certificates_are_listed_with_their_end() {
    let host = server("cluster-init: true\n");
    let text = host.must("k3s certificate check --output json");
    serde_json::from_str::<Value>(&text).expect("JSON");
    assert!(text.contains("client-admin.crt"), "{text}");
    let end = host
        .must("openssl x509 -noout -enddate -in /var/lib/rancher/k3s/server/tls/client-admin.crt");
    let command = format!("date -ud '{}' +%s", end.trim().trim_start_matches("notAfter="));
    let left: i64 = host.must(&command).trim().parse::<i64>().expect("seconds")
        - host.must("date +%s").trim().parse::<i64>().expect("seconds");
    assert!((360..=366).contains(&(left / 86_400)), "{left}");
}

/// facts 1.12: `secrets-encrypt status`.
#[test]
fn encryption_of_secrets_is_reported() {
    let host = server("cluster-init: true\nsecrets-encryption: true\n");
    host.node_is("tethys", "True");
    let status = host.must("k3s secrets-encrypt status");
    assert!(status.contains("Encryption Status: Enabled"), "{status}");
    assert_eq!(
        host.must("stat -c %a /var/lib/rancher/k3s/server/cred/encryption-config.json").trim(),
        "600"
    );
}
