//! `k3s server`: what it makes, what it serves, what survives.

use crate::ground::{Host, Role, answer, server};

const PLAIN: &str = "cluster-init: true\n";

/// observed: `k3s --version`; two lines, the version third word of the first.
#[test]
fn version_is_said_in_two_lines() {
    let said = Host::new("tethys").must("k3s --version");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("k3s version v1.") && lines[0].contains("+k3s"), "{said}");
    assert!(lines[1].starts_with("go version go1."), "{said}");
}

/// observed: unit active (notify) once up; `node-token` appears only then; facts 1.13.
#[test]
fn readiness_is_notified_when_the_token_is_there_and_the_server_answers() {
    let mut host = Host::new("tethys");
    host.configure(PLAIN);
    host.start(Role::Server);
    host.ready();
    host.must("test -L /var/lib/rancher/k3s/server/node-token");
    assert_eq!(host.must("curl -sk https://127.0.0.1:6443/ping"), "pong");
    host.node_is("tethys", "True");
}

/// observed: open `/ping` and `/cacerts`; 401 and a Status, 403 for the supervisor; facts 1.13.
#[test]
fn only_ping_and_cacerts_are_open() {
    let host = server(PLAIN);
    let ask = |path: &str, more: &str| {
        let command = format!("curl -sk {more} https://127.0.0.1:6443{path}");
        host.must(&command)
    };
    let kind = ask("/ping", "-o /dev/null -w '%{http_code} %{content_type}'");
    assert!(kind.starts_with("200 text/plain"), "{kind}");
    let on_disk = host.must("cat /var/lib/rancher/k3s/server/tls/server-ca.crt");
    assert_eq!(ask("/cacerts", ""), on_disk);
    for path in ["/readyz", "/livez", "/version", "/api/v1/nodes"] {
        let (code, status) = answer(&ask(path, "-w '\\n%{http_code}'"));
        assert_eq!((code, status["kind"].as_str()), (401, Some("Status")), "{path}");
        assert_eq!(
            (&status["reason"], &status["status"]),
            (&"Unauthorized".into(), &"Failure".into())
        );
    }
    assert_eq!(ask("/v1-k3s/config", "-o /dev/null -w '%{http_code}'"), "403");
    let wrong = ask("/v1-k3s/config", "-u node:wrong -o /dev/null -w '%{http_code}'");
    assert_eq!(wrong, "401");
    host.logged("invalid username/password combination", 1);
}

/// observed: form of the token; its 64 hex digits are the sha256 of the bytes of `/cacerts`.
#[test]
fn the_token_holds_the_hash_of_the_served_authority() {
    let host = server(PLAIN);
    let token = host.must("cat /var/lib/rancher/k3s/server/token");
    let hash = host.must("curl -sk https://127.0.0.1:6443/cacerts | sha256sum | cut -c1-64");
    let password = token.trim().strip_prefix(&format!("K10{}::server:", hash.trim()));
    let password = password.expect("the hash in the token");
    assert_eq!(password.len(), 32);
    assert!(password.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let target = host.must("readlink /var/lib/rancher/k3s/server/node-token");
    assert!(target.trim().ends_with("server/token"), "{target}");
    let agent = host.must("cat /var/lib/rancher/k3s/server/agent-token");
    assert_eq!(agent, token, "without an agent token it is the server's");
}

/// observed: modes.
#[test]
fn secrets_are_for_root_alone() {
    let host = server(PLAIN);
    for (path, mode) in [
        ("/etc/rancher/k3s/k3s.yaml", "600"),
        ("/var/lib/rancher/k3s", "755"),
        ("/var/lib/rancher/k3s/server", "700"),
        ("/var/lib/rancher/k3s/server/token", "600"),
        ("/var/lib/rancher/k3s/server/db/etcd", "700"),
        ("/var/lib/rancher/k3s/server/tls/client-admin.key", "600"),
        ("/etc/rancher/node/password", "600"),
    ] {
        assert_eq!(host.must(&format!("stat -c %a {path}")).trim(), mode, "{path}");
    }
}

/// facts 1.5 and 1.6: the admin kubeconfig, its server and its mode.
#[test]
fn the_admin_kubeconfig_works_and_has_the_mode_that_was_asked_for() {
    let host = server("cluster-init: true\nwrite-kubeconfig-mode: \"0640\"\n");
    let path = "/etc/rancher/k3s/k3s.yaml";
    assert_eq!(host.must(&format!("stat -c %a {path}")).trim(), "640");
    let text = host.must(&format!("cat {path}"));
    assert!(text.contains("server: https://127.0.0.1:6443\n"), "{text}");
    assert!(text.contains("current-context: default\n"), "{text}");
    let ready = host.must("k3s kubectl get --raw '/readyz?verbose'");
    assert!(ready.lines().filter(|line| line.ends_with(" ok")).all(|line| line.starts_with("[+]")));
    assert_eq!(ready.lines().last(), Some("readyz check passed"));
}

/// facts 1.6: the file is YAML 1.1, so that a bare 0600 is 384 and not the mode.
#[test]
fn a_bare_octal_mode_is_not_what_it_looks_like() {
    let host = server("cluster-init: true\nwrite-kubeconfig-mode: 0640\n");
    let mode = host.must("stat -c %a /etc/rancher/k3s/k3s.yaml");
    assert_ne!(mode.trim(), "640");
}

/// facts 1.7: names and addresses that clients use must be in tls-san.
#[test]
fn the_certificate_is_valid_for_the_names_in_tls_san() {
    let host = server("cluster-init: true\ntls-san: [api.example.com, 192.0.2.7]\n");
    let ask = |name: &str| {
        let ca = "/var/lib/rancher/k3s/server/tls/server-ca.crt";
        let to = format!("--resolve {name}:6443:127.0.0.1 --connect-to ::127.0.0.1:6443");
        host.run(&format!("curl -s --cacert {ca} {to} https://{name}:6443/ping"))
    };
    for name in ["api.example.com", "192.0.2.7", "tethys", "localhost", &host.address] {
        assert!(ask(name).status.success(), "{name}");
    }
    assert!(!ask("other.example.com").status.success());
}

/// facts 1.7: a short token gives the password; agents may get a token of their own.
#[test]
fn configured_tokens_become_the_passwords() {
    let more = "cluster-init: true\ntoken: servers-secret\nagent-token: agents-secret\n";
    let host = server(more);
    let read = |name: &str| host.must(&format!("cat /var/lib/rancher/k3s/server/{name}"));
    assert!(read("token").trim().ends_with("::server:servers-secret"));
    assert!(read("agent-token").trim().ends_with("::node:agents-secret"));
    let ask = |who: &str| {
        let out = "-o /dev/null -w '%{http_code}'";
        host.must(&format!("curl -sk {out} -u {who} https://127.0.0.1:6443/v1-k3s/config"))
    };
    assert_eq!(ask("node:agents-secret"), "200");
    assert_eq!(ask("node:nonsense"), "401");
}

/// A restart is no new cluster; facts 1.12 (certificates are kept until they near their end).
#[test]
fn a_restart_keeps_the_authority_the_token_and_the_nodes() {
    let mut host = server(PLAIN);
    host.node_is("tethys", "True");
    host.must("k3s kubectl label node tethys kept=yes");
    let seen = |host: &Host| {
        let node = host.node("tethys").expect("the node");
        let token = host.must("cat /var/lib/rancher/k3s/server/token");
        (node["metadata"]["uid"].clone(), node["metadata"]["labels"]["kept"].clone(), token)
    };
    let before = seen(&host);
    host.kill();
    host.start(Role::Server);
    host.ready();
    assert_eq!(seen(&host), before);
    host.node_is("tethys", "True");
}

/// predecessor: roles `control-plane,etcd`; the value of the labels is `true`. k3s#12395 took
/// `master` away.
#[test]
fn the_server_has_its_roles() {
    let host = server(PLAIN);
    host.node_is("tethys", "True");
    let labels = crate::ground::until("the roles", || {
        let labels = host.node("tethys")?["metadata"]["labels"].clone();
        labels.get("node-role.kubernetes.io/etcd")?;
        Some(labels)
    });
    assert_eq!(labels["node-role.kubernetes.io/control-plane"], "true");
    assert_eq!(labels["node-role.kubernetes.io/etcd"], "true");
    assert_eq!(labels["kubernetes.io/hostname"], "tethys");
}
