//! `k3s agent`: joining, staying, being refused for ever.

use crate::ground::{Host, Role, agent, answer, server, until};
use std::time::Duration;

const PLAIN: &str = "cluster-init: true\n";
const FILES: &str = "/var/lib/rancher/k3s/agent";

fn with_token(server: &Host, token: &str) -> Host {
    let host = server.beside("styx");
    host.configure(&format!("server: https://{}:6443\ntoken: {token}\n", server.address));
    host
}

fn token_of(server: &Host) -> String {
    server.must("cat /var/lib/rancher/k3s/server/node-token").trim().to_owned()
}

/// observed: Ready some seconds after; annotations; the not-ready taint outlasts Ready; facts 1.6.
#[test]
fn an_agent_joins_with_its_labels_and_taints() {
    let server = server(PLAIN);
    let more = "node-label: [tier=edge]\nnode-taint: [\"only=gpu:NoSchedule\"]\nnode-external-ip: 192.0.2.9\n";
    let mut agent = agent(&server, "styx", more);
    agent.start(Role::Agent);
    agent.ready();
    let node = server.node_is("styx", "True");
    assert_eq!(node["metadata"]["labels"]["tier"], "edge");
    let annotations = &node["metadata"]["annotations"];
    assert_eq!(annotations["k3s.io/hostname"], "styx");
    assert_eq!(annotations["k3s.io/internal-ip"], agent.address.as_str());
    let arguments = annotations["k3s.io/node-args"].as_str().expect("node-args");
    let arguments: Vec<String> = serde_json::from_str(arguments).expect("a list");
    assert_eq!(arguments.first().map(String::as_str), Some("agent"));
    assert!(arguments.contains(&"tier=edge".to_owned()), "{arguments:?}");
    assert!(!annotations.to_string().contains(&token_of(&server)), "the token is hidden");
    assert!(annotations["k3s.io/node-config-hash"].is_string());
    let address = |kind: &str| {
        let all = node["status"]["addresses"].as_array().expect("addresses");
        all.iter().find(|one| one["type"] == kind).map(|one| one["address"].clone())
    };
    assert_eq!(address("InternalIP"), Some(agent.address.as_str().into()));
    assert_eq!(address("ExternalIP"), Some("192.0.2.9".into()));
    let taints = until("only the configured taint to be left", || {
        let taints = server.node("styx")?["spec"]["taints"].clone();
        (taints.as_array()?.len() == 1).then_some(taints)
    });
    assert_eq!(taints[0]["key"], "only");
}

/// observed: `node.kubernetes.io/not-ready:NoExecute` for some seconds after Ready.
#[test]
fn the_not_ready_taint_outlasts_ready() {
    let server = server(PLAIN);
    let mut agent = agent(&server, "styx", "");
    agent.start(Role::Agent);
    let node = server.node_is("styx", "True");
    let taint = |node: &serde_json::Value| {
        let all = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        all.iter().any(|one| one["key"] == "node.kubernetes.io/not-ready")
    };
    assert!(taint(&node), "{node}");
    until("the taint to go", || (!taint(&server.node("styx")?)).then_some(()));
}

/// facts 1.11 and the node authorizer: what verify asks on an agent, through its own balancer.
#[test]
fn an_agent_may_read_its_own_node_through_its_balancer() {
    let server = server(PLAIN);
    let mut agent = agent(&server, "styx", "");
    agent.start(Role::Agent);
    agent.ready();
    server.node_is("styx", "True");
    let ask = |path: &str| {
        let text = agent.must(&format!(
            "curl -sS -w '\\n%{{http_code}}' --cacert {FILES}/server-ca.crt --cert {FILES}/client-kubelet.crt --key {FILES}/client-kubelet.key https://127.0.0.1:6444{path}"
        ));
        answer(&text)
    };
    let (code, node) = ask("/api/v1/nodes/styx");
    assert_eq!((code, node["metadata"]["name"].as_str()), (200, Some("styx")));
    let minor: u32 = {
        let version = node["status"]["nodeInfo"]["kubeletVersion"].as_str().expect("a version");
        version.split('.').nth(1).and_then(|part| part.parse().ok()).expect("a minor version")
    };
    if minor >= 32 {
        assert_eq!(ask("/api/v1/nodes/tethys").0, 403);
    }
    for file in ["client-ca.crt", "kubelet.kubeconfig", "etc/containerd/config.toml"] {
        agent.must(&format!("test -s {FILES}/{file}"));
    }
    assert_eq!(agent.must("curl -sk https://127.0.0.1:6444/ping"), "pong");
}

/// Kubernetes' node heartbeats: a lease of the node's name, which the node itself may read.
#[test]
fn a_node_renews_its_lease_while_it_lives() {
    let server = server(PLAIN);
    let mut agent = agent(&server, "styx", "");
    agent.start(Role::Agent);
    agent.ready();
    server.node_is("styx", "True");
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let renewed = || {
        let (code, lease) = server.api("", &format!("{leases}/styx"));
        let time = lease["spec"]["renewTime"].as_str().map(str::to_owned);
        time.filter(|_| code == 200 && lease["spec"]["holderIdentity"] == "styx")
    };
    let first = until("a lease", renewed);
    assert!(first.ends_with('Z') && first.contains('.'), "a time with microseconds: {first}");
    until("the lease to be renewed", || renewed().filter(|time| *time > first));
    let (code, all) = server.api("", leases);
    assert_eq!((code, all["items"].as_array().map(Vec::len)), (200, Some(2)));
    let ask = |name: &str| {
        agent.must(&format!(
            "curl -sS -o /dev/null -w '%{{http_code}}' --cacert {FILES}/server-ca.crt --cert {FILES}/client-kubelet.crt --key {FILES}/client-kubelet.key https://127.0.0.1:6444{leases}/{name}"
        ))
    };
    assert_eq!((ask("styx").as_str(), ask("tethys").as_str()), ("200", "403"));
    agent.kill();
    let last = server.node_is("styx", "Unknown");
    assert_eq!(last["metadata"]["name"], "styx");
    let then = renewed();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(renewed(), then, "a dead node renews nothing");
    server.must("k3s kubectl delete node styx");
    until("the lease to go", || (server.api("", &format!("{leases}/styx")).0 == 404).then_some(()));
}

/// facts 1.7: agents with the agent token, which a file of the server says.
#[test]
fn an_agent_token_from_a_file_lets_agents_in() {
    let host = Host::new("tethys");
    host.must("mkdir -p /etc/rancher/k3s; umask 077; printf 'only-for-agents\n' >/etc/rancher/k3s/agent-token");
    let mut host = host;
    host.configure("cluster-init: true\nagent-token-file: /etc/rancher/k3s/agent-token\n");
    host.start(Role::Server);
    host.ready();
    let given = host.must("cat /var/lib/rancher/k3s/server/agent-token");
    assert!(given.trim().ends_with("::node:only-for-agents"), "{given}");
    assert!(given.starts_with("K10"), "{given}");
    assert!(!host.must("cat /var/lib/rancher/k3s/server/node-token").contains("only-for-agents"));
    let mut agent = with_token(&host, given.trim());
    agent.start(Role::Agent);
    agent.ready();
    host.node_is("styx", "True");
}

/// observed: wrong CA hash, malformed token: every 2 s for ever.
#[test]
fn a_token_for_another_cluster_is_refused_for_ever() {
    let server = server(PLAIN);
    let token = token_of(&server);
    let hash = token[3..67].to_owned();
    let other = "0".repeat(64);
    let mut agent = with_token(&server, &token.replace(&hash, &other));
    agent.start(Role::Agent);
    let text =
        format!("token CA hash does not match the Cluster CA certificate hash: {other} != {hash}");
    agent.logged(&text, 2);
    assert!(!agent.notified());
    agent.stop();
    agent
        .configure(&format!("server: https://{}:6443\ntoken: K10abc::server:pw\n", server.address));
    agent.start(Role::Agent);
    agent.logged("invalid token CA hash length", 2);
    assert!(server.node("styx").is_none());
}

/// observed: wrong password: every 5 s for ever, and the server logs who.
#[test]
fn a_wrong_password_is_refused_for_ever() {
    let server = server(PLAIN);
    let token = token_of(&server);
    let wrong = format!("{}::server:wrong", token.split("::").next().expect("a hash"));
    let mut agent = with_token(&server, &wrong);
    agent.start(Role::Agent);
    let url = "https://127.0.0.1:6444/v1-k3s/config: 401 Unauthorized";
    agent.logged(&format!("failed to retrieve configuration from server: {url}"), 2);
    assert!(!agent.notified());
    server.logged("invalid username/password combination", 1);
}

/// observed: unreachable: the agent's own balancer answers, then resets.
#[test]
fn an_agent_waits_for_a_server_that_cannot_be_reached() {
    let mut server = server(PLAIN);
    let mut agent = agent(&server, "styx", "");
    server.stop();
    agent.start(Role::Agent);
    agent.logged("failed to get CA certs: Get", 2);
    assert!(agent.log().contains("https://127.0.0.1:6444/cacerts"), "{}", agent.log());
    assert!(agent.log().contains("connection reset by peer"), "{}", agent.log());
    assert!(!agent.notified(), "facts 1.4: a start that blocks for ever");
    server.start(Role::Server);
    agent.ready();
    server.node_is("styx", "True");
}

/// observed: re-imaged under an old name; `kubectl delete node` takes the password along.
#[test]
fn an_old_name_needs_its_password_until_the_node_is_deleted() {
    let server = server(PLAIN);
    let mut agent = agent(&server, "styx", "");
    agent.start(Role::Agent);
    agent.ready();
    server.node_is("styx", "True");
    let secret = "/api/v1/namespaces/kube-system/secrets/styx.node-password.k3s";
    let (code, kept) = server.api("", secret);
    assert_eq!(code, 200);
    assert!(kept["data"]["hash"].is_string(), "facts 1.5: {kept}");

    agent.stop();
    agent.must("rm -rf /etc/rancher/node/* /var/lib/rancher/*");
    agent.start(Role::Agent);
    agent.logged("Node password rejected, duplicate hostname", 2);
    assert!(!agent.notified());

    server.must("k3s kubectl delete node styx");
    until("the secret to go", || (server.api("", secret).0 == 404).then_some(()));
    agent.ready();
    server.node_is("styx", "True");
}

/// facts 1.13 and lab.md: a lost node is Unknown, and Ready again when it is back.
#[test]
fn a_lost_agent_is_unknown_and_comes_back() {
    let server = server(PLAIN);
    let mut agent = agent(&server, "styx", "");
    agent.start(Role::Agent);
    agent.ready();
    let first = server.node_is("styx", "True");
    agent.kill();
    let lost = server.node_is("styx", "Unknown");
    let taints = lost["spec"]["taints"].to_string();
    assert!(taints.contains("node.kubernetes.io/unreachable"), "{taints}");
    agent.start(Role::Agent);
    agent.ready();
    let back = server.node_is("styx", "True");
    assert_eq!(back["metadata"]["uid"], first["metadata"]["uid"], "the same node");
}

/// facts 1.6: labels and taints count at registration alone.
#[test]
fn a_restart_does_not_change_labels() {
    let server = server(PLAIN);
    let mut agent = agent(&server, "styx", "node-label: [tier=edge]\n");
    agent.start(Role::Agent);
    agent.ready();
    server.node_is("styx", "True");
    server.must("k3s kubectl label node styx tier=core --overwrite");
    agent.stop();
    agent.start(Role::Agent);
    agent.ready();
    std::thread::sleep(Duration::from_secs(1));
    let node = server.node_is("styx", "True");
    assert_eq!(node["metadata"]["labels"]["tier"], "core");
}
