//! What k3s itself serves on 6443 beside the API: `/ping`, `/cacerts` and `/v1-k3s`.

use super::cluster::Cluster;
use super::http::{Identity, Request};
use super::pki::{Pair, Purpose};
use super::reply::{self, Reply};
use super::store::SECRETS;
use super::{api, bootstrap, bootstrap_token, critical, token};
use base64::Engine;
use hyper::header::AUTHORIZATION;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

/// Who asks the supervisor.
#[derive(Debug, PartialEq, Eq)]
enum Caller {
    /// May join as a node.
    Agent,
    /// May join as a server.
    Server,
}

/// Answers a request on the public port.
pub fn route(cluster: &Cluster, request: &Request) -> Reply {
    match request.path.as_str() {
        "/ping" => Reply { kind: "text/plain", ..Reply::text(StatusCode::OK, "pong") },
        "/cacerts" => {
            let pem = cluster.authorities.server.pem.clone();
            Reply { kind: "text/plain", ..Reply::text(StatusCode::OK, pem) }
        }
        "/db/info" => match authenticate(cluster, request) {
            Ok(Caller::Server) => {
                let members = cluster.etcd.as_ref().map(super::etcd::Etcd::members);
                Reply::json(&json!({ "members": members }))
            }
            Ok(Caller::Agent) => forbidden(),
            Err(refused) => *refused,
        },
        path => match path.strip_prefix("/v1-k3s/") {
            Some(rest) => match authenticate(cluster, request) {
                Ok(caller) => supervise(cluster, request, rest, &caller),
                Err(refused) => *refused,
            },
            None => api::route(cluster, request),
        },
    }
}

fn supervise(cluster: &Cluster, request: &Request, what: &str, caller: &Caller) -> Reply {
    match (what, caller) {
        ("server-bootstrap", Caller::Server) => match bootstrap::read(&cluster.paths) {
            Some(files) => Reply::json(&files),
            None => Reply::text(StatusCode::SERVICE_UNAVAILABLE, "bootstrap data is not there yet"),
        },
        ("server-bootstrap", Caller::Agent) => forbidden(),
        ("readyz", _) => Reply::text(StatusCode::OK, "ok"),
        ("apiservers", _) => Reply::json(&json!(
            cluster.addresses().iter().map(|one| format!("{one}:6443")).collect::<Vec<_>>()
        )),
        ("config", _) => Reply::json(&config(cluster)),
        ("client-ca.crt", _) => Reply::text(StatusCode::OK, cluster.authorities.client.pem.clone()),
        ("server-ca.crt", _) => Reply::text(StatusCode::OK, cluster.authorities.server.pem.clone()),
        ("serving-kubelet.crt", _) => node_certificate(cluster, request, Purpose::Server),
        ("client-kubelet.crt", _) => node_certificate(cluster, request, Purpose::Client),
        ("client-kube-proxy.crt", _) => {
            sign(cluster, Purpose::Client, "system:kube-proxy", &[], &[])
        }
        ("client-k3s-controller.crt", _) => {
            sign(cluster, Purpose::Client, "system:k3s-controller", &[], &[])
        }
        ("token", Caller::Server) if request.method == Method::PUT => forbidden(),
        _ => reply::no_such_path(),
    }
}

/// Says what every node has to know of the cluster.
pub fn config(cluster: &Cluster) -> Value {
    let text = |name: &str, default: &str| {
        cluster.options.list(name).first().cloned().unwrap_or_else(|| default.to_owned())
    };
    let dns = cluster.service_address(10).to_string();
    json!({
        "ClusterIPRange": cluster.pod_network().to_string(),
        "ServiceIPRange": cluster.service_network().to_string(),
        "ClusterDNS": text("cluster-dns", &dns),
        "ClusterDomain": text("cluster-domain", "cluster.local"),
        "FlannelBackend": text("flannel-backend", "vxlan"),
        "FlannelExternalIP": cluster.options.on("flannel-external-ip"),
        "DisableKubeProxy": cluster.options.on("disable-kube-proxy"),
        "EgressSelectorMode": text("egress-selector-mode", "agent"),
        "HTTPSPort": 6443,
        "Version": cluster.version.as_str(),
        "Critical": critical::settings(&cluster.options),
    })
}

fn authenticate(cluster: &Cluster, request: &Request) -> Result<Caller, Box<Reply>> {
    if let Identity::User(_, groups) = &request.identity {
        let has = |name: &str| groups.iter().any(|group| group == name);
        if has("system:masters") {
            return Ok(Caller::Server);
        }
        if has("system:nodes") {
            return Ok(Caller::Agent);
        }
    }
    let header = request.header(AUTHORIZATION);
    let known = if let Some(encoded) = header.strip_prefix("Basic ") {
        basic(cluster, encoded)
    } else if let Some(made) = header.strip_prefix("Bearer ") {
        bootstrap_token::is_valid(&cluster.store(), made).then_some(Caller::Agent)
    } else if request.has_credentials() {
        None
    } else {
        return Err(Box::new(forbidden()));
    };
    known.ok_or_else(|| {
        let peer = request.peer;
        crate::log::error(format!(
            "Failed to authenticate request from {peer}: invalid username/password combination"
        ));
        Box::new(reply::unauthorized())
    })
}

fn basic(cluster: &Cluster, encoded: &str) -> Option<Caller> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    match text.split_once(':')? {
        ("server", password) if password == cluster.server_password => Some(Caller::Server),
        ("node", password)
            if password == cluster.agent_password || password == cluster.server_password =>
        {
            Some(Caller::Agent)
        }
        _ => None,
    }
}

fn forbidden() -> Reply {
    reply::status(StatusCode::FORBIDDEN, "Forbidden", "forbidden", &Value::Null)
}

fn node_certificate(cluster: &Cluster, request: &Request, purpose: Purpose) -> Reply {
    let name = request.header("k3s-node-name").to_lowercase();
    let password = request.header("k3s-node-password");
    if name.is_empty() || password.is_empty() {
        return reply::bad_request("node name and password not set");
    }
    if let Err(refused) = ensure_node_password(cluster, &name, password) {
        crate::log::error(&refused);
        return reply::status(StatusCode::FORBIDDEN, "Forbidden", &refused, &Value::Null);
    }
    match purpose {
        Purpose::Client => {
            sign(cluster, purpose, &format!("system:node:{name}"), &["system:nodes"], &[])
        }
        Purpose::Server => {
            let mut names = vec![name.clone(), "localhost".to_owned(), "127.0.0.1".to_owned()];
            let ips = request.header("k3s-node-ip");
            names.extend(ips.split(',').filter(|ip| !ip.is_empty()).map(str::to_owned));
            sign(cluster, purpose, &name, &[], &names)
        }
    }
}

fn sign(
    cluster: &Cluster,
    purpose: Purpose,
    name: &str,
    groups: &[&str],
    names: &[String],
) -> Reply {
    let authority = match purpose {
        Purpose::Client => &cluster.authorities.client,
        Purpose::Server => &cluster.authorities.server,
    };
    match authority.sign(purpose, name, groups, names) {
        Ok(Pair { certificate, key }) => Reply::text(StatusCode::OK, format!("{certificate}{key}")),
        Err(error) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Checks a node's password against the hash that is kept, and keeps it where there is none.
///
/// # Errors
/// The password is not the one that the name was first used with.
pub fn ensure_node_password(cluster: &Cluster, name: &str, password: &str) -> Result<(), String> {
    let secret = format!("{name}.node-password.k3s");
    let hash = token::sha256(password.as_bytes());
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("$1:{hash}"));
    let mut store = cluster.store();
    match store.get(&SECRETS, "kube-system", &secret) {
        Some(kept) if kept["data"]["hash"] == encoded.as_str() => Ok(()),
        Some(_) => Err(format!("unable to verify password for node {name}: hash does not match")),
        None => {
            let object = json!({
                "metadata": { "name": secret, "namespace": "kube-system" },
                "immutable": true,
                "data": { "hash": encoded },
                "type": "Opaque",
            });
            store.create(&SECRETS, object).map(drop).map_err(|refused| format!("{refused:?}"))
        }
    }
}
