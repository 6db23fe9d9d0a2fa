//! Several servers: how they join, what they share, and what a majority is for.

use crate::ground::{Host, Role, agent, condition, further, server, until};
use std::time::Duration;

const FIRST: &str = "cluster-init: true\n";

fn joined(first: &Host, name: &str) -> Host {
    let mut host = further(first, name, "");
    host.start(Role::Server);
    host.ready();
    host
}

fn is_voter(asked: &Host, name: &str) {
    until(&format!("{name} to be a voter"), || {
        let node = asked.node(name)?;
        let member = node["metadata"]["labels"]["node-role.kubernetes.io/etcd"] == "true"
            && node["metadata"]["annotations"]["etcd.k3s.cattle.io/node-name"]
                .as_str()
                .is_some_and(|text| text.starts_with(&format!("{name}-")));
        (member && condition(&node, "EtcdIsVoter")? == "True").then_some(())
    });
}

fn etcd_is(host: &Host, state: &str) {
    until(&format!("etcd to be {state} for {}", host.name), || {
        let output = host.run(
            "tls=/var/lib/rancher/k3s/server/tls; curl -s --cacert $tls/server-ca.crt --cert $tls/client-admin.crt --key $tls/client-admin.key 'https://127.0.0.1:6443/readyz?verbose'",
        );
        String::from_utf8_lossy(&output.stdout).contains(state).then_some(())
    });
}

/// k3s `pkg/etcd`: label, annotation and condition of a member; facts 1.8: 2379 and 2380.
#[test]
fn three_servers_share_everything_and_outlive_the_first() {
    let mut first = server(FIRST);
    is_voter(&first, "tethys");
    let second = joined(&first, "styx");
    is_voter(&first, "styx");
    let third = joined(&first, "meliae");
    is_voter(&first, "meliae");
    for path in ["token", "tls/server-ca.crt", "tls/client-ca.key"] {
        let read = |host: &Host| host.must(&format!("cat /var/lib/rancher/k3s/server/{path}"));
        assert_eq!(read(&first), read(&third), "{path}");
    }
    for (host, label) in [(&first, "a"), (&second, "b"), (&third, "c")] {
        host.must(&format!("k3s kubectl label node tethys {label}=yes"));
        etcd_is(host, "[+]etcd ok");
    }
    assert_eq!(second.node("tethys").expect("a node")["metadata"]["labels"]["c"], "yes");
    let mut agent = agent(&first, "calypso", "");
    agent.start(Role::Agent);
    first.node_is("calypso", "True");
    // Its balancer asks now and then which servers there are.
    std::thread::sleep(Duration::from_secs(3));
    first.kill();
    until("the others to go on", || {
        second
            .run("k3s kubectl label node styx --overwrite after=yes")
            .status
            .success()
            .then_some(())
    });
    third.node_is("tethys", "Unknown");
    second.node_is("calypso", "True");
    first.start(Role::Server);
    first.ready();
    assert_eq!(first.node("styx").expect("a node")["metadata"]["labels"]["after"], "yes");
    second.node_is("tethys", "True");
}

/// etcd: a majority is needed; the API server's own checks say so.
#[test]
fn without_a_majority_nothing_is_written_and_readyz_says_so() {
    let first = server(FIRST);
    let mut second = joined(&first, "styx");
    is_voter(&first, "styx");
    second.kill();
    etcd_is(&first, "[-]etcd failed: reason withheld");
    assert!(!first.run("k3s kubectl label node tethys lost=yes").status.success());
    assert_eq!(first.must("curl -sk https://127.0.0.1:6443/ping"), "pong");
    second.start(Role::Server);
    second.ready();
    etcd_is(&first, "[+]etcd ok");
}

/// facts 1.7: only the server token makes a server.
#[test]
fn the_agents_token_makes_no_server() {
    let first = server("cluster-init: true\ntoken: servers-secret\nagent-token: agents-secret\n");
    let token = first.must("cat /var/lib/rancher/k3s/server/agent-token");
    let mut host = first.beside("styx");
    let server = &first.address;
    host.configure(&format!("server: https://{server}:6443\ntoken: {}\n", token.trim()));
    host.start(Role::Server);
    assert_ne!(host.exit_code(), 0);
    host.logged("401 Unauthorized", 1);
    assert!(!host.notified());
}

/// observed of agents, and the same code: the hash in the token is compared.
#[test]
fn a_token_of_another_cluster_makes_no_server() {
    let first = server(FIRST);
    let mut host = first.beside("styx");
    let (server, hash) = (&first.address, "a".repeat(64));
    host.configure(&format!("server: https://{server}:6443\ntoken: K10{hash}::server:pw\n"));
    host.start(Role::Server);
    assert_ne!(host.exit_code(), 0);
    host.logged("token CA hash does not match the Cluster CA certificate hash", 1);
}

/// facts 1.6: what must be identical on all servers.
#[test]
fn critical_settings_must_be_those_of_the_first() {
    let first = server("cluster-init: true\nsecrets-encryption: true\n");
    let mut host = further(&first, "styx", "secrets-encryption: false\n");
    host.start(Role::Server);
    assert_ne!(host.exit_code(), 0);
    host.logged("critical configuration value mismatch between servers", 1);
}
