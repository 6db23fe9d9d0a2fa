//! The files that a server has under its data folder.

use super::pki::{self, Authority, Pair, Purpose};
use super::token;
use anyhow::Context;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Where things are.
#[derive(Debug, Clone)]
pub struct Paths {
    /// `/var/lib/rancher/k3s`
    pub data: PathBuf,
    /// Its folder `server`.
    pub server: PathBuf,
    /// Its folder `agent`.
    pub agent: PathBuf,
}

impl Paths {
    /// Returns the paths below the data folder `data`.
    pub fn new(data: &str) -> Self {
        let data = PathBuf::from(data);
        Self { server: data.join("server"), agent: data.join("agent"), data }
    }

    /// Makes the folders that both roles have.
    pub fn make_common(&self, version: &str) -> anyhow::Result<()> {
        pki::folder(&self.data, 0o755)?;
        let unpacked = self.data.join("data").join(token::sha256(version.as_bytes()));
        pki::folder(&unpacked.join("bin"), 0o755)?;
        let current = self.data.join("data/current");
        let _ = fs::remove_file(&current);
        symlink(&unpacked, &current).context("link data/current")?;
        pki::folder(&self.agent, 0o755)
    }
}

/// The authorities of a cluster.
#[derive(Debug)]
pub struct Authorities {
    /// Signs what `/cacerts` is asked about.
    pub server: Authority,
    /// Signs users and nodes.
    pub client: Authority,
}

/// Makes the folders and the authorities of a server, or reads what is there.
pub fn prepare(paths: &Paths) -> anyhow::Result<Authorities> {
    pki::folder(&paths.server, 0o700)?;
    let tls = paths.server.join("tls");
    for (name, mode) in
        [("cred", 0o700), ("tls", 0o700), ("tls/etcd", 0o700), ("db", 0o700), ("etc", 0o700)]
    {
        pki::folder(&paths.server.join(name), mode)?;
    }
    for name in ["manifests", "static"] {
        pki::folder(&paths.server.join(name), 0o700)?;
    }
    let server = Authority::load_or_make(&tls, "server-ca")?;
    let client = Authority::load_or_make(&tls, "client-ca")?;
    Authority::load_or_make(&tls, "request-header-ca")?;
    for name in ["server-ca", "peer-ca"] {
        Authority::load_or_make(&tls.join("etcd"), name)?;
    }
    Ok(Authorities { server, client })
}

/// Signs the certificates of the control plane, anew where they are missing or end soon.
pub fn leaves(paths: &Paths, authorities: &Authorities) -> anyhow::Result<Pair> {
    let tls = paths.server.join("tls");
    let users = [
        ("client-admin", "system:admin", &["system:masters"][..]),
        ("client-controller", "system:kube-controller-manager", &[]),
        ("client-scheduler", "system:kube-scheduler", &[]),
        ("client-kube-apiserver", "system:apiserver", &["system:masters"]),
        ("client-k3s-controller", "system:k3s-controller", &[]),
        ("client-k3s-cloud-controller", "k3s-cloud-controller-manager", &[]),
        ("client-supervisor", "system:k3s-supervisor", &["system:masters"]),
    ];
    for (file, user, groups) in users {
        if !pki::is_fresh(&tls.join(format!("{file}.crt"))) {
            authorities.client.sign(Purpose::Client, user, groups, &[])?.write(&tls, file)?;
        }
    }
    if !pki::is_fresh(&tls.join("serving-kube-apiserver.crt")) {
        let names = ["kubernetes", "localhost", "127.0.0.1"].map(str::to_owned);
        let pair = authorities.server.sign(Purpose::Server, "kube-apiserver", &[], &names)?;
        pair.write(&tls, "serving-kube-apiserver")?;
    }
    let text = |name: &str| fs::read_to_string(tls.join(name)).context("read client-admin");
    Ok(Pair { certificate: text("client-admin.crt")?, key: text("client-admin.key")? })
}

/// Writes the token files; `node-token` appears last, as on a real server.
pub fn write_tokens(paths: &Paths, ca: &str, server: &str, agent: &str) -> anyhow::Result<()> {
    let file = paths.server.join("token");
    let full = token::full(ca.as_bytes(), &format!("server:{server}"));
    pki::write(&file, &format!("{full}\n"), 0o600)?;
    let agent_file = paths.server.join("agent-token");
    let _ = fs::remove_file(&agent_file);
    if agent == server {
        symlink(&file, &agent_file).context("link agent-token")?;
    } else {
        let full = token::full(ca.as_bytes(), &format!("node:{agent}"));
        pki::write(&agent_file, &format!("{full}\n"), 0o600)?;
    }
    let node_token = paths.server.join("node-token");
    let _ = fs::remove_file(&node_token);
    symlink(&file, &node_token).context("link node-token")
}

/// Writes a kubeconfig; `files` says whether it names the credentials' files or holds them.
pub fn kubeconfig(server: &str, name: &str, ca: &str, user: &Pair) -> String {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: {server}\n  name: {name}\ncontexts:\n- context:\n    cluster: {name}\n    user: {name}\n  name: {name}\ncurrent-context: {name}\nkind: Config\npreferences: {{}}\nusers:\n- name: {name}\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
        encode(ca),
        encode(&user.certificate),
        encode(&user.key)
    )
}

/// Writes the kubeconfig of a component, which names files.
pub fn component_kubeconfig(server: &str, agent: &Path, user: &str) -> String {
    let agent = agent.display();
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    server: {server}\n    certificate-authority: {agent}/server-ca.crt\n  name: local\ncontexts:\n- context:\n    cluster: local\n    namespace: default\n    user: user\n  name: Default\ncurrent-context: Default\nkind: Config\npreferences: {{}}\nusers:\n- name: user\n  user:\n    client-certificate: {agent}/client-{user}.crt\n    client-key: {agent}/client-{user}.key\n"
    )
}
