//! `k3s server`: from nothing to a cluster of one.

use super::cluster::Cluster;
use super::etcd::{Etcd, Member, Standing, peer};
use super::flags::{Options, Role};
use super::http::{self, Port};
use super::kubelet::Kubelet;
use super::layout::{self, Authorities, Paths};
use super::network::{Clients, Control, Dns, Network};
use super::pki::{self, Purpose};
use super::store::{RESOURCES, Store};
use super::token::{self, Token};
use super::{
    agent, apiserver, client, client::Client, config, controller, external, fitness, join, node,
    services, supervisor,
};
use crate::settings::Settings;
use crate::stamp::Version;
use crate::{log, notify};
use anyhow::{Context, bail};
use hyper::StatusCode;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Runs the server until it is told to end.
pub fn main(command_line: &[String]) -> ExitCode {
    let options = match config::options(Role::Server, command_line) {
        Ok(options) => options,
        Err(refusal) => return super::refuse(Role::Server, &refusal),
    };
    super::run_until_terminated(async move { run(options).await })
}

async fn run(options: Options) -> anyhow::Result<()> {
    let version = Version::own();
    let settings = Settings::read();
    log::info(format!("Starting k3s {} ({})", version.as_str(), version.commit()));
    let paths = Paths::new(options.text("data-dir").unwrap_or("/var/lib/rancher/k3s"));
    let addresses = node::addresses(&options).map_err(anyhow::Error::msg)?;
    paths.make_common(version.as_str())?;
    let own = member(&options, &addresses);
    if uses_etcd(&options, &paths) {
        let given = given_token(&options, "token", "token-file")?;
        join::join(&options, &paths, given.as_deref(), &own).await?;
    }
    let cluster = Arc::new(prepare(options, version, settings, paths, own)?);
    let kubelet = Kubelet {
        role: Role::Server,
        options: cluster.options.clone(),
        version: cluster.version.clone(),
        settings,
        addresses: addresses.clone(),
    };
    listen(&cluster, &addresses).await?;
    tokio::spawn(peer::run(Arc::clone(&cluster)));
    // The real one needs its time until etcd and the API server are up; what it serves
    // before that is not ready.
    tokio::time::sleep(settings.start).await;
    apiserver::check(&cluster.options)?;
    fitness::cgroups()?;
    majority(&cluster).await;
    if kubelet.check().is_err() {
        bail!("kubelet exited: exit status 1");
    }
    finish(&cluster)?;
    tokio::spawn(controller::run(Arc::clone(&cluster)));
    own_certificates(&cluster, &addresses).await?;
    let ca = &cluster.authorities.server.pem;
    let client = |user: &str| -> anyhow::Result<Client> {
        Client::new("127.0.0.1", 6444, ca, agent::kept_pair(&cluster.paths.agent, user).as_ref())
    };
    let clients = Clients { flannel: client("k3s-controller")?, proxy: client("kube-proxy")? };
    let control = Control::parse(&supervisor::config(&cluster))?;
    fitness::network(&control, &settings)?;
    let dns = if services::has_dns(&cluster) { Dns::Here } else { Dns::Elsewhere };
    let network = Network::new(&kubelet, &cluster.paths, control, dns, clients)?;
    let (started, has_network) = watch::channel(false);
    tokio::spawn(network.run(started));
    notify::notify("READY=1");
    log::info("k3s is up and running");
    kubelet.run(&client("kubelet")?, has_network).await;
    Ok(())
}

/// This server as a member of etcd, should it be one.
fn member(options: &Options, addresses: &[String]) -> Member {
    let node = node::name(options);
    let external = options.list("node-external-ip");
    let named = options.text("advertise-address").map(str::to_owned);
    let advertise =
        named.or_else(|| external.into_iter().next()).or_else(|| addresses.first().cloned());
    Member {
        name: format!("{node}-{}", token::random_hex(4)),
        node,
        address: addresses.first().cloned().unwrap_or_else(|| "127.0.0.1".to_owned()),
        advertise: advertise.unwrap_or_else(|| "127.0.0.1".to_owned()),
        learner: false,
    }
}

/// Waits until etcd has a leader, and this server is a voter.
async fn majority(cluster: &Cluster) {
    let Some(etcd) = &cluster.etcd else { return };
    let is_voter =
        || etcd.members().iter().any(|member| member.node == cluster.node && !member.learner);
    for round in 0_u32.. {
        if is_voter() && etcd.standing() != Standing::Lost {
            return;
        }
        if round % 20 == 0 {
            log::info("Waiting for etcd server to become available");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn prepare(
    options: Options,
    version: Version,
    settings: Settings,
    paths: Paths,
    own: Member,
) -> anyhow::Result<Cluster> {
    let first = !paths.server.join("tls/server-ca.crt").exists();
    let given = given_token(&options, "token", "token-file")?;
    if first
        && given.as_deref().is_some_and(|text| text.starts_with("K10"))
        && options.text("server").is_none()
    {
        bail!(
            "starting kubernetes: preparing server: failed to normalize server token; must be in format <PASSWORD> on the first server"
        );
    }
    let database = external::database(&options)?;
    if let Some(database) = &database {
        external::fetch(database, &paths, given.as_deref())?;
    }
    let authorities = layout::prepare(&paths)?;
    let server_password = server_password(&paths, &authorities, given.as_deref())?;
    let agent_password = agent_password(&options, &server_password)?;
    encrypt(&options, &paths)?;
    if let Some(database) = &database {
        external::leave(database, &paths, &server_password)?;
    }
    let verifier = http::verifier(&authorities.client.pem)?;
    let (node, advertise) = (own.node.clone(), own.advertise.clone());
    let (store, etcd) = match &database {
        Some(database) => (seeded(external::open(database)?), None),
        None => open_store(&options, &paths, &authorities, own)?,
    };
    Ok(Cluster {
        paths,
        version,
        options,
        settings,
        authorities,
        server_password,
        agent_password,
        verifier,
        node,
        advertise,
        etcd,
        store: Mutex::new(store),
    })
}

// The real one has it before anything runs.
fn encrypt(options: &Options, paths: &Paths) -> anyhow::Result<()> {
    if !options.on("secrets-encryption") {
        return Ok(());
    }
    let key = json!({ "name": "aescbckey", "secret": "********" });
    let keys = json!({ "kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1",
        "resources": [{ "resources": ["secrets"],
            "providers": [{ "aescbc": { "keys": [key] } }, { "identity": {} }] }] });
    pki::write(&paths.server.join("cred/encryption-config.json"), &keys.to_string(), 0o600)
}

fn agent_password(options: &Options, server: &str) -> anyhow::Result<String> {
    let Some(text) = given_token(options, "agent-token", "agent-token-file")? else {
        return Ok(server.to_owned());
    };
    let token = Token::parse(&text).ok();
    token.and_then(|token| token.password().map(str::to_owned)).context(
        "failed to normalize agent token; must be in format K10<CA-HASH>::<USERNAME>:<PASSWORD> or <PASSWORD>",
    )
}

fn given_token(options: &Options, name: &str, file: &str) -> anyhow::Result<Option<String>> {
    if let Some(text) = options.text(name) {
        return Ok(Some(text.to_owned()));
    }
    let Some(path) = options.text(file) else { return Ok(None) };
    let text = fs::read_to_string(path).with_context(|| format!("open {path}"))?;
    Ok(Some(text.trim().to_owned()))
}

fn server_password(
    paths: &Paths,
    authorities: &Authorities,
    given: Option<&str>,
) -> anyhow::Result<String> {
    let kept = fs::read_to_string(paths.server.join("token")).ok();
    let kept = kept.and_then(|text| Token::parse(&text).ok()?.password().map(str::to_owned));
    let Some(given) = given else {
        return Ok(kept.unwrap_or_else(|| token::random_hex(16)));
    };
    let token = Token::parse(given).map_err(|error| {
        anyhow::anyhow!("failed to normalize server token; must be in format K10<CA-HASH>::<USERNAME>:<PASSWORD> or <PASSWORD>: {error}")
    })?;
    let hash = token::sha256(authorities.server.pem.as_bytes());
    if token.ca_hash.as_ref().is_some_and(|given| *given != hash) {
        bail!("token CA hash does not match the Cluster CA certificate hash");
    }
    let password = token.password().context("failed to normalize server token")?.to_owned();
    if kept.is_some_and(|kept| kept != password) {
        bail!(
            "starting kubernetes: preparing server: failed to bootstrap cluster data: bootstrap data already found and encrypted with different token"
        );
    }
    Ok(password)
}

/// Says whether the datastore is embedded etcd: asked for now, or there from before.
fn uses_etcd(options: &Options, paths: &Paths) -> bool {
    let asked = options.on("cluster-init") || options.text("server").is_some();
    options.text("datastore-endpoint").is_none() && (asked || paths.server.join("db/etcd").exists())
}

fn open_store(
    options: &Options,
    paths: &Paths,
    authorities: &Authorities,
    own: Member,
) -> anyhow::Result<(Store, Option<Etcd>)> {
    let (folder, sqlite) = (paths.server.join("db/etcd"), paths.server.join("db/state.db"));
    if !uses_etcd(options, paths) {
        return Ok((seeded(Store::open(sqlite)), None));
    }
    pki::folder(&folder, 0o700)?;
    pki::folder(&paths.server.join("db/snapshots"), 0o700)?;
    let file = folder.join("state.db");
    if sqlite.exists() && !file.exists() {
        log::info("Migrating content from sqlite to etcd");
        fs::copy(&sqlite, &file)?;
        fs::rename(&sqlite, sqlite.with_extension("db.migrated"))?;
    }
    let client = &authorities.client;
    let pair = client.sign(Purpose::Client, peer::USER, &["system:etcd"], &[])?;
    let etcd = Etcd::open(&folder, own, pair, authorities.server.pem.clone());
    let store = Store::open(file);
    let store = if etcd.members().len() == 1 { seeded(store) } else { store };
    Ok((store, Some(etcd)))
}

fn seeded(mut store: Store) -> Store {
    let Some(namespaces) = RESOURCES.iter().find(|one| one.plural == "namespaces") else {
        return store;
    };
    for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        let labels = json!({ "kubernetes.io/metadata.name": name });
        let object = json!({ "metadata": { "name": name, "labels": labels },
            "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Active" } });
        // They are there already after the first start.
        let _ = store.create(namespaces, object);
    }
    store
}

async fn listen(cluster: &Arc<Cluster>, addresses: &[String]) -> anyhow::Result<()> {
    let mut names: Vec<String> = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        "::1",
    ]
    .map(str::to_owned)
    .into();
    names.push(cluster.service_address(1).to_string());
    names.push(cluster.node.clone());
    names.push(cluster.advertise.clone());
    names.extend_from_slice(addresses);
    names.extend(cluster.options.list("node-external-ip"));
    names.extend(cluster.options.list("tls-san"));
    names.sort();
    names.dedup();
    let pair = cluster.authorities.server.sign(Purpose::Server, "k3s", &["k3s"], &names)?;
    let tls = http::acceptor(&pair.certificate, &pair.key, &cluster.verifier)?;
    let port: u16 = cluster.options.text("https-listen-port").unwrap_or("6443").parse()?;
    let bind = cluster.options.text("bind-address").unwrap_or("0.0.0.0").to_owned();
    for (host, port, kind) in
        [(bind.as_str(), port, Port::Public), ("127.0.0.1", port + 1, Port::Local)]
    {
        let listener = TcpListener::bind((host, port)).await.with_context(|| {
            format!("starting kubernetes: preparing server: listen tcp {host}:{port}: bind: address already in use")
        })?;
        tokio::spawn(http::serve(Arc::clone(cluster), listener, tls.clone(), kind));
    }
    if let Some(address) = addresses.first().filter(|_| cluster.etcd.is_some()) {
        for (port, kind) in [(peer::CLIENTS, Port::Clients), (peer::PEERS, Port::Peers)] {
            for host in [address.as_str(), "127.0.0.1"] {
                let listener = TcpListener::bind((host, port)).await.with_context(|| {
                    format!("starting kubernetes: preparing server: start managed database: listen tcp {host}:{port}: bind: address already in use")
                })?;
                tokio::spawn(http::serve(Arc::clone(cluster), listener, tls.clone(), kind));
            }
        }
    }
    log::info(format!("Running kube-apiserver --secure-port={}", port + 1));
    Ok(())
}

// What appears once the API server is up: certificates, token files, the kubeconfig.
fn finish(cluster: &Cluster) -> anyhow::Result<()> {
    let admin = layout::leaves(&cluster.paths, &cluster.authorities)?;
    let ca = &cluster.authorities.server.pem;
    let options = &cluster.options;
    let (server, agent) = (&cluster.server_password, &cluster.agent_password);
    layout::write_tokens(&cluster.paths, ca, server, agent)?;
    log::info("Node token is available at /var/lib/rancher/k3s/server/token");
    let name = options.text("write-kubeconfig-name").unwrap_or("default");
    let port = options.text("https-listen-port").unwrap_or("6443");
    let text = layout::kubeconfig(&format!("https://127.0.0.1:{port}"), name, ca, &admin);
    let path = options.text("write-kubeconfig").unwrap_or("/etc/rancher/k3s/k3s.yaml");
    let mode = options.text("write-kubeconfig-mode");
    let octal = mode.map(|mode| u32::from_str_radix(mode, 8));
    if let (Some(mode), Some(Err(_))) = (mode, &octal) {
        log::error(format!(
            "failed to set {path} to mode {mode}: strconv.ParseInt: parsing {mode:?}: invalid syntax"
        ));
    }
    if let Some(folder) = Path::new(path).parent() {
        fs::create_dir_all(folder).with_context(|| format!("mkdir {}", folder.display()))?;
    }
    pki::write(Path::new(path), &text, octal.and_then(Result::ok).unwrap_or(0o600))?;
    log::info(format!("Wrote kubeconfig {path}"));
    let cred = cluster.paths.server.join("cred");
    pki::write(&cred.join("admin.kubeconfig"), &text, 0o600)?;
    let passwd = format!("{agent},node,node,k3s:agent\n{server},server,server,k3s:server\n");
    pki::write(&cred.join("passwd"), &passwd, 0o600)
}

/// Makes the password of this node known, as the server that decides keeps it.
async fn node_password(cluster: &Cluster, name: &str, password: &str) -> anyhow::Result<()> {
    const REJECTED: &str = "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry";
    if cluster.decides() {
        return supervisor::ensure_node_password(cluster, name, password)
            .map_err(|error| anyhow::anyhow!("{REJECTED}: {error}"));
    }
    let port: u16 = cluster.options.text("https-listen-port").unwrap_or("6443").parse()?;
    let client = Client::new("127.0.0.1", port, &cluster.authorities.server.pem, None)?;
    let authorization = client::basic("node", &cluster.agent_password);
    let fields = [
        ("Authorization", authorization.as_str()),
        ("k3s-Node-Name", name),
        ("k3s-Node-Password", password),
    ];
    loop {
        let answer = client.get("/v1-k3s/client-kubelet.crt", &fields).await?;
        match answer.code {
            StatusCode::OK => return Ok(()),
            StatusCode::FORBIDDEN => bail!("{REJECTED}"),
            code => log::error(format!("/v1-k3s/client-kubelet.crt: {code}")),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn own_certificates(cluster: &Cluster, addresses: &[String]) -> anyhow::Result<()> {
    let (name, agent) = (&cluster.node, &cluster.paths.agent);
    let password = agent::own_password()?;
    node_password(cluster, name, &password).await?;
    let authorities = &cluster.authorities;
    let user = format!("system:node:{name}");
    let client = authorities.client.sign(Purpose::Client, &user, &["system:nodes"], &[])?;
    client.write(agent, "client-kubelet")?;
    for name in ["kube-proxy", "k3s-controller"] {
        let pair = authorities.client.sign(Purpose::Client, &format!("system:{name}"), &[], &[])?;
        pair.write(agent, &format!("client-{name}"))?;
    }
    let mut names = vec![name.clone(), "localhost".to_owned(), "127.0.0.1".to_owned()];
    names.extend_from_slice(addresses);
    authorities.server.sign(Purpose::Server, name, &[], &names)?.write(agent, "serving-kubelet")?;
    let (ca, client_ca) = (&authorities.server.pem, &authorities.client.pem);
    agent::write_agent_files(agent, ca, client_ca, "https://127.0.0.1:6444")
}
