//! What a kubeconfig from elsewhere and a look at the nodes rely on.

use crate::ground::{Role, agent, said, server};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const SERVER: &str = "/var/lib/rancher/k3s/server";

/// The administrator's certificate opens the API under the name `kubernetes`, too, and tells the version.
#[test]
fn the_api_is_called_kubernetes_in_its_certificate() {
    let host = server("cluster-init: true\n");
    let to = "--resolve kubernetes:6443:127.0.0.1 https://kubernetes:6443/version";
    let who = format!("--cert {SERVER}/tls/client-admin.crt --key {SERVER}/tls/client-admin.key");
    let asked = host.run(&format!("curl -sS --cacert {SERVER}/tls/server-ca.crt {who} {to}"));
    assert!(said(&asked).contains("\"gitVersion\""), "{}", said(&asked));
}

/// facts 1.7 and 1.5: expiring tokens are secrets of a type of their own, their fields in base64.
#[test]
fn expiring_tokens_can_be_listed_apart_from_other_secrets() {
    let host = server("cluster-init: true\n");
    host.node_is("tethys", "True");
    host.must("k3s token create --ttl 1h --description contract");
    let path = "/api/v1/namespaces/kube-system/secrets\
                ?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken&pretty=false";
    let (code, list) = host.api("", path);
    assert_eq!(code, 200, "{list}");
    let items = list["items"].as_array().expect("a list");
    let [secret] = &items[..] else { panic!("one token: {list}") };
    let field = |name: &str| {
        let text = secret["data"][name].as_str().expect("a field");
        String::from_utf8(STANDARD.decode(text).expect("base64")).expect("text")
    };
    assert_eq!(field("description"), "contract");
    assert_eq!(field("token-id").len(), 6);
    assert!(field("expiration").contains('T'), "{list}");
}

/// facts 1.12: certificates are files, the leaf first; a server has the control plane's, too.
#[test]
fn certificates_are_files_with_the_leaf_first() {
    let host = server("cluster-init: true\n");
    host.node_is("tethys", "True");
    let mut other = agent(&host, "styx", "");
    other.start(Role::Agent);
    other.ready();
    host.node_is("styx", "True");
    let node = ["agent/serving-kubelet", "agent/client-kubelet", "agent/client-kube-proxy"];
    let control = ["server/tls/client-admin", "server/tls/serving-kube-apiserver"];
    let subject = |host: &crate::ground::Host, name: &str| {
        host.must(&format!("openssl x509 -noout -subject -in /var/lib/rancher/k3s/{name}.crt"))
    };
    for name in node {
        assert!(!subject(&host, name).contains("-ca@") && !subject(&other, name).contains("-ca@"));
    }
    for name in control {
        assert!(!subject(&host, name).contains("-ca@"), "{name}");
    }
    let authority = subject(&host, "server/tls/server-ca");
    assert!(authority.contains("k3s-server-ca@"), "{authority}");
    let etcd = host.must(&format!("stat -c '%W %F' {SERVER}/db/etcd"));
    assert!(etcd.trim().ends_with("directory"), "{etcd}");
}
