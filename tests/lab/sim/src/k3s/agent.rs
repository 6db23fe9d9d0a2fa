//! `k3s agent`: joining, and staying joined.

use super::balancer::{self, Servers};
use super::client::{self, Client};
use super::flags::{Options, Role};
use super::kubelet::Kubelet;
use super::layout::{self, Paths};
use super::network::{Clients, Control, Dns, Network};
use super::pki::{self, Pair};
use super::token::{self, Credentials, Token};
use super::{config, fitness, node};
use crate::settings::Settings;
use crate::stamp::Version;
use crate::{log, notify};
use anyhow::{Context, bail};
use hyper::StatusCode;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

const PASSWORD: &str = "/etc/rancher/node/password";

/// Runs the agent until it is told to end.
pub fn main(command_line: &[String]) -> ExitCode {
    let options = match config::options(Role::Agent, command_line) {
        Ok(options) => options,
        Err(refusal) => return super::refuse(Role::Agent, &refusal),
    };
    super::run_until_terminated(async move { run(options).await })
}

async fn run(options: Options) -> anyhow::Result<()> {
    let version = Version::own();
    let Some(server) = options.text("server") else { bail!("--server is required") };
    let Some(token) = token_text(&options)? else { bail!("--token is required") };
    let (host, port) = address(server)?;
    log::info(format!("Starting k3s agent {} ({})", version.as_str(), version.commit()));
    let paths = Paths::new(options.text("data-dir").unwrap_or("/var/lib/rancher/k3s"));
    paths.make_common(version.as_str())?;
    let addresses = node::addresses(&options).map_err(anyhow::Error::msg)?;
    let servers = Servers::new(format!("{host}:{port}"));
    let local = balance(&options, &format!("{host}:{port}"), &servers).await?;
    let ca = trusted_ca(&local, server, &token).await;
    let control = join(&local, &ca, &token, &options, &paths, &addresses).await;
    let settings = Settings::read();
    fitness::cgroups()?;
    fitness::network(&control, &settings)?;
    let kubelet = Kubelet { role: Role::Agent, options, version, settings, addresses };
    if kubelet.check().is_err() {
        bail!("kubelet exited: exit status 1");
    }
    notify::notify("READY=1");
    log::info("k3s agent is up and running");
    let client = |user: &str| {
        Client::new(&local.host, local.port, &ca, kept_pair(&paths.agent, user).as_ref())
    };
    tokio::spawn(watch_servers(client("kubelet")?, servers));
    let clients = Clients { flannel: client("k3s-controller")?, proxy: client("kube-proxy")? };
    let network = Network::new(&kubelet, &paths, control, Dns::Elsewhere, clients)?;
    let (started, has_network) = watch::channel(false);
    tokio::spawn(network.run(started));
    kubelet.run(&client("kubelet")?, has_network).await;
    Ok(())
}

/// The near end of the way to the server.
struct Local {
    host: String,
    port: u16,
}

async fn balance(options: &Options, server: &str, servers: &Servers) -> anyhow::Result<Local> {
    if options.on("disable-apiserver-lb") {
        let (host, port) = server.rsplit_once(':').context("server address")?;
        return Ok(Local { host: host.to_owned(), port: port.parse()? });
    }
    let port: u16 = options.text("lb-server-port").unwrap_or("6444").parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .with_context(|| format!("listen tcp 127.0.0.1:{port}: bind: address already in use"))?;
    log::info(format!(
        "Running load balancer k3s-agent-load-balancer 127.0.0.1:{port} -> [{server}] [default: {server}]"
    ));
    tokio::spawn(balancer::run(listener, servers.clone()));
    Ok(Local { host: "127.0.0.1".to_owned(), port })
}

// A server that joined later is as good as the configured one.
async fn watch_servers(supervisor: Client, servers: Servers) {
    loop {
        if let Ok(answer) = supervisor.get("/v1-k3s/apiservers", &[]).await
            && answer.code == StatusCode::OK
            && let Ok(listed) = serde_json::from_slice(&answer.body)
        {
            servers.update(listed);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

fn token_text(options: &Options) -> anyhow::Result<Option<String>> {
    if let Some(text) = options.text("token").or(options.text("cluster-secret")) {
        return Ok(Some(text.to_owned()));
    }
    let Some(file) = options.text("token-file") else { return Ok(None) };
    // The real one waits for the file to appear; a file that is there is read at once.
    let text = fs::read_to_string(file).with_context(|| format!("open {file}"))?;
    Ok(Some(text.trim().to_owned()))
}

/// Splits `https://host:port`.
pub fn address(url: &str) -> anyhow::Result<(String, u16)> {
    let rest = url.strip_prefix("https://").with_context(|| {
        format!("failed to validate server configuration: only https:// URLs are supported, invalid scheme: {url}")
    })?;
    let host = rest.split('/').next().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => {
            Ok((host.trim_matches(['[', ']']).to_owned(), port.parse().context("server port")?))
        }
        _ => Ok((host.to_owned(), 443)),
    }
}

// Waits for a server whose authority has the hash in the token, however long that takes.
async fn trusted_ca(local: &Local, server: &str, token: &str) -> String {
    loop {
        match fetch_ca(local, token).await {
            Ok(ca) => return ca,
            Err(error) => {
                log::error(format!(
                    "Failed to validate connection to cluster at {server}: {error}"
                ));
            }
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Fetches the authority that `local` serves and compares it with the token.
async fn fetch_ca(local: &Local, token: &str) -> Result<String, String> {
    let token = Token::parse(token)?;
    check_ca(&local.host, local.port, &token).await
}

/// Fetches `/cacerts` and compares its hash with the one in `token`.
///
/// # Errors
/// The message that k3s logs.
pub async fn check_ca(host: &str, port: u16, token: &Token) -> Result<String, String> {
    let url = format!("https://{host}:{port}/cacerts");
    let answer = Client::trusting(host, port).get("/cacerts", &[]).await.map_err(|error| {
        let text = format!("{error:#}");
        let reset = text.contains("reset") || text.contains("eof");
        let cause = if reset { "read: connection reset by peer" } else { &text };
        format!("failed to get CA certs: Get \"{url}\": {cause}")
    })?;
    if answer.code != StatusCode::OK {
        return Err(format!("failed to get CA certs: {url}: {}", answer.code));
    }
    let actual = token::sha256(&answer.body);
    match &token.ca_hash {
        Some(given) if *given != actual => Err(format!(
            "token CA hash does not match the Cluster CA certificate hash: {given} != {actual}"
        )),
        Some(_) => Ok(answer.text()),
        None => {
            log::warning(
                "Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a CA hash. Use the full token from the server's node-token file to enable Cluster CA validation.",
            );
            Ok(answer.text())
        }
    }
}

async fn join(
    local: &Local,
    ca: &str,
    token: &str,
    options: &Options,
    paths: &Paths,
    addresses: &[String],
) -> Control {
    loop {
        match try_join(local, ca, token, options, paths, addresses).await {
            Ok(control) => return control,
            Err(error) => log::error(format!("Failed to configure agent: {error:#}")),
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

async fn try_join(
    local: &Local,
    ca: &str,
    token: &str,
    options: &Options,
    paths: &Paths,
    addresses: &[String],
) -> anyhow::Result<Control> {
    let kept = kept_pair(&paths.agent, "kubelet");
    let supervisor = Client::new(&local.host, local.port, ca, kept.as_ref())?;
    let credentials = Token::parse(token).map_err(anyhow::Error::msg)?.credentials;
    let authorization = match &credentials {
        // An agent joins as `node`, whichever user the token names.
        Credentials::Basic(_, password) => client::basic("node", password),
        Credentials::Bootstrap(made) => format!("Bearer {made}"),
    };
    let base = format!("https://{}:{}/v1-k3s", local.host, local.port);
    let answer = supervisor.get("/v1-k3s/config", &[("Authorization", &authorization)]).await;
    let answer = answer.with_context(|| {
        format!("failed to retrieve configuration from server: Get \"{base}/config\"")
    })?;
    if answer.code != StatusCode::OK {
        bail!("failed to retrieve configuration from server: {base}/config: {}", answer.code);
    }
    let control = Control::parse(&serde_json::from_slice(&answer.body)?)?;
    let name = node::name(options);
    let password = node_password(Path::new(PASSWORD))?;
    let ips = addresses.join(",");
    let fields = [
        ("Authorization", authorization.as_str()),
        ("k3s-Node-Name", name.as_str()),
        ("k3s-Node-Password", password.as_str()),
        ("k3s-Node-IP", ips.as_str()),
    ];
    let agent = &paths.agent;
    for file in ["serving-kubelet", "client-kubelet", "client-kube-proxy", "client-k3s-controller"]
    {
        let answer = supervisor.get(&format!("/v1-k3s/{file}.crt"), &fields).await?;
        match answer.code {
            StatusCode::OK => split(&answer.text())?.write(agent, file)?,
            StatusCode::FORBIDDEN => bail!(
                "Node password rejected, duplicate hostname or contents of '{PASSWORD}' may not match server node-passwd entry, try enabling a unique node name with the --with-node-id flag"
            ),
            code => bail!("{base}/{file}.crt: {code}"),
        }
    }
    let client_ca = supervisor.get("/v1-k3s/client-ca.crt", &fields).await?.text();
    write_agent_files(agent, ca, &client_ca, &format!("https://{}:{}", local.host, local.port))?;
    Ok(control)
}

/// Writes what an agent has beside its certificates.
pub fn write_agent_files(agent: &Path, ca: &str, client_ca: &str, api: &str) -> anyhow::Result<()> {
    pki::write(&agent.join("server-ca.crt"), ca, 0o644)?;
    pki::write(&agent.join("client-ca.crt"), client_ca, 0o644)?;
    for (file, user) in [
        ("kubelet.kubeconfig", "kubelet"),
        ("kubeproxy.kubeconfig", "kube-proxy"),
        ("k3scontroller.kubeconfig", "k3s-controller"),
    ] {
        pki::write(&agent.join(file), &layout::component_kubeconfig(api, agent, user), 0o600)?;
    }
    let folders = [
        "etc/containerd",
        "etc/kubelet.conf.d",
        "etc/cni/net.d",
        "containerd",
        "pod-manifests",
        "images",
    ];
    for folder in folders {
        pki::folder(&agent.join(folder), 0o755)?;
    }
    let folder = agent.join("etc/containerd");
    let base = format!("{CONTAINERD}{}", super::gpus::runtime());
    // A template of somebody goes before what k3s would write.
    let template = ["config-v3.toml.tmpl", "config.toml.tmpl"]
        .iter()
        .find_map(|name| fs::read_to_string(folder.join(name)).ok());
    let text =
        template.map_or(base.clone(), |text| text.replace("{{ template \"base\" . }}", &base));
    pki::write(&folder.join("config.toml"), &text, 0o600)
}

const CONTAINERD: &str = "# File generated by k3s. DO NOT EDIT. Use config.toml.tmpl instead.\nversion = 3\nroot = \"/var/lib/rancher/k3s/agent/containerd\"\nstate = \"/run/k3s/containerd\"\n";

/// Reads the certificate by which a part of k3s on this host is known: `kubelet`.
pub fn kept_pair(agent: &Path, user: &str) -> Option<Pair> {
    let certificate = fs::read_to_string(agent.join(format!("client-{user}.crt"))).ok()?;
    let key = fs::read_to_string(agent.join(format!("client-{user}.key"))).ok()?;
    Some(Pair { certificate, key })
}

fn split(text: &str) -> anyhow::Result<Pair> {
    let place = text.find("-----BEGIN PRIVATE KEY").context("no key in the server's answer")?;
    let (certificate, key) = text.split_at(place);
    Ok(Pair { certificate: certificate.to_owned(), key: key.to_owned() })
}

/// Reads this host's node password, or makes one.
pub fn node_password(path: &Path) -> anyhow::Result<String> {
    if let Ok(text) = fs::read_to_string(path) {
        return Ok(text.trim().to_owned());
    }
    let password = token::random_hex(16);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    pki::write(path, &format!("{password}\n"), 0o600)?;
    Ok(password)
}

/// Returns this host's node password.
pub fn own_password() -> anyhow::Result<String> {
    node_password(Path::new(PASSWORD))
}
